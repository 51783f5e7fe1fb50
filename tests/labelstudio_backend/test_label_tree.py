from __future__ import annotations

import pytest

from sam2_plugins.labelstudio_backend.errors import FormatError
from sam2_plugins.labelstudio_backend.label_config import parse_label_config
from sam2_plugins.labelstudio_backend.label_tree import value_of

DATA = {
    "video": "/v.mp4",
    "fps": 50,
    "meta": {"fps": "50"},
    "pages": [{"url": "/0.png", "rate": 12}, {"url": "/1.png", "rate": 25}],
    "labels": [
        {"value": "Cell"},
        {"value": "Mitosis", "alias": "M", "children": [{"value": "Late"}]},
        {"no": "value"},
        "text",
    ],
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$video", "/v.mp4"),
        ("$meta.fps", "50"),
        ("$pages[1].url", "/1.png"),
        ("$pages[9].url", None),
        ("$pages.1.rate", 25),
        ("$nothing.at.all", None),
        ("http://h$video?x=$meta.fps", "http://h/v.mp4?x=50"),
        ("50", "50"),
        ("", ""),
    ],
)
def test_a_value_is_looked_up_in_the_task(expression, value):
    assert value_of(expression, DATA) == value


@pytest.mark.parametrize(
    "rate", ['framerate="50"', 'frameRate="50"', 'FRAMERATE="$fps"', 'frameRate="$meta.fps"',
             'framerate="0.02"', 'framerate=" 50 "']
)  # fmt: skip
def test_the_frame_rate_is_read_however_it_is_written(rate):
    config = parse_label_config(f'<View><Video name="v" value="$video" {rate}/></View>', DATA)
    assert config.media[0].framerate(DATA) == pytest.approx(50)


def test_tags_and_attributes_may_be_written_in_any_case():
    xml = """<view><VIDEO Name="v" Value="$video"/><videorectangle NAME="b" ToName="v"/>
    <LABELS name="l" toname="v"><label value="Cell"/></LABELS></view>"""
    config = parse_label_config(xml, DATA)
    (box,) = config.controls
    assert (config.media[0].kind, box.type, box.labels) == ("Video", "videorectangle", ("Cell",))


def test_a_control_that_names_no_object_is_about_the_only_one():
    one = '<View><Image name="i" value="$image"/>{}<BrushLabels name="m"><Label value="A"/>'
    one += "</BrushLabels></View>"
    assert parse_label_config(one.format("")).controls[0].to_name == "i"
    assert parse_label_config(one.format('<Text name="t" value="$text"/>')).controls == ()


def test_labels_of_the_task_their_aliases_and_nested_ones_are_offered():
    xml = '<View><Image name="i" value="$image"/><BrushLabels name="m" toName="i" value="$labels"/>'
    (mask,) = parse_label_config(xml + "</View>", DATA).controls
    assert mask.labels == ("Cell", "M", "Late")
    (unknown,) = parse_label_config(xml + "</View>", {}).controls
    assert unknown.own == () and unknown.takes("anything")


def test_labels_in_groups_and_with_aliases_are_found():
    xml = """<View><Image name="i" value="$image"/><BrushLabels name="m" toName="i">
    <View><Header value="x"/><Label value="Cell" alias="C"/></View></BrushLabels></View>"""
    assert parse_label_config(xml).controls[0].labels == ("C",)


def test_several_labels_beside_a_shape_are_told_apart():
    xml = """<View><Labels name="kind" toName="i"><Label value="Cell"/></Labels>
    <Labels name="state" toName="i"><Label value="dead"/></Labels>
    <Image name="i" value="$image"/><Brush name="m" toName="i"/></View>"""
    (mask,) = parse_label_config(xml).controls
    assert mask.labels == ("Cell", "dead")
    assert (mask.labels_beside("Cell"), mask.labels_beside("dead")) == ("kind", "state")


def test_a_repeater_makes_an_object_and_a_control_of_each_item():
    xml = """<View><Repeater on="$pages" indexFlag="[[i]]"><View>
    <Image name="page[[i]]" value="$pages[[[i]]].url"/>
    <RectangleLabels name="box[[i]]" toName="page[[i]]"><Label value="A"/></RectangleLabels>
    </View></Repeater></View>"""
    config = parse_label_config(xml, DATA)
    assert [m.address(DATA) for m in config.media] == ["/0.png", "/1.png"]
    assert [(c.name, c.to_name) for c in config.controls] == [("box0", "page0"), ("box1", "page1")]
    assert parse_label_config(xml, {}).media == ()


def test_a_repeater_cannot_make_a_config_without_end():
    inner = '<Image name="a{{idx}}" value="$x"/>' * 200
    xml = f'<View><Repeater on="$pages">{inner}</Repeater></View>'
    with pytest.raises(FormatError, match="Repeater"):
        parse_label_config(xml, {"pages": [0] * 100})


def test_the_buttons_of_a_video_are_no_labels():
    xml = """<View><Labels name="sam2" toName="v"><Label value="Track"/></Labels>
    <Labels name="l" toName="v"><Label value="Cell"/></Labels>
    <Video name="v" value="$video"/><VideoRectangle name="b" toName="v"/></View>"""
    config = parse_label_config(xml)
    assert (config.controls[0].labels, config.buttons) == (("Cell",), ("Track",))


def test_text_in_hypertext_is_no_part_of_the_config():
    xml = '<View><HyperText name="h"><Image name="i" value="$x"/></HyperText></View>'
    assert parse_label_config(xml).media == ()

from __future__ import annotations

import pytest

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo
from sam2_plugins.labelstudio_backend.label_config import parse_label_config, value_of

IMAGE = """<View><Image name="img" value="$image"/>{}
<KeyPointLabels name="kp" toName="img" smart="true"><Label value="A"/></KeyPointLabels></View>"""


def controls(*tags: str) -> str:
    return IMAGE.format(
        "".join(f'<{t} name="{t}" toName="img"><Label value="A"/></{t}>' for t in tags)
    )


def test_a_video_config_tells_rate_control_and_labels():
    config = parse_label_config(projects.video_config(["Cell", 'a "b" & <c>'], 29.97))
    (video,), (box,) = config.media, config.controls
    assert (video.kind, video.key, video.rate) == ("Video", "video", 29.97)
    assert (box.name, box.type) == ("box", "videorectangle")
    assert box.labels == ("Cell", 'a "b" & <c>')


@pytest.mark.parametrize(
    ("written", "data", "rate"),
    [
        ("$fps", {"fps": 12.5}, 12.5),
        ("$fps", {"fps": "30"}, 30),
        ("$fps", {}, 24),
        ("", {}, 24),
        ("0", {}, 24),
        ("fast", {}, 24),
        ("inf", {}, 24),
    ],
)
def test_the_frame_rate_is_the_editors(written, data, rate):
    (video,) = parse_label_config(projects.video_config(["Cell"], written), data).media
    assert video.rate == rate


def test_a_stack_is_told_from_an_image():
    (stack,) = parse_label_config(projects.stack_config(["Cell"])).media
    (image,) = parse_label_config(projects.image_config(["Cell"])).media
    assert (stack.is_stack, stack.key) == (True, "frames")
    assert (image.is_stack, image.key) == (False, "image")


@pytest.mark.parametrize(
    ("tags", "chosen"),
    [
        (["RectangleLabels", "BrushLabels"], "BrushLabels"),
        (["PolygonLabels", "BitmaskLabels"], "BitmaskLabels"),
        (["RectangleLabels", "PolygonLabels"], "PolygonLabels"),
        (["RectangleLabels"], "RectangleLabels"),
        (["Brush"], "Brush"),
    ],
)
def test_the_control_that_keeps_most_of_a_mask_gets_it(tags, chosen):
    config = parse_label_config(controls(*tags))
    assert config.media[0].output("A").tag == chosen


def test_a_label_or_a_control_that_is_not_there_is_named():
    config = parse_label_config(controls("BrushLabels"))
    with pytest.raises(NothingToDo, match="'B' is not in BrushLabels"):
        config.media[0].output("B")
    config = parse_label_config(controls())
    with pytest.raises(NothingToDo, match="add BrushLabels"):
        config.media[0].output("A")


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<View>",
        '<!DOCTYPE v [<!ENTITY a "b">]><View>&a;</View>',
        "<View>\x00</View>",
        " " * (1 << 21),
    ],
)
def test_what_is_no_config_is_refused(xml):
    with pytest.raises(FormatError, match="labelling config"):
        parse_label_config(xml)


# -- as the editor reads it

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


def test_a_key_with_a_dot_in_its_name_goes_before_a_part_of_another():
    assert value_of("$m.video", {"m.video": "/a.mp4", "m": {"video": "/b.mp4"}}) == "/a.mp4"


@pytest.mark.parametrize(
    "rate", ['framerate="50"', 'frameRate="50"', 'FRAMERATE="$fps"', 'frameRate="$meta.fps"',
             'framerate="0.02"', 'framerate=" 50 "']
)  # fmt: skip
def test_the_frame_rate_is_read_however_it_is_written(rate):
    config = parse_label_config(f'<View><Video name="v" value="$video" {rate}/></View>', DATA)
    assert config.media[0].rate == pytest.approx(50)


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
    unknown = parse_label_config(xml + "</View>", {}).media[0]
    assert unknown.output("anything").labels == ()


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
    assert (mask.beside["Cell"], mask.beside["dead"]) == ("kind", "state")


def test_a_repeater_makes_an_object_and_a_control_of_each_item():
    xml = """<View><Repeater on="$pages" indexFlag="[[i]]"><View>
    <Image name="page[[i]]" value="$pages[[[i]]].url"/>
    <RectangleLabels name="box[[i]]" toName="page[[i]]"><Label value="A"/></RectangleLabels>
    </View></Repeater></View>"""
    config = parse_label_config(xml, DATA)
    assert [m.address for m in config.media] == ["/0.png", "/1.png"]
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

from __future__ import annotations

import pytest

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo
from sam2_plugins.labelstudio_backend.label_config import parse_label_config

IMAGE = """<View><Image name="img" value="$image"/>{}
<KeyPointLabels name="kp" toName="img" smart="true"><Label value="A"/></KeyPointLabels></View>"""


def controls(*tags: str) -> str:
    return IMAGE.format(
        "".join(f'<{t} name="{t}" toName="img"><Label value="A"/></{t}>' for t in tags)
    )


def test_a_video_config_tells_rate_control_and_labels():
    config = parse_label_config(projects.video_config(["Cell", 'a "b" & <c>'], 29.97))
    (video,), (box,) = config.media, config.controls
    assert (video.kind, video.key, video.framerate({})) == ("Video", "video", 29.97)
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
    (video,) = parse_label_config(projects.video_config(["Cell"], written)).media
    assert video.framerate(data) == rate


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
    assert config.output(config.media[0], "A").tag == chosen


def test_a_label_or_a_control_that_is_not_there_is_named():
    config = parse_label_config(controls("BrushLabels"))
    with pytest.raises(NothingToDo, match="'B' is not in BrushLabels"):
        config.output(config.media[0], "B")
    config = parse_label_config(controls())
    with pytest.raises(NothingToDo, match="add BrushLabels"):
        config.output(config.media[0], "A")


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

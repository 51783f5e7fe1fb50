"""Whatever Label Studio takes for a labelling config is served, or refused by name."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2_plugins.labelstudio_backend.engine import Engine
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import HEIGHT, WIDTH, discs, engine, files, settings

__all__ = ["discs", "engine", "files", "settings"]

COUNT = 120
JUDGE = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.control_tags import _TAG_TO_CLASS as controls
from label_studio_sdk.label_interface.object_tags import _TAG_TO_CLASS as objects
told = json.load(sys.stdin)
if told == "tags":
    name = lambda kind: kind.removesuffix("Tag")
    print(json.dumps([[name(c) for c in t.values()] for t in (controls, objects)]))
    sys.exit()
answers = []
for config, data, prediction in told:
    try:
        interface = LabelInterface(config)
        interface.validate()
    except Exception as error:
        answers.append(None)
        continue
    errors = interface.validate_prediction(prediction, return_errors=True) if prediction else []
    answers.append(errors)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def judge(program: Path):
    """Label Studio's own SDK, in the server's environment."""

    def ask(what: Any) -> Any:
        python = program.parent / "python"
        done = subprocess.run(
            [str(python), "-c", JUDGE], input=json.dumps(what), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def one_in(rng: random.Random, n: int) -> bool:
    return rng.randrange(n) == 0


def any_case(rng: random.Random, name: str) -> str:
    return rng.choice([name, name, name, name.lower()])


def labels(rng: random.Random, names: list[str]) -> str:
    found = "".join(f'<Label value="{name}"/>' for name in names)
    return f"<View>{found}</View>" if one_in(rng, 5) else found


def make_config(rng: random.Random, controls: list[str], objects: list[str]) -> str:
    """Make a config of one or two objects and up to four controls from the SDK's own lists."""
    shown = [rng.choice(["Image", "Image", "Video", rng.choice(objects)])]
    if one_in(rng, 4):
        shown.append("Text")
    parts = []
    for number, kind in enumerate(shown):
        value = {"Image": "$image", "Video": "$video"}.get(kind, "$text")
        rate = ' frameRate="25"' if kind == "Video" else ""
        parts.append(f'<{kind} name="o{number}" value="{value}"{rate}/>')
    shapes = [c for c in controls if c.removesuffix("Labels") in SHAPES]
    own = ["VideoRectangle"] if shown[0] == "Video" else shapes
    for number in range(rng.randrange(1, 5)):
        kind = rng.choice([rng.choice(own), rng.choice(own), rng.choice(controls)])
        to_name = "" if len(shown) == 1 and one_in(rng, 4) else ' toName="o0"'
        smart = ' smart="true"' if one_in(rng, 2) else ""
        if kind.endswith("Labels"):
            inside = labels(rng, ["Cell", "Other"])
        else:
            inside = {"Choices": '<Choice value="a"/>', "Taxonomy": '<Choice value="a"/>'}.get(
                kind, ""
            )
        parts.append(f'<{kind} name="c{number}"{to_name}{smart}>{inside}</{kind}>')
    if one_in(rng, 2):
        parts.append(f'<Labels name="l" toName="o0">{labels(rng, ["Cell", "Other"])}</Labels>')
    rng.shuffle(parts)
    return f"<View>{''.join(parts)}</View>"


SHAPES = {
    "Brush", "Bitmask", "Polygon", "Ellipse", "Rectangle", "KeyPoint", "Vector", "MagicWand",
}  # fmt: skip


def prompts(config: str) -> Iterator[dict[str, Any]]:
    """Yield what an annotator may draw with each control of a config, labelled "Cell"."""
    about = {"to_name": "o0", "original_width": WIDTH, "original_height": HEIGHT}
    places = {
        "keypoint": {"x": 31.0, "y": 42.0, "width": 0.3},
        "rectangle": {"x": 20.0, "y": 25.0, "width": 22.0, "height": 32.0, "rotation": 0},
        "ellipse": {"x": 31.0, "y": 42.0, "radiusX": 11.0, "radiusY": 15.0, "rotation": 0},
        "polygon": {"points": [[22, 30], [40, 30], [40, 55], [22, 55]], "closed": True},
        "vector": {"vertices": [{"x": 31.0, "y": 42.0}, {"x": 33.0, "y": 44.0}], "closed": False},
    }
    for number, (kind, name) in enumerate(re.findall(r'<(\w+) name="(c\d)"', config)):
        shape = kind.lower().removesuffix("labels")
        drawn = {**about, "id": f"r{number}", "from_name": name, "type": kind.lower()}
        if shape == "videorectangle":
            yield drawn
        elif shape in places:
            key = kind.lower() if kind.endswith("Labels") else "labels"
            yield {**drawn, "value": {**places[shape], key: ["Cell"]}}


def ask(engine: Engine, files: Path, discs: Any, config: str) -> tuple[dict, list[Any]]:
    """Return a task's data, and the answers to each prompt alone and to the saved annotation."""
    data = {"image": str(files / "page0.png"), "video": str(files / "discs.mp4"), "text": "x"}
    box = tasks.video_box(discs[1], 1)["value"]
    drawn = [{"value": box, **one} for one in prompts(config)]
    task = {"id": 1, "data": data}
    answers = [engine.predict([task], config, {"result": [one]})[0] for one in drawn[:1]]
    answers += engine.predict([tasks.annotated(task, *drawn)], config)
    return data, answers


@pytest.mark.parametrize("seed", range(4))
def test_what_label_studio_takes_is_served_or_refused_by_name(judge, engine, files, discs, seed):
    controls, objects = judge("tags")
    rng = random.Random(seed)
    configs = [make_config(rng, controls, objects) for _ in range(COUNT // 4)]
    cases = []
    for config in configs:
        data, answers = ask(engine, files, discs, config)
        cases += [(config, data, answer) for answer in answers if answer]
    verdicts = judge([(explicit(c), d, a if a["result"] else None) for c, d, a in cases])
    served = 0
    for (config, _, answer), errors in zip(cases, verdicts, strict=True):
        if errors is None:  # the SDK itself does not take the config
            continue
        assert "a fault of the backend" not in json.dumps(answer), config
        told = answer["model_version"].partition(": ")[2] or note_of(answer)
        if answer["result"] and not told.startswith("The "):
            assert errors == [], (config, answer["result"][0].get("type"))
            served += 1
        elif told.startswith("The labelling config has no control"):
            named = re.findall(r"<(\w+)>", told.partition("Add ")[0])
            assert named, (config, told)
            assert all(f"<{tag}" in config for tag in named)
    assert served > 10


def explicit(config: str) -> str:
    """Write the `toName` that the editor infers, which the SDK does not."""
    return re.sub(r'(name="c\d")(?! toName)', r'\1 toName="o0"', config)


def note_of(answer: dict[str, Any]) -> str:
    """Return what a region says of itself, if it is not the answer to its prompt."""
    texts = [text for r in answer["result"] for text in r.get("meta", {}).get("text", [])]
    return texts[0].removeprefix("SAM 2: ") if texts else ""

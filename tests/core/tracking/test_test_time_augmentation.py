from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START, FOREGROUND
from sam2_plugins.core.tracking.test_time_augmentation import decode_views, views_of
from sam2_plugins.core.tracking.windows.planner import Window
from sam2_plugins.core.variants import NANO
from sam2_plugins.training.initialise import initialise

SIDE = 64


@pytest.fixture(scope="module")
def model() -> Sam2Model:
    torch.manual_seed(0)
    made = build_model(dataclasses.replace(NANO, image_size=SIDE)).eval()
    initialise(made)
    return made


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def ask(model, image, points, labels, count=4):
    views = views_of(Window(0, 0, SIDE, SIDE), count)
    with torch.inference_mode():
        seen = [model.encode_image(model.preprocess(v.crop(image).copy())) for v in views]
        return decode_views(model, seen, torch.tensor([points]), torch.tensor([labels]))


def test_the_first_view_is_the_window_itself() -> None:
    window = Window(3, 4, 10, 8)
    first, *turned = views_of(window, 4)
    assert first is window
    assert len({first, *turned}) == 4 and all(v.box == window.box for v in turned)


def test_a_view_shows_its_window_turned() -> None:
    picture = np.arange(6 * 8 * 3).reshape(6, 8, 3)
    shown = [view.crop(picture) for view in views_of(Window(1, 2, 4, 3), 4)]
    for turns, crop in enumerate(shown):
        assert np.array_equal(crop, np.rot90(shown[0], turns))


@pytest.mark.parametrize(
    ("points", "labels"),
    [
        ([(20.0, 12.0)], [FOREGROUND]),
        ([(10.0, 8.0), (30.0, 50.0)], [BOX_START, BOX_END]),
        ([(10.0, 8.0), (30.0, 50.0), (20.0, 30.0)], [BOX_START, BOX_END, FOREGROUND]),
    ],
)
def test_four_views_of_a_turned_picture_give_the_same_mask_turned(model, image, points, labels):
    upright = ask(model, image, points, labels)
    turned_points = [(y, SIDE - x) for x, y in points]
    if BOX_START in labels:
        (x0, y0), (x1, y1) = turned_points[:2]
        turned_points[:2] = [(min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))]
    turned = ask(model, np.rot90(image), turned_points, labels)
    same = torch.rot90(upright.candidates, 1, (-2, -1))
    assert torch.allclose(turned.candidates, same, atol=1e-3)
    assert torch.allclose(turned.ious, upright.ious, atol=1e-4)
    # One view alone is not the same when turned, or this would show nothing.
    alone = ask(model, image, points, labels, count=1)
    alone_turned = ask(model, np.rot90(image), turned_points, labels, count=1)
    difference = alone_turned.candidates - torch.rot90(alone.candidates, 1, (-2, -1))
    assert float(difference.abs().max()) > 0.01


def test_one_view_is_what_the_model_says(model, image) -> None:
    points, labels = torch.tensor([[(20.0, 12.0)]]), torch.tensor([[FOREGROUND]])
    with torch.inference_mode():
        here = model.encode_image(model.preprocess(image))
        said = model.decode(model.without_memory(here.coarse), here.skips, points, labels)
    answer = ask(model, image, [(20.0, 12.0)], [FOREGROUND], count=1)
    assert torch.equal(answer.mask, said.mask) and torch.equal(answer.ious, said.ious)


def test_views_that_differ_are_trusted_less(model, image, monkeypatch) -> None:
    points, labels = [(20.0, 12.0)], [FOREGROUND]
    decode = model.decode

    def say(overlapping: bool):
        def answer(*args, **kwargs):
            said = decode(*args, **kwargs)
            logits = torch.full_like(said.candidates, -5.0)
            # The same square in the middle for all, or a quarter that turns with the view.
            rows = slice(4, 12) if overlapping else slice(0, 8)
            logits[..., rows, rows] = 5.0
            return dataclasses.replace(
                said, candidates=logits, ious=torch.full_like(said.ious, 0.8)
            )

        return answer

    monkeypatch.setattr(model, "decode", say(overlapping=True))
    alike = ask(model, image, points, labels)
    monkeypatch.setattr(model, "decode", say(overlapping=False))
    unlike = ask(model, image, points, labels)
    assert float(alike.iou) == pytest.approx(0.8, abs=1e-3)
    assert float(unlike.iou) < 0.5

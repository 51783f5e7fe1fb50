from __future__ import annotations

import dataclasses

import torch

from sam2_plugins.core.model import build_model
from sam2_plugins.core.variants import NANO


def test_masks_are_taken_in_half_precision_too() -> None:
    model = build_model(dataclasses.replace(NANO, image_size=64))
    drawn = torch.zeros(1, 1, 64, 64)
    drawn[:, :, 16:48, 16:48] = 1
    previous = torch.zeros(1, 1, 32, 32)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        features = model.encode_image(torch.rand(1, 3, 64, 64))
        coarse, skips = features.coarse.bfloat16(), features.skips
        adopted = model.adopt_mask(coarse, skips, drawn)
        refined = model.decode(model.without_memory(coarse), skips, previous=previous.bfloat16())
    assert torch.equal(adopted.mask[0, 0] > 0, drawn[0, 0, 2::4, 2::4] > 0)
    assert refined.mask.isfinite().all()

"""The inputs of the EdgeTAM vectors that differ from `inputs.tensors`, made from a seed in the same way.

EdgeTAM's memory of a frame is 512 latents of 64 channels, whatever the size of the frame: first the 256 that stand for the
whole frame, then the 256 of a 16 x 16 grid, row by row. `image`, `prev_logits` and `mask_logits` come first and are those of
`inputs.tensors(size, seed)`; prompts, clip and cases are those of `inputs`.
"""

import torch

from tests.reference.inputs import MEMORY_CASES, STEP_CASES

LATENTS = 512


def tensors(size: int, seed: int) -> dict:
    """Every random input, drawn in this order from one generator. g = size / 16; tokens come first in [tokens, batch, channels]."""
    gen = torch.Generator().manual_seed(100 + seed)
    draw = lambda *shape: torch.randn(*shape, generator=gen)  # noqa: E731
    g = size // 16
    out = {
        "image": draw(1, 3, size, size),
        "prev_logits": draw(1, 1, 4 * g, 4 * g) * 5,
        "mask_logits": draw(1, 1, 4 * g, 4 * g) * 6,
        "dense_memory": draw(2, 64, g, g),  # of two objects: input of the spatial perceiver
    }
    for memories, pointers in MEMORY_CASES:
        tokens = memories * LATENTS + 4 * pointers
        out[f"m{memories}p{pointers}.memory"] = draw(tokens, 1, 64)
        out[f"m{memories}p{pointers}.memory_pos"] = draw(tokens, 1, 64)
    for name, (_, cond, tracked, _, _) in STEP_CASES.items():
        for frame in cond + tracked:
            out[f"{name}.{frame}.memory"] = draw(1, LATENTS, 64)
            out[f"{name}.{frame}.pointer"] = draw(1, 256)
    return out

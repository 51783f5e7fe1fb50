"""Seeded weights for EdgeTAM and EfficientTAM: `weights.seeded_state`, with batch normalisation made usable.

Drawn like the rest, a `running_var` would be negative in places; here it is 0.5 + 5 |value|, about 0.5 to 4. `bn.weight` is
multiplied by 0.7: a trunk without layer normalisation otherwise multiplies its signal by 1e5 (measured) and nothing after it
would be tested. `num_batches_tracked`, an integer that inference does not read, is 0. EfficientTAM has none of these names, so
its weights are those of `weights.seeded_state`.
"""

import torch

from tests.reference.weights import seeded_state as plain_state


def seeded_state(shapes: dict[str, list[int]], seed: int = 0) -> dict[str, torch.Tensor]:
    state = plain_state(shapes, seed)
    for name, value in state.items():
        if name.endswith("running_var"):
            state[name] = 0.5 + 5 * value.abs()
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.zeros((), dtype=torch.long)
        elif name.endswith("bn.weight"):
            state[name] = 0.7 * value
    return state

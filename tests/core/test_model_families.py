"""What EdgeTAM and EfficientTAM have that SAM 2 has not."""

from __future__ import annotations

import copy

import pytest
import torch

from sam2_plugins.core.families.edgetam import RepVitConfig
from sam2_plugins.core.model.memory_form import PooledForm, on_grid
from sam2_plugins.core.model.repvit import RepVit
from sam2_plugins.core.model.spatial_perceiver import SpatialPerceiver
from tests.reference.fast_weights import seeded_state

SMALL = RepVitConfig(channels=(16, 24, 32, 40), stages=(1, 2, 2, 1))


@pytest.fixture
def trunk() -> RepVit:
    return filled(RepVit(SMALL)).eval()


def filled(trunk: RepVit, seed: int = 0) -> RepVit:
    shapes = {name: list(tensor.shape) for name, tensor in trunk.state_dict().items()}
    trunk.load_state_dict(seeded_state(shapes, seed))
    return trunk


PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def branches(trunk: RepVit) -> torch.Tensor:
    """The coarsest map, as training computes it."""
    return trunk(PIXELS)[-1].detach()


def fused(trunk: RepVit) -> torch.Tensor:
    with torch.inference_mode():
        return trunk(PIXELS)[-1].clone()


def alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).abs().max() < 1e-5 * one.abs().max())


def test_one_convolution_does_what_the_branches_do(trunk: RepVit) -> None:
    assert alike(fused(trunk), branches(trunk))


def test_what_is_fused_is_not_saved(trunk: RepVit) -> None:
    before = list(trunk.state_dict())
    fused(trunk)
    assert list(trunk.state_dict()) == before
    assert "body.stages_1.downsample.pre_block.token_mixer.conv1.bn.running_var" in before


def test_changed_weights_are_fused_anew(trunk: RepVit) -> None:
    first = fused(trunk)
    filled(trunk, seed=1)
    second = fused(trunk)
    assert not alike(second, first)
    assert alike(second, branches(trunk))
    with torch.no_grad():  # as an average of weights follows, in evaluation mode
        trunk.get_parameter("body.stages_0.blocks.0.token_mixer.conv1.c.weight").lerp_(
            torch.tensor(2.0), 0.5
        )
    assert alike(fused(trunk), branches(trunk))
    assert not alike(fused(trunk), second)


def test_a_copy_is_fused_by_its_own_weights(trunk: RepVit) -> None:
    first = fused(trunk)
    other = filled(copy.deepcopy(trunk), seed=1)
    assert not alike(fused(other), first)
    assert alike(fused(trunk), first)


def test_autocast_gets_weights_of_its_own_kind(trunk: RepVit) -> None:
    exact = fused(trunk)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        rough = trunk(PIXELS)[-1]
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()
    assert torch.equal(fused(trunk), exact)


def test_training_learns_weights_and_leaves_statistics(trunk: RepVit) -> None:
    before = {name: value.clone() for name, value in trunk.named_buffers()}
    trunk.train()
    in_training = branches(trunk)
    assert alike(in_training, branches(trunk.eval()))
    trunk.train()
    torch.stack([x.square().mean() for x in trunk(PIXELS)]).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in trunk.named_buffers())
    assert all(parameter.grad is not None for parameter in trunk.parameters())


def test_a_trunk_that_does_not_learn_is_fused_while_the_rest_learns(trunk: RepVit) -> None:
    trunk.requires_grad_(False)
    assert trunk(PIXELS)[-1].grad_fn is None
    assert trunk._fused is not None


def test_each_latent_of_the_grid_looks_at_its_own_part() -> None:
    torch.manual_seed(0)
    perceiver = SpatialPerceiver(64, unplaced=4, side=2)
    maps = torch.randn(1, 64, 8, 8)
    changed = maps.clone()
    changed[..., :4, 4:] = torch.randn(1, 64, 4, 4)  # the second part, row by row
    with torch.no_grad():
        moved = (perceiver(changed) - perceiver(maps)).abs().amax(-1)[0] > 1e-6
    assert moved.tolist() == [True] * 4 + [False, True, False, False]


def test_objects_are_condensed_together_as_alone() -> None:
    torch.manual_seed(0)
    perceiver, maps = SpatialPerceiver(64, unplaced=4, side=2), torch.randn(3, 64, 4, 4)
    with torch.no_grad():
        alone = torch.cat([perceiver(one) for one in maps.split(1)])
        assert torch.allclose(perceiver(maps), alone, atol=1e-5)


def test_latents_without_a_place_are_not_rotated() -> None:
    keys, values = torch.randn(1, 1, 2 * (3 + 4) + 5, 8), torch.zeros(1, 19, 2)
    perceiver = SpatialPerceiver(8, unplaced=3, side=2)
    placed = perceiver.place(keys.clone(), values, grid=6, unplaced=5).keys
    same = (placed == keys).all(-1)[0, 0].tolist()
    # The first of a grid is at (0, 0), where nothing turns.
    memory = [True] * 3 + [True, False, False, False]
    assert same == memory * 2 + [True] * 5


@pytest.mark.parametrize("weigh", ["logits", "keys"])
def test_one_memory_is_not_pooled(weigh) -> None:
    keys, values = torch.randn(1, 1, 16 + 4, 8), torch.randn(1, 20, 2)
    pooled = PooledForm(weigh).place(keys.clone(), values, grid=4, unplaced=4)
    plain = on_grid(keys.clone(), values, grid=4, unplaced=4)
    assert torch.equal(pooled.keys, plain.keys)
    assert pooled.bias is None


def test_pooled_keys_of_equal_tokens_weigh_as_much_as_all_of_them() -> None:
    token = torch.zeros(1, 1, 1, 8)
    keys = torch.cat((token.expand(1, 1, 32, 8), torch.ones(1, 1, 4, 8)), 2)
    values = torch.randn(1, 36, 2)
    values[:, :32] = values[:, :32].mean(1, keepdim=True)
    query = torch.randn(1, 1, 1, 8)

    def attended(place) -> torch.Tensor:
        placed = place(keys.clone(), values, grid=4, unplaced=4)
        bias = placed.bias if placed.bias is not None else torch.zeros(placed.keys.shape[-2])
        weights = (query @ placed.keys.mT + bias).softmax(-1)
        return weights[0] @ placed.values

    assert torch.allclose(attended(PooledForm("logits").place), attended(on_grid))

"""What a frame costs with one model and with another, on a processor: CPU seconds by part.

    python benchmarks/model_families.py edgetam sam2.1-tiny --size 1024 --objects 1 8

The models take turns, part by part, so that what else runs on the machine meets all of them; the
best of the rounds counts. Weights are random: the time is the same. `--edgetam FOLDER` adds the
authors' EdgeTAM from a checkout of https://github.com/facebookresearch/EdgeTAM (with its
dependencies hydra-core, iopath, timm and torchvision); its perceiver, which fails with more than
one object, is mended for the comparison.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from sam2_plugins.core.model import Memories, build_model
from sam2_plugins.core.variants import get_variant

Parts = dict[str, Callable[[], Any]]
PARTS = ("image encoder", "memory attention", "mask decoder", "memory encoder")


def ours(name: str, size: int, objects: int) -> Parts:
    """One frame with a full memory, in parts."""
    model = build_model(get_variant(name), size).eval()
    variant = model.variant
    pixels = torch.randn(1, 3, size, size)
    here = model.encode_image(pixels)
    mask, score = torch.randn(objects, 1, size // 4, size // 4), torch.ones(objects, 1)
    memory = model.encode_memory(here.coarse, mask, score, prompted=False)
    memories = Memories(
        maps=memory[:, None].repeat_interleave(variant.num_memories, 1),
        slots=torch.arange(variant.num_memories).expand(objects, -1),
        pointers=torch.randn(objects, variant.max_pointers, variant.width),
        distances=torch.arange(1, 1 + variant.max_pointers).expand(objects, -1),
        span=variant.max_pointers - 1,
    )
    coarse = model.without_memory(here.coarse).expand(objects, -1, -1, -1)
    return {
        "image encoder": lambda: model.encode_image(pixels),
        "memory attention": lambda: model.attend_to_memory(here.coarse, memories),
        "mask decoder": lambda: model.decode(coarse, here.skips),
        "memory encoder": lambda: model.encode_memory(here.coarse, mask, score, prompted=False),
    }


def official_edgetam(checkout: Path, size: int, objects: int) -> Parts:
    """Do the same with the authors' code, batched as their predictor does."""
    sys.path.insert(0, str(checkout))
    import sam2  # noqa: F401  # its import tells hydra where the configurations are
    import timm.models
    from hydra import compose
    from hydra.utils import instantiate
    from sam2.modeling.backbones import timm as backbone

    side = size // 16

    def untrained(name: str, pretrained: bool, **kwargs: Any) -> Any:
        return timm.models.create_model(name, pretrained=False, **kwargs)

    layer = "++model.memory_attention.layer"
    with patch.object(backbone, "create_model", untrained):
        config = compose(
            config_name="configs/edgetam.yaml",
            overrides=[
                f"++model.image_size={size}",
                f"{layer}.self_attention.feat_sizes=[{side},{side}]",
                f"{layer}.cross_attention.q_sizes=[{side},{side}]",
            ],
        )
        model = instantiate(config.model, _recursive_=True).eval()
    _mend(model.spatial_perceiver)
    pixels = torch.randn(1, 3, size, size)

    def encode() -> Any:
        return model._prepare_backbone_features(model.forward_image(pixels))

    _, features, positions, sizes = encode()
    features = [f.expand(-1, objects, -1) for f in features]
    positions = [p.expand(-1, objects, -1) for p in positions]
    mask, score = torch.randn(objects, 1, size, size), torch.ones(objects, 1)

    def remember() -> Any:
        return model._encode_new_memory(features, sizes, mask, score, is_mask_from_pts=False)

    memory, position = remember()
    seen = {
        "maskmem_features": memory,
        "maskmem_pos_enc": position,
        "obj_ptr": torch.randn(objects, 256),
    }
    bank = {
        "cond_frame_outputs": {0: seen},
        "non_cond_frame_outputs": dict.fromkeys(range(1, 30), seen),
    }

    def attend() -> Any:
        return model._prepare_memory_conditioned_features(
            frame_idx=30,
            is_init_cond_frame=False,
            current_vision_feats=features[-1:],
            current_vision_pos_embeds=positions[-1:],
            feat_sizes=sizes[-1:],
            output_dict=bank,
            num_frames=100,
        )

    coarse = torch.randn(objects, 256, side, side)
    fine = [
        f.permute(1, 2, 0).view(objects, -1, *s)
        for f, s in zip(features[:-1], sizes[:-1], strict=True)
    ]
    return {
        "image encoder": encode,
        "memory attention": attend,
        "mask decoder": lambda: model._forward_sam_heads(
            backbone_features=coarse, high_res_features=fine, multimask_output=True
        ),
        "memory encoder": remember,
    }


def _mend(perceiver: Any) -> None:
    """Let the latents of a grid be viewed for several objects: they are expanded, not copied."""
    perceiver.latents_2d = _Copied(perceiver._parameters.pop("latents_2d"))


class _Copied:
    """A tensor that is copied where it is expanded."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def unsqueeze(self, dim: int) -> _Copied:
        return _Copied(self.tensor.unsqueeze(dim))

    def expand(self, *shape: int) -> torch.Tensor:
        return self.tensor.expand(*shape).contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--edgetam", type=Path, help="a checkout of the authors' repository")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for objects in given.objects:
        with torch.inference_mode():
            candidates = {name: ours(name, given.size, objects) for name in given.models}
            if given.edgetam:
                official = official_edgetam(given.edgetam, given.size, objects)
                candidates["EdgeTAM, its authors' code"] = official
            show(candidates, given.rounds, given.size, objects)


def show(candidates: dict[str, Parts], rounds: int, size: int, objects: int) -> None:
    spent = {name: dict.fromkeys(PARTS, float("inf")) for name in candidates}
    for part in PARTS:
        for _ in range(rounds):
            for name, parts in candidates.items():
                began = time.process_time()
                parts[part]()
                taken = time.process_time() - began
                spent[name][part] = min(spent[name][part], taken)
    print(f"{size} px, objects: {objects}, 1 thread, CPU seconds a frame", flush=True)
    last = sum(list(spent.values())[-1].values())
    for name, each in spent.items():
        figures = "  ".join(f"{part} {seconds:.2f}" for part, seconds in each.items())
        total = sum(each.values())
        print(f"  {name:28s} {total:6.2f}  ({total / last:.2f} of the last)  {figures}", flush=True)


if __name__ == "__main__":
    main()

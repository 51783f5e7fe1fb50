"""RepViT, a convolutional trunk (Wang et al. 2024), as EdgeTAM has it.

Where it learns, depthwise convolutions have branches that are summed, and batch normalisation; both
are linear, so that for inference all of that becomes one convolution. The weights, and what is
saved, are always those of the branches.

Statistics of batch normalisation are part of the published weights, and stay as they are in
training: the few frames of a fine-tuning would make worse ones.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2_plugins.core.families.edgetam import RepVitConfig
from sam2_plugins.core.model.fast import Prepared


class _FixedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that never takes the statistics of a batch."""

    def train(self, mode: bool = True) -> _FixedBatchNorm:
        """Stay in evaluation mode."""
        super().train(False)
        return self


class _ConvNorm(nn.Module):
    """A convolution without bias, and batch normalisation."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            channels, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = _FixedBatchNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.c(x))

    def fused(self) -> nn.Conv2d:
        """One convolution that does the same."""
        conv, norm = self.c, self.bn
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        return _convolution(
            conv.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale, conv
        )


def _convolution(weight: Tensor, bias: Tensor, like: nn.Conv2d) -> nn.Conv2d:
    made = nn.utils.skip_init(
        nn.Conv2d,
        like.in_channels,
        like.out_channels,
        weight.shape[-1],
        like.stride,
        padding=weight.shape[-1] // 2,
        groups=like.groups,
    )
    made.weight, made.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    return made


class _TokenMixer(nn.Module):
    """Depthwise: a convolution of three by three, one of one by one, and the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _ConvNorm(channels, channels, 3, groups=channels)
        self.conv1 = _ConvNorm(channels, channels, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.conv1(x) + x

    def fused(self) -> nn.Conv2d:
        """One convolution that does the same: the other branches join the kernel's centre."""
        wide, narrow = self.conv.fused(), self.conv1.fused()
        assert wide.bias is not None
        assert narrow.bias is not None
        weight = wide.weight + F.pad(narrow.weight + 1, (1, 1, 1, 1))
        return _convolution(weight, wide.bias + narrow.bias, self.conv.c)


class _ChannelMixer(nn.Module):
    """Two layers for each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(channels, 2 * channels, 1)
        self.conv2 = _ConvNorm(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.gelu(self.conv1(x)))


class _SqueezeExcite(nn.Module):
    """Weigh channels by what is in the whole frame (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # A quarter, in eights; rounded up where rounding down would take more than a tenth.
        hidden = max(8, int(channels / 4 + 4) // 8 * 8)
        hidden += 8 if hidden < 0.9 * channels / 4 else 0
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * weights.sigmoid()


class _Block(nn.Module):
    def __init__(self, channels: int, squeeze: bool) -> None:
        super().__init__()
        self.token_mixer = _TokenMixer(channels)
        self.se: nn.Module = _SqueezeExcite(channels) if squeeze else nn.Identity()
        self.channel_mixer = _ChannelMixer(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)


class _Downsample(nn.Module):
    """Half the size, more channels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.pre_block = _Block(channels, squeeze=False)
        self.spatial_downsample = _ConvNorm(channels, channels, 3, stride=2, groups=channels)
        self.channel_downsample = _ConvNorm(channels, out, 1)
        self.ffn = _ChannelMixer(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)


class _Stage(nn.Module):
    def __init__(self, before: int, channels: int, depth: int) -> None:
        super().__init__()
        # The first stage has the size and the channels of the stem.
        self.downsample: nn.Module = (
            nn.Identity() if before == channels else _Downsample(before, channels)
        )
        self.blocks = nn.Sequential(*(_Block(channels, i % 2 == 0) for i in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class _Stem(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(3, channels // 2, 3, stride=2)
        self.conv2 = _ConvNorm(channels // 2, channels, 3, stride=2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.conv2(F.gelu(self.conv1(pixels)))


class _Body(nn.Module):
    def __init__(self, config: RepVitConfig) -> None:
        super().__init__()
        before = config.channels[0]
        self.stem = _Stem(before)
        self.names = []
        for index, (channels, depth) in enumerate(zip(config.channels, config.stages, strict=True)):
            self.names.append(f"stages_{index}")
            self.add_module(self.names[-1], _Stage(before, channels, depth))
            before = channels

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x, maps = self.stem(pixels), []
        for name in self.names:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return maps


class RepVit(nn.Module, Prepared):
    """Feature maps at stride 4, 8, 16 and 32 of an image."""

    def __init__(self, config: RepVitConfig) -> None:
        super().__init__()
        self.body = _Body(config)
        self._fused: _FusedBody | None = None

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode pixels [B, 3, S, S]; the maps are [B, C_i, S / stride, S / stride]."""
        maps: list[Tensor]
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.body.parameters()):
            maps = self.body(pixels)
            return maps
        dtype = _autocast_dtype(pixels.device.type)
        if self._fused is None or not self._fused.is_of(self.body, dtype):
            self._fused = _FusedBody(self.body, dtype)
        return self._fused(pixels)


class _FusedBody:
    """A copy of a body for inference: one convolution where the body has branches.

    It is no module, so that it is neither saved nor trained.

    Parameters
    ----------
    dtype
        What autocast computes in, where it is on: the weights are cast once instead of each time.
    """

    def __init__(self, body: _Body, dtype: torch.dtype | None) -> None:
        # Whatever the mode of the call that makes it, calls in any mode may use it.
        with torch.inference_mode(False), torch.no_grad():
            self._body = copy.deepcopy(body)
            _fuse(self._body)
            for module in self._body.modules():
                if isinstance(module, nn.Conv2d):
                    module.to(dtype)
                    module.weight.data = module.weight.contiguous(memory_format=torch.channels_last)
        self._dtype = dtype
        self._made_of = _state(body)
        self._versions = [_version(tensor) for tensor in self._made_of]

    def is_of(self, body: _Body, dtype: torch.dtype | None) -> bool:
        """Tell whether this is a copy in `dtype` of the weights that the body has now."""
        now = _state(body)
        same = all(a is b for a, b in zip(now, self._made_of, strict=True))
        return same and dtype == self._dtype and [_version(t) for t in now] == self._versions

    def __call__(self, pixels: Tensor) -> list[Tensor]:
        maps = self._body(pixels.contiguous(memory_format=torch.channels_last))
        return [x.contiguous() for x in maps]


def _autocast_dtype(kind: str) -> torch.dtype | None:
    on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if on else None


def _state(body: _Body) -> list[Tensor]:
    return [*body.parameters(), *body.buffers()]


def _version(tensor: Tensor) -> tuple[int, int]:
    """What changes when a tensor's values do."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


def _fuse(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, (_ConvNorm, _TokenMixer)):
            setattr(module, name, child.fused())
        else:
            _fuse(child)

"""Objects with an outline, an attached texture and a pose for each frame of their life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .noise import Field
from .shapes import Pose, Rod, Shape
from .tiles import Interior

# Antialiased edges and rims reach this far, in pixels, beyond the outline.
_MARGIN = 6


@dataclass(frozen=True)
class Body:
    """One object; its texture covers the square around it and moves with it."""

    label: int
    shape: Shape
    texture: Interior
    poses: Mapping[int, Pose]

    def pose_at(self, time: float) -> Pose | None:
        """The pose between two frames, or None when the object does not exist then."""
        first = int(time)
        now = self.poses.get(first)
        after = self.poses.get(first + 1)
        if now is None or after is None or time == first:
            return now
        share = time - first
        return replace(
            now,
            x=now.x + share * (after.x - now.x),
            y=now.y + share * (after.y - now.y),
            angle=now.angle + share * (after.angle - now.angle),
            radius=now.radius + share * (after.radius - now.radius),
        )


@dataclass(frozen=True)
class Patch:
    """The part of the frame that a body touches."""

    box: tuple[slice, slice]
    depth: Field
    u: Field
    v: Field
    extent: float

    def sample(self, texture: Field) -> Field:
        """The body's texture at every pixel of the patch (bilinear, edges repeated)."""
        last = len(texture) - 1
        scale = np.float32(last / (2 * self.extent))
        column = np.clip(self.u * scale + np.float32(last / 2), 0, last - 1e-3)
        row = np.clip(self.v * scale + np.float32(last / 2), 0, last - 1e-3)
        left, top = column.astype(np.intp), row.astype(np.intp)
        right, down = column - left, row - top
        if texture.ndim == 3:
            right, down = right[..., None], down[..., None]
        flat = texture.reshape(-1, *texture.shape[2:])
        index = top * len(texture) + left
        upper = flat[index] * (1 - right) + flat[index + 1] * right
        index += len(texture)
        lower = flat[index] * (1 - right) + flat[index + 1] * right
        return np.asarray(upper + down * (lower - upper), np.float32)


def cut_patch(shape: Shape, pose: Pose, time: float, frame: tuple[int, int]) -> Patch | None:
    """Signed distance and own coordinates of a shape in its bounding box, or None if outside."""
    reach = shape.reach(pose, time)
    extent = reach + _MARGIN
    top, left = max(0, int(pose.y - extent)), max(0, int(pose.x - extent))
    bottom, right = min(frame[0], int(pose.y + extent) + 2), min(frame[1], int(pose.x + extent) + 2)
    if top >= bottom or left >= right:
        return None
    y = (np.arange(top, bottom, dtype=np.float32) - np.float32(pose.y))[:, None]
    x = (np.arange(left, right, dtype=np.float32) - np.float32(pose.x))[None]
    cos, sin = np.float32(np.cos(pose.angle)), np.float32(np.sin(pose.angle))
    u, v = cos * x + sin * y, cos * y - sin * x
    # Textures must not breathe with the outline, so stars are measured by their mean radius.
    span = reach if isinstance(shape, Rod) else 1.7 * pose.radius
    depth = shape.depth(u, v, pose, time)
    return Patch((slice(top, bottom), slice(left, right)), depth, u, v, span)


@dataclass(frozen=True)
class Layers:
    """A frame of cells that share borders without overlap; all arrays are [H, W].

    `depth` is the distance in pixels to the visible border, positive inside.
    """

    labels: NDArray[np.uint8]
    depth: Field
    texture: Field
    gain: Field
    radius: Field

    @property
    def coverage(self) -> Field:
        """How much of each pixel is covered, antialiased, 0 to 1."""
        return np.asarray(np.clip(self.depth + np.float32(0.5), 0, 1))


def press_together(bodies: list[Body], frame: int, size: tuple[int, int]) -> Layers:
    """Draw cells that press on each other: each pixel belongs to the cell it lies deepest in."""
    labels = np.zeros(size, np.uint8)
    first = np.full(size, -64, np.float32)
    second = np.full(size, -64, np.float32)
    texture, gain = np.zeros(size, np.float32), np.zeros(size, np.float32)
    radius = np.ones(size, np.float32)
    for body in bodies:
        pose = body.poses.get(frame)
        patch = cut_patch(body.shape, pose, frame, size) if pose and pose.gain > 0 else None
        if pose is None or patch is None:
            continue
        box, depth = patch.box, patch.depth
        wins = depth > first[box]
        second[box] = np.where(wins, first[box], np.maximum(second[box], depth))
        first[box] = np.maximum(first[box], depth)
        np.copyto(labels[box], np.uint8(body.label), where=wins & (depth > 0))
        np.copyto(texture[box], patch.sample(body.texture.at(frame)), where=wins)
        np.copyto(gain[box], np.float32(pose.gain), where=wins)
        np.copyto(radius[box], np.float32(pose.radius), where=wins)
    return Layers(labels, np.minimum(first, (first - second) / 2), texture, gain, radius)

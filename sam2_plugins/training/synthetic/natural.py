"""Coloured clips: a few textured, often jointed objects before a textured, moving background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .bodies import Body, cut_patch
from .clip import Clip
from .noise import Field, blur, drifting, fractal_field, log_uniform, smooth_field, white_noise
from .photos import Photos
from .shapes import Pose, Shape, blob, drifting_rod, jointed, polygon, spread_cell
from .stage import look_through, stage_path
from .tiles import Interior, random_colour, surface, tile_size, two_toned

_BLUR_TIMES = (-0.3, 0.0, 0.3)

_PHOTOGRAPHED = 0.7
"""Share of clips whose surfaces are photographs, where there are any."""


@dataclass(frozen=True)
class _Actor:
    """A body and what light does to it; label 0 marks occluders and clutter."""

    body: Body
    rounding: float
    shadow: tuple[float, float, float] | None


@dataclass(frozen=True)
class _Camera:
    """Where the frame looks, frame by frame: offsets x + iy in pixels, and magnification."""

    path: NDArray[np.complex128]
    zoom: NDArray[np.float64]

    def at(self, time: float) -> tuple[complex, float]:
        clock = np.arange(len(self.path))
        place = np.interp(time, clock, self.path.real) + 1j * np.interp(time, clock, self.path.imag)
        return complex(place), float(np.interp(time, clock, self.zoom))


def natural_clip(
    rng: np.random.Generator, size: tuple[int, int], frames: int, photos: Photos | None = None
) -> Clip:
    """One clip with one to eight objects; front objects hide those behind.

    `photos` give the surfaces of some clips.
    """
    photos = photos if photos and rng.random() < _PHOTOGRAPHED else None
    side = min(size)
    count = int(rng.choice([1, 2, 3, 4, 6, 8], p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05]))
    typical = log_uniform(rng, 0.14, 0.55 if count < 4 else 0.35) * side
    tempo = log_uniform(rng, 0.003, 0.07) * side
    backdrop_colour = random_colour(rng)
    alike = rng.random() < 0.3
    ways = _ways(rng, size, frames, count, tempo)
    camera = _camera(rng, frames, side, ways[0])
    actors = []
    for label, way in enumerate(ways, 1):
        diameter = typical * np.exp(0.35 * rng.standard_normal())
        near = backdrop_colour if alike else None
        actors.append(_actor(rng, label, frames, diameter, way, near, photos))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))):
        passed = ways[0][int(rng.integers(frames))] if rng.random() < 0.6 else None
        actors.append(_occluder(rng, size, frames, typical, passed))
    backdrop = _backdrop(rng, size, camera, typical, backdrop_colour, photos)
    return _film(rng, size, frames, backdrop, actors, camera)


def _ways(
    rng: np.random.Generator, size: tuple[int, int], frames: int, count: int, tempo: float
) -> list[NDArray[np.complex128]]:
    """Paths x + iy in pixels from the frame's centre; some are aimed at each other."""
    height, width = size
    ways: list[NDArray[np.complex128]] = []
    for index in range(count):
        start = width * rng.uniform(-0.35, 0.35) + 1j * height * rng.uniform(-0.35, 0.35)
        if index and rng.random() < 0.15:
            start *= 2  # outside at first
        pace = tempo * rng.exponential(1.0)
        heading = np.exp(2j * np.pi * rng.random())
        if index and rng.random() < 0.5:
            meeting = ways[0][int(rng.integers(frames // 3, frames))]
            heading = np.exp(1j * np.angle(meeting - start))
        wander = drifting(rng, frames, (2,), 0.8) @ np.array([1, 1j])
        step = pace * heading + 0.3 * pace * wander
        way = start + np.cumsum(step) - step[0]
        if rng.random() < 0.2:  # it bounces
            beat, begun = rng.uniform(0.2, 0.9), rng.uniform(0, 3)
            hops = 0.3 * min(size) * np.abs(np.sin(beat * np.arange(frames) + begun))
            way = way - 0.3j * hops
        ways.append(way)
    return ways


def _camera(
    rng: np.random.Generator, frames: int, side: int, followed: NDArray[np.complex128]
) -> _Camera:
    path = stage_path(rng, frames, side, restless=0.7)
    if rng.random() < 0.4:
        # A camera that follows its subject: the background slides away behind it.
        path = path + rng.uniform(0.5, 1.0) * (followed - followed[0])
    if rng.random() < 0.3:
        # A fast camera: the whole scene sweeps by.
        sweep = drifting(rng, frames, (2,), 0.9) @ np.array([1, 1j])
        path = path + rng.uniform(0.02, 0.08) * side * np.cumsum(sweep)
    far = np.abs(path).max() / (0.8 * side)
    pace = rng.normal(0, rng.choice([0.02, 0.06]))
    zoom = np.exp(pace * np.arange(frames) * (rng.random() < 0.4))
    return _Camera(path / max(1.0, far), np.clip(zoom, 0.6, 2.0))


def _actor(
    rng: np.random.Generator,
    label: int,
    frames: int,
    diameter: float,
    way: NDArray[np.complex128],
    near: NDArray | None,
    photos: Photos | None = None,
) -> _Actor:
    shape, rod, upright = _outline(rng, frames)
    n = tile_size(diameter)
    turn = rng.uniform(-0.3, 0.3) if upright else rng.uniform(0, 2 * np.pi)
    spin = rng.normal(0, 0.02 if upright else 0.1) * (rng.random() < 0.7)
    sway = 0.08 * drifting(rng, frames, (), 0.9)
    # What comes nearer may grow to several times its size.
    growth = rng.normal(0, rng.choice([0.02, 0.02, 0.1])) * (rng.random() < 0.6)
    poses = {}
    for frame in range(frames):
        radius = diameter / 2 * float(np.exp(np.clip(growth * frame, -1.2, 1.2)))
        half = radius * 0.75 if rod else 0.0
        thick = radius * 0.25 if rod else radius * (0.6 if upright else 1.0)
        angle = turn + spin * frame + sway[frame]
        poses[frame] = Pose(way[frame].real, way[frame].imag, angle, thick, half)
    shadow = None
    if rng.random() < 0.35:
        shadow = (rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.5), rng.uniform(0.15, 0.6))
    skin = Interior(photos.surface(rng, (n, n)) if photos else two_toned(rng, n, near))
    return _Actor(Body(label, shape, skin, poses), rng.uniform(0, 0.7), shadow)


def _outline(rng: np.random.Generator, frames: int) -> tuple[Shape, bool, bool]:
    """A shape, whether it is a rod, and whether it has a right way up."""
    choice = rng.random()
    if choice < 0.45:
        return jointed(rng, frames), False, True
    if choice < 0.6:
        return polygon(rng, frames), False, False
    if choice < 0.7:
        return spread_cell(rng, frames, 0.9), False, False
    if choice < 0.8:
        return drifting_rod(rng, frames, 0.5), True, False
    return blob(rng, frames, rng.uniform(0.02, 0.2), rng.uniform(1, 2.5), 8, 0.9), False, False


def _occluder(
    rng: np.random.Generator,
    size: tuple[int, int],
    frames: int,
    typical: float,
    passed: complex | None,
) -> _Actor:
    """A pole, a bush or a block before everything, perhaps where an object comes by."""
    pole = rng.random() < 0.5
    shape = drifting_rod(rng, frames, 0.0) if pole else blob(rng, frames, 0.2, 1.5, 10, 1.0)
    x, y = (rng.uniform(-0.5, 0.5) * length for length in (size[1], size[0]))
    if passed is not None:
        x, y = passed.real, 0.0 if pole else passed.imag
    radius = typical * (log_uniform(rng, 0.06, 0.5) if pole else rng.uniform(0.2, 0.7))
    half = size[0] * 0.7 if pole else 0.0
    angle = np.pi / 2 + rng.normal(0, 0.15)
    pose = Pose(x, y, angle, radius, half)
    n = tile_size(2 * max(radius, half))
    bark = Interior(surface(rng, (n, n), fine=2.0))
    body = Body(0, shape, bark, dict.fromkeys(range(frames), pose))
    return _Actor(body, rng.uniform(0, 0.5), None)


def _backdrop(
    rng: np.random.Generator,
    size: tuple[int, int],
    camera: _Camera,
    typical: float,
    colour: NDArray,
    photos: Photos | None,
) -> Field:
    """Scenery larger than the frame: regions of different surfaces, clutter, light."""
    zoom_out = 1 / float(camera.zoom.min())
    reach = int(np.ceil(np.abs(camera.path).max())) + 4
    canvas = (int(size[0] * zoom_out) + 2 * reach, int(size[1] * zoom_out) + 2 * reach)
    image = photos.surface(rng, canvas) if photos else surface(rng, canvas, colour)
    for _ in range(0 if photos else int(rng.integers(0, 4))):
        border = smooth_field(rng, canvas, rng.uniform(1, 6))
        if rng.random() < 0.5:
            ramp = np.linspace(-1, 1, canvas[0], dtype=np.float32)[:, None]
            border = 8 * (ramp - np.float32(rng.uniform(-0.5, 0.7))) + 0.3 * border
        share = 1 / (1 + np.exp(-np.clip(border * rng.choice([4, 20]), -30, 30)))
        other = surface(rng, canvas, fine=rng.uniform(0.7, 2.0))
        image += np.asarray(share, np.float32)[..., None] * (other - image)
    centre = (canvas[0] / 2, canvas[1] / 2)
    for _ in range(int(rng.choice([0, 2, 6, 12]))):
        diameter = typical * rng.uniform(0.2, 1.2)
        where = (rng.uniform(-0.5, 0.5, 2) * canvas) @ np.array([1j, 1])
        actor = _actor(
            rng, 0, 1, diameter, np.array([where]), colour if rng.random() < 0.5 else None, photos
        )
        _paint(image, actor, 0.0, centre, 0j, 1.0, None)
    light = 1 + np.float32(0.15) * fractal_field(rng, canvas, 2, 2)
    return np.asarray(image * light[..., None], np.float32)


def _film(
    rng: np.random.Generator,
    size: tuple[int, int],
    frames: int,
    backdrop: Field,
    actors: list[_Actor],
    camera: _Camera,
) -> Clip:
    smeared = rng.random() < 0.15
    noise = log_uniform(rng, 0.002, 0.05)
    fade = np.float32(rng.normal(0, 0.015))
    grey = rng.random() < 0.15
    softness = rng.uniform(0.4, 1.2) if rng.random() < 0.3 else 0.0
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)

    def view(time: float, labels: NDArray[np.uint8] | None = None) -> Field:
        place, zoom = camera.at(time)
        image = look_through(backdrop, size, place.real, place.imag, zoom)
        for actor in actors:
            _paint(image, actor, time, centre, place, zoom, labels)
        return image

    movie = np.zeros((frames, *size, 3), np.uint8)
    labels = np.zeros((frames, *size), np.uint8)
    for frame in range(frames):
        times = [float(np.clip(frame + t, 0, frames - 1)) for t in _BLUR_TIMES] if smeared else []
        views = [view(t) for t in times if t != frame]
        views.append(view(float(frame), labels[frame]))
        image = sum(views[1:], views[0]) / np.float32(len(views))
        if softness:
            image = np.stack([blur(image[..., channel], softness) for channel in range(3)], -1)
        if grey:
            image = np.repeat(image.mean(-1, keepdims=True), 3, -1)
        grain = white_noise(rng, (*size, 1 if grey else 3))
        image = image * (1 + fade * frame) + np.float32(noise) * grain
        movie[frame] = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Clip(movie, labels, "texture")


def _paint(
    image: Field,
    actor: _Actor,
    time: float,
    centre: tuple[float, float],
    place: complex,
    zoom: float,
    labels: NDArray[np.uint8] | None,
) -> None:
    """Draw an actor over what is there, and its label over other labels."""
    world = actor.body.pose_at(time)
    if world is None:
        return
    at = zoom * (complex(world.x, world.y) - place) + complex(centre[1], centre[0])
    pose = Pose(at.real, at.imag, world.angle, zoom * world.radius, zoom * world.half_length)
    size = (image.shape[0], image.shape[1])
    if actor.shadow is not None:
        right, down, strength = actor.shadow
        cast = replace(pose, x=pose.x + right * pose.radius, y=pose.y + down * pose.radius)
        shade = cut_patch(actor.body.shape, cast, time, size)
        if shade is not None:
            soft = np.clip(shade.depth / np.float32(0.3 * pose.radius) + 0.5, 0, 1)
            image[shade.box] *= 1 - np.float32(strength) * soft[..., None]
    patch = cut_patch(actor.body.shape, pose, time, size)
    if patch is None:
        return
    alpha = np.clip(patch.depth + np.float32(0.5), 0, 1)[..., None]
    colour = patch.sample(actor.body.texture.at(time))
    if actor.rounding:
        edge = np.clip(patch.depth / np.float32(0.6 * pose.radius), 0, 1)
        colour = colour * (1 - np.float32(actor.rounding) * (1 - edge) ** 2)[..., None]
    image[patch.box] += alpha * (colour - image[patch.box])
    if labels is not None:
        np.copyto(labels[patch.box], np.uint8(actor.body.label), where=patch.depth > 0)

"""Movies with exact truth that differ in kind from what nano is trained on, to choose it by.

Nothing of `sam2_plugins.training.synthetic` is used here: cells are Voronoi cells, level sets of
moving noise, chains of discs or sums of Gaussians, and the natural scenes are made of pictures that
scikit-image ships and no training uses (`coins`, `camera`, `ihc`, `brick`, `horse`,
`hubble_deep_field`, `retina`; public domain or CC0, see `skimage.data`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import data

Image = NDArray[np.floating]
Labels = NDArray[np.uint8]
Rng = np.random.Generator

FRAMES, HEIGHT, WIDTH = 12, 300, 400
_Y, _X = np.mgrid[:HEIGHT, :WIDTH].astype(float)


@dataclass(frozen=True)
class Scene:
    """A movie uint8 [T, H, W, 3] with labels uint8 [T, H, W], and which objects to prompt."""

    name: str
    kind: str
    frames: NDArray[np.uint8]
    labels: Labels
    objects: tuple[int, ...]


def scenes() -> Iterator[Scene]:
    """All scenes, the same every time."""
    for number, make in enumerate((*_MICROSCOPY, *_NATURAL)):
        rng = np.random.default_rng((20_260, number))
        images, labels = make(rng)
        kind = "microscopy" if make in _MICROSCOPY else "natural"
        name = make.__name__.strip("_").replace("_", " ")
        yield Scene(name, kind, _to_bytes(images), labels, _objects(labels))


def _objects(labels: Labels) -> tuple[int, ...]:
    """Up to four objects that are whole on the first frame and mostly there later."""
    inner = np.bincount(labels[0].ravel(), minlength=256)
    edge = np.concatenate((labels[0][0], labels[0][-1], labels[0][:, 0], labels[0][:, -1]))
    later = [np.bincount(frame.ravel(), minlength=256) for frame in labels[1:]]
    fit = [
        k
        for k in range(1, 256)
        if inner[k] >= 80
        and k not in edge
        and np.mean([n[k] > 0.3 * inner[k] for n in later]) > 0.6
    ]
    return tuple(fit[:: max(1, len(fit) // 4)][:4])


def _to_bytes(images: list[Image]) -> NDArray[np.uint8]:
    movie = np.stack([i if i.ndim == 3 else np.repeat(i[..., None], 3, 2) for i in images])
    return (np.clip(movie, 0, 1) * 255).round().astype(np.uint8)


def _noise(rng: Rng, sigma: float, shape: tuple[int, ...] = (HEIGHT, WIDTH)) -> Image:
    field = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray(field / field.std())


def _grain(rng: Rng, image: Image, amount: float) -> Image:
    return np.asarray(image + amount * rng.standard_normal(image.shape))


# -- microscopy


def _epithelium(rng: Rng) -> tuple[list[Image], Labels]:
    """A sheet of Voronoi cells that flows and is stretched; only membranes are stained."""
    seeds = np.stack((rng.uniform(-60, HEIGHT + 60, 150), rng.uniform(-60, WIDTH + 60, 150)), 1)
    pull = rng.normal(0, 2.0, seeds.shape)
    for _ in range(3):
        near = cKDTree(seeds).query(seeds, 4)[1]
        seeds = seeds + 0.35 * (seeds - seeds[near].mean(1))
    flow, images, labels = np.array([1.5, 2.5]), [], []
    bend = np.stack((_noise(rng, 12), _noise(rng, 12))) * 3
    places = np.stack((_Y + bend[0], _X + bend[1]), -1)
    stain = 0.75 + 0.25 * _noise(rng, 6)
    for frame in range(FRAMES):
        now = seeds + frame * flow + pull * np.sin(frame / 4)
        now[:, 1] = WIDTH / 2 + (now[:, 1] - WIDTH / 2) * (1 + 0.012 * frame)
        distance, owner = cKDTree(now).query(places, 2)
        gap = distance[..., 1] - distance[..., 0]
        line = np.exp(-((gap / 2.2) ** 2)) * stain
        images.append(_grain(rng, 0.12 + 0.6 * ndimage.gaussian_filter(line, 1), 0.04))
        labels.append((owner[..., 0] % 250 + 1).astype(np.uint8))
    return images, np.stack(labels)


def _amoebae(rng: Rng) -> tuple[list[Image], Labels]:
    """Level sets of moving noise about wandering hearts: outlines change all over."""
    hearts = np.array([[80, 90], [200, 120], [110, 280], [220, 310]], float)
    step = rng.normal(0, 2.5, hearts.shape)
    waves = np.stack([_noise(rng, 11) for _ in range(2)])
    texture = _noise(rng, 2.0)
    images, labels = [], []
    for frame in range(FRAMES):
        turn = 0.35 * frame
        wave = np.cos(turn) * waves[0] + np.sin(turn) * waves[1]
        label, image = np.zeros((HEIGHT, WIDTH), np.uint8), 0.5 + 0.02 * _noise(rng, 1)
        for k, heart in enumerate(hearts + frame * step, 1):
            radius = np.hypot(_Y - heart[0], _X - heart[1])
            level = 38 + 7 * wave - radius
            inside = level > 0
            label[inside & (label == 0)] = k
            moved = ndimage.shift(texture, frame * step[k - 1], mode="wrap", order=1)
            image = image + np.where(inside, 0.07 * moved - 0.05, 0)
            image = image + 0.3 * np.exp(-((level / 3) ** 2)) * np.sign(level + 1)
        images.append(_grain(rng, ndimage.gaussian_filter(image, 1), 0.02))
        labels.append(label)
    return images, np.stack(labels)


def _faint_nuclei(rng: Rng) -> tuple[list[Image], Labels]:
    """Sums of Gaussians under few photons, bleaching."""
    count = 22
    place = np.stack((rng.uniform(20, HEIGHT - 20, count), rng.uniform(20, WIDTH - 20, count)), 1)
    pace, size = rng.normal(0, 1.5, place.shape), rng.uniform(9, 15, count)
    ratio, angle = rng.uniform(0.6, 1.0, count), rng.uniform(0, np.pi, count)
    bright = rng.uniform(5, 16, count)
    images, labels = [], []
    for frame in range(FRAMES):
        light, best = np.full((HEIGHT, WIDTH), 1.0), np.full((HEIGHT, WIDTH), 0.45)
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k in range(count):
            y, x = (_Y, _X) - (place[k] + frame * pace[k])[:, None, None]
            turn = angle[k] + 0.05 * frame
            u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
            blob = np.exp(-(((u / size[k]) ** 2 + (v / (ratio[k] * size[k])) ** 2) ** 2))
            light = light + bright[k] * 0.96**frame * blob
            wins = blob > best
            label[wins], best = k + 1, np.maximum(best, blob)
        images.append(rng.poisson(light * 2) / 40)
        labels.append(label)
    return images, np.stack(labels)


def _chain_bacteria(
    rng: Rng, dark: bool = True, growth: float = 0.06
) -> tuple[list[Image], Labels]:
    """Bent chains of discs side by side, which grow lengthwise and push each other outward."""
    rows = [(r, c) for r in range(-2, 3) for c in range(-1, 2)]
    bend = rng.normal(0, 0.012, len(rows))
    length0 = rng.uniform(34, 48, len(rows))
    tilt = rng.normal(0, 0.12, len(rows))
    images, labels = [], []
    for frame in range(FRAMES):
        scale = (1 + growth) ** frame
        best = np.full((HEIGHT, WIDTH), -9.0)
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        drift = np.array([3.0 * frame, -2.0 * frame])
        for k, (row, column) in enumerate(rows, 1):
            length = length0[k - 1] * scale
            middle = np.array([150 + 17.5 * row, 210 + column * 56 * scale]) + drift
            along = np.linspace(-length / 2, length / 2, 14)
            arc = tilt[k - 1] + bend[k - 1] * along
            spine = middle + np.stack((np.cumsum(np.sin(arc)), np.cumsum(np.cos(arc))), 1) * (
                length / 14
            )
            spine -= spine.mean(0) - middle
            low, high = spine.min(0).astype(int) - 18, spine.max(0).astype(int) + 19
            box = (slice(max(0, low[0]), high[0]), slice(max(0, low[1]), high[1]))
            if min(high) <= 0 or low[0] >= HEIGHT or low[1] >= WIDTH:
                continue
            depth = 8.2 - cKDTree(spine).query(np.stack((_Y[box], _X[box]), -1))[0]
            wins = (depth > best[box]) & (depth > 0)
            label[box][wins] = k
            best[box] = np.maximum(best[box], depth)
        body = np.clip(best / 2 + 0.5, 0, 1)
        glow = ndimage.gaussian_filter(body, 9)
        image = 0.55 + 0.35 * glow * (1 - body) - 0.5 * body if dark else 0.1 + 0.6 * body
        images.append(_grain(rng, ndimage.gaussian_filter(image, 1.2), 0.025))
        labels.append(label)
    return images, np.stack(labels)


def _bright_bacteria(rng: Rng) -> tuple[list[Image], Labels]:
    """The same in fluorescence, growing faster."""
    return _chain_bacteria(rng, dark=False, growth=0.08)


def _relief(rng: Rng) -> tuple[list[Image], Labels]:
    """Flat cells pressed together, as the slope of a rough optical path."""
    seeds = np.stack((rng.uniform(0, HEIGHT, 14), rng.uniform(0, WIDTH, 14)), 1)
    pace = rng.normal(0, 1.6, seeds.shape)
    bend = np.stack((_noise(rng, 14), _noise(rng, 14))) * 7
    rough = [_noise(rng, 2.5) for _ in range(2)]
    images, labels = [], []
    for frame in range(FRAMES):
        turn = 0.12 * frame
        places = np.stack((_Y + np.cos(turn) * bend[0], _X + np.cos(turn) * bend[1]), -1)
        distance, owner = cKDTree(seeds + frame * pace).query(places, 2)
        gap = np.clip((distance[..., 1] - distance[..., 0]) / 2, 0, 14)
        there = distance[..., 0] < 62
        path = there * (
            np.sqrt(gap) * 1.3 + 0.5 * (np.cos(turn) * rough[0] + np.sin(turn) * rough[1])
        )
        slope = np.diff(ndimage.gaussian_filter(path, 1.0), axis=1, append=0)
        images.append(_grain(rng, 0.5 + 0.35 * slope, 0.02))
        labels.append(np.where(there, owner[..., 0] + 1, 0).astype(np.uint8))
    return images, np.stack(labels)


def _yeast(rng: Rng) -> tuple[list[Image], Labels]:
    """Discs with a bright ring in a dark one, budding: each grows from a point on its mother."""
    mothers = np.stack((rng.uniform(60, HEIGHT - 60, 6), rng.uniform(60, WIDTH - 60, 6)), 1)
    heading, size = rng.uniform(0, 2 * np.pi, 6), rng.uniform(17, 24, 6)
    images, labels = [], []
    for frame in range(FRAMES):
        best = np.full((HEIGHT, WIDTH), -30.0)
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k in range(6):
            bud = 2 + 1.1 * frame
            way = np.array([np.sin(heading[k]), np.cos(heading[k])])
            shift = frame * np.array([0.8, 1.2])
            for number, middle, radius in (
                (k + 1, mothers[k] + shift, size[k]),
                (k + 7, mothers[k] + shift + way * (size[k] + 0.8 * bud), bud),
            ):
                depth = radius - np.hypot(_Y - middle[0], _X - middle[1])
                wins = (depth > 0) & (depth > best)
                label[wins], best = number, np.maximum(best, depth)
        ring = np.exp(-(((best - 2) / 2.0) ** 2)) - 0.8 * np.exp(-(((best + 2) / 2.5) ** 2))
        images.append(_grain(rng, 0.45 + 0.4 * ring + 0.05 * (best > 0), 0.03))
        labels.append(label)
    return images, np.stack(labels)


def _tissue(rng: Rng) -> tuple[list[Image], Labels]:
    """A real stained section that is stretched and shears; nuclei are what is dark in it."""
    picture = data.immunohistochemistry()[60:440, :, :].astype(float) / 255
    dark = ndimage.gaussian_filter(picture[..., 0], 3)
    found, _ = ndimage.label(ndimage.binary_opening(dark < np.quantile(dark, 0.2), iterations=3))
    return _carried(rng, picture, _largest(found, 30), elastic=9, drift=(2.0, 3.0), grey=True)


# -- natural scenes


def _coins_on_a_table(rng: Rng) -> tuple[list[Image], Labels]:
    """Real coins under a camera that turns and comes nearer."""
    picture, found = _coins()
    return _carried(rng, picture, found, drift=(2.0, -3.0), turn=0.035, zoom=0.02)


def _coins_that_roll(rng: Rng) -> tuple[list[Image], Labels]:
    """Real coins cut out, each on its own way over bricks."""
    picture, found = _coins()
    ground = np.resize(data.brick() / 255.0, (512, 512))[:HEIGHT, :WIDTH]
    tiles = [_cut_out(picture, found == k) for k in (2, 8, 13, 19, 23)]
    return _moved(
        rng, np.repeat(ground[..., None], 3, 2) * [0.9, 0.7, 0.6], tiles, pace=5, turn=0.2
    )


def _a_man_who_comes_nearer(rng: Rng) -> tuple[list[Image], Labels]:
    """The cameraman's dark coat, cut out, growing to twice its size before a deep field."""
    picture = data.camera().astype(float) / 255
    parts, _ = ndimage.label(
        ndimage.binary_opening(ndimage.gaussian_filter(picture, 2) < 0.2, iterations=2)
    )
    coat = ndimage.binary_fill_holes(_largest(parts, 1) > 0)
    tile = _cut_out(np.repeat(picture[..., None], 3, 2), coat)
    ground = data.hubble_deep_field()[300 : 300 + HEIGHT, 200 : 200 + WIDTH] / 255.0
    return _moved(rng, 0.3 + ground, [tile], pace=3, turn=0.03, zoom=0.05, size=110)


def _horses(rng: Rng) -> tuple[list[Image], Labels]:
    """Silhouettes of a horse in stained tissue's colours, which bend as they pass each other."""
    shape = data.horse() < 0.5
    skin = data.immunohistochemistry()[: shape.shape[0], : shape.shape[1]] / 255.0
    tile = (np.pad(skin, [(0, shape.shape[0] - skin.shape[0]), (0, 0), (0, 0)], "reflect"), shape)
    ground = data.retina()[400 : 400 + HEIGHT, 500 : 500 + WIDTH] / 255.0
    other = (1 - tile[0][:, ::-1], shape[:, ::-1])
    return _moved(rng, ground, [tile, other], pace=9, turn=0.05, size=130, bend=6)


def _a_ball_that_spins(rng: Rng) -> tuple[list[Image], Labels]:
    """A textured ball whose other side comes round, before bricks in slow motion."""
    skin = data.hubble_deep_field()[:512, :800] / 255.0 * 1.6
    wall = data.brick() / 255.0
    images, labels = [], []
    for frame in range(FRAMES):
        middle = (120 + 5 * frame, 110 + 16 * frame)
        v, u = (_Y - middle[0]) / 55, (_X - middle[1]) / 55
        inside = u * u + v * v < 1
        z = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
        longitude = np.arctan2(u, z) + 0.25 * frame
        latitude = np.arcsin(np.clip(v, -1, 1))
        row = ((latitude / np.pi + 0.5) * 511).astype(int)
        column = (longitude / (2 * np.pi) * 799).astype(int) % 800
        ball = skin[row, column] * (0.4 + 0.6 * z[..., None])
        ground = np.repeat(wall[60 : 60 + HEIGHT, 3 * frame : 3 * frame + WIDTH, None], 3, 2)
        images.append(_grain(rng, np.where(inside[..., None], ball, ground), 0.015))
        labels.append(inside.astype(np.uint8))
    return images, np.stack(labels)


def _behind_a_fence(rng: Rng) -> tuple[list[Image], Labels]:
    """A coin that passes behind posts."""
    picture, found = _coins()
    ground = data.retina()[300 : 300 + HEIGHT, 400 : 400 + WIDTH] / 255.0
    images, labels = _moved(rng, ground, [_cut_out(picture, found == 5)], pace=12, size=90)
    posts = (_X.astype(int) % 110) < 22
    images = [np.where(posts[..., None], [0.25, 0.2, 0.15], image) for image in images]
    return images, np.where(posts, 0, labels).astype(np.uint8)


Make = Callable[[Rng], tuple[list[Image], Labels]]
_MICROSCOPY: tuple[Make, ...] = (
    _epithelium,
    _amoebae,
    _faint_nuclei,
    _chain_bacteria,
    _bright_bacteria,
    _relief,
    _yeast,
    _tissue,
)
_NATURAL: tuple[Make, ...] = (
    _coins_on_a_table,
    _coins_that_roll,
    _a_man_who_comes_nearer,
    _horses,
    _a_ball_that_spins,
    _behind_a_fence,
)


# -- what scenes are made with


def _coins() -> tuple[Image, Labels]:
    """The picture in warm grey, and each coin's label."""
    picture = data.coins()[:, :].astype(float) / 255
    flat = picture - ndimage.gaussian_filter(picture, 40)
    coin = ndimage.binary_fill_holes(ndimage.binary_closing(flat > 0.04, iterations=3))
    found, _ = ndimage.label(ndimage.binary_opening(coin, iterations=5))
    return picture[..., None] * np.array([1.0, 0.95, 0.85]), _largest(found, 24)


def _largest(parts: NDArray[np.integer], count: int) -> Labels:
    """Labels of the largest parts, in order of place."""
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = sorted(np.argsort(sizes)[::-1][:count])
    table = np.zeros(len(sizes), np.uint8)
    for k, part in enumerate((p for p in kept if sizes[p]), 1):
        table[part] = k
    return table[parts]


def _carried(
    rng: Rng,
    picture: Image,
    found: Labels,
    elastic: float = 0.0,
    drift: tuple[float, float] = (0.0, 0.0),
    turn: float = 0.0,
    zoom: float = 0.0,
    grey: bool = False,
) -> tuple[list[Image], Labels]:
    """A picture with its labels under a moving camera, or stretched like skin."""
    bend = np.stack((_noise(rng, 45), _noise(rng, 45))) * elastic
    middle = np.array(found.shape) / 2
    images, labels = [], []
    for frame in range(FRAMES):
        angle, scale = turn * frame, 1 / (1 + zoom * frame)
        y = (_Y - HEIGHT / 2) * scale + np.sin(0.3 * frame) * bend[0]
        x = (_X - WIDTH / 2) * scale + np.sin(0.3 * frame) * bend[1]
        rows = middle[0] + drift[0] * frame + np.cos(angle) * y - np.sin(angle) * x
        columns = middle[1] + drift[1] * frame + np.sin(angle) * y + np.cos(angle) * x
        at = (rows, columns)
        image = _sampled(picture, at, "reflect")
        image = image.mean(-1) if grey else image
        images.append(_grain(rng, image * rng.uniform(0.95, 1.05), 0.015))
        labels.append(ndimage.map_coordinates(found, at, order=0, mode="constant"))
    return images, np.stack(labels).astype(np.uint8)


def _sampled(picture: Image, at: tuple[Image, Image], beyond: str) -> Image:
    """A picture in colours between its pixels, at (rows, columns)."""
    channels = picture.transpose(2, 0, 1)
    return np.stack([ndimage.map_coordinates(c, at, order=1, mode=beyond) for c in channels], -1)


def _cut_out(picture: Image, mask: NDArray[np.bool_]) -> tuple[Image, NDArray[np.bool_]]:
    rows, columns = ndimage.find_objects(mask.astype(int))[0]
    return picture[rows, columns], mask[rows, columns]


def _moved(
    rng: Rng,
    ground: Image,
    tiles: list[tuple[Image, NDArray[np.bool_]]],
    pace: float,
    turn: float = 0.0,
    zoom: float = 0.0,
    size: float = 60,
    bend: float = 0.0,
) -> tuple[list[Image], Labels]:
    """Cut-outs that move over a background, later ones in front."""
    places = np.stack(
        (rng.uniform(90, HEIGHT - 90, len(tiles)), rng.uniform(90, WIDTH - 150, len(tiles))), 1
    )
    ways = rng.normal(0, 1, places.shape) + np.array([0, 1])
    ways *= pace / np.hypot(*ways.T)[:, None]
    images, labels = [], []
    for frame in range(FRAMES):
        image, label = ground.astype(float).copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        for k, (tile, mask) in enumerate(tiles):
            middle = places[k] + frame * ways[k]
            scale = max(mask.shape) / size / (1 + zoom * frame)
            angle = turn * frame * (-1) ** k
            y, x = (_Y - middle[0]) * scale, (_X - middle[1]) * scale
            y = y + bend * scale * np.sin(x / scale / 25 + 0.7 * frame)
            at = (
                mask.shape[0] / 2 + np.cos(angle) * y - np.sin(angle) * x,
                mask.shape[1] / 2 + np.sin(angle) * y + np.cos(angle) * x,
            )
            inside = ndimage.map_coordinates(mask.astype(np.uint8), at, order=0) > 0
            paint = _sampled(tile, at, "nearest")
            image[inside], label[inside] = paint[inside], k + 1
        images.append(_grain(rng, ndimage.gaussian_filter(image, (0.7, 0.7, 0)), 0.015))
        labels.append(label)
    return images, np.stack(labels)

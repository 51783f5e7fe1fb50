from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.training.synthetic import KINDS, Clip, make_clip

from .clips import clip_of


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 256, (72, 130)])
def test_every_kind_gives_frames_and_labels_of_the_wanted_size(
    kind: str, size: int | tuple[int, int]
) -> None:
    clip = clip_of(1, kind, size, frames=2)
    height, width = (size, size) if isinstance(size, int) else size
    assert clip.frames.shape == (2, height, width, 3)
    assert clip.labels.shape == (2, height, width)
    assert clip.frames.dtype == clip.labels.dtype == np.uint8
    assert clip.kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_makes_the_same_clip_and_another_seed_another(kind: str) -> None:
    first, other = clip_of(0, kind), clip_of(1, kind)
    again = make_clip(np.random.default_rng(0), 64, 8, kind)
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.parents == again.parents
    assert not np.array_equal(first.frames, other.frames)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_frame_always_holds_an_object_worth_a_prompt(kind: str) -> None:
    # With seed 44 the only object of the first attempt stands behind a pole at first.
    for seed in (*range(8), 44):
        labels = clip_of(seed, kind, 64, frames=1).labels
        assert np.bincount(labels[0].ravel(), minlength=2)[1:].max() >= 0.0015 * 64 * 64


def test_only_the_natural_kind_has_colour() -> None:
    for kind in KINDS:
        clips = [clip_of(seed, kind) for seed in range(3)]
        if kind == "texture":
            assert max(np.ptp(clip.frames.mean((0, 1, 2))) for clip in clips) > 15
        elif kind != "region":  # these are of either
            assert all(np.ptp(clip.frames, -1).max() == 0 for clip in clips)


def test_kinds_are_drawn_at_random_when_none_is_named() -> None:
    rng = np.random.default_rng(0)
    assert {make_clip(rng, 32, 1).kind for _ in range(50)} == set(KINDS)


def test_an_unknown_kind_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'xray'.*fluorescence"):
        clip_of(0, "xray")


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_of_one_frame_can_be_made(kind: str) -> None:
    assert clip_of(3, kind, 64, frames=1).frames.shape == (1, 64, 64, 3)


def test_labels_cover_the_bright_bodies_of_fluorescence() -> None:
    for seed in range(8):
        clip = clip_of(seed, "fluorescence")
        inside = clip.labels > 0
        assert clip.frames[inside].mean() > clip.frames[~inside].mean() + 5


def test_an_object_ends_in_the_image_where_its_label_ends() -> None:
    # Labels that are shifted must stand out less from their surroundings.
    def contrast(clip: Clip, shift: int) -> float:
        inside = np.roll(clip.labels > 0, (shift, shift), (1, 2))
        return float(clip.frames[inside].mean() - clip.frames[~inside].mean())

    clips = [clip_of(seed, "fluorescence") for seed in range(8)]
    for shift in (-2, 2):
        assert sum(contrast(c, 0) > contrast(c, shift) for c in clips) >= 7


def test_crowded_and_lonely_clips_both_happen() -> None:
    counts = [len(np.unique(clip_of(seed, "dic", 64, 1).labels[0])) - 1 for seed in range(30)]
    assert min(counts) == 1
    assert max(counts) > 15


def test_cells_touch_without_overlap_in_some_clips() -> None:
    def touching(labels: np.ndarray) -> int:
        left, right = labels[:, :-1], labels[:, 1:]
        return int(((left != right) & (left > 0) & (right > 0)).sum())

    assert sum(touching(clip_of(seed, "dic", 64, 1).labels[0]) > 15 for seed in range(30)) >= 5

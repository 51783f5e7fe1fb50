from __future__ import annotations

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.training.finetuning import AnnotatedMovie
from sam2_plugins.training.finetuning.clips import LONGEST_GAP, ClipCutter

from .conftest import discs


def test_a_clip_shows_what_the_movie_shows_with_the_labels_in_place(movie: AnnotatedMovie) -> None:
    cutter = ClipCutter([movie], image_size=64)
    clip = cutter.draw(1, 4, np.random.default_rng(0))[0]
    assert clip.frames.shape == (4, 64, 64, 3)
    # The discs are brighter than the noise, wherever the labels say they are.
    grey = clip.frames[..., 0]
    assert grey[clip.labels > 0].min() > 110
    assert grey[clip.labels == 0].max() < 110
    cutter.close()


def test_a_small_object_of_a_big_movie_is_seen_through_a_window() -> None:
    frames = np.zeros((4, 600, 600), np.uint8)
    labels = np.zeros_like(frames)
    labels[:, 300:316, 400:416] = 5
    cutter = ClipCutter([AnnotatedMovie.from_labels("big", frames, labels)], image_size=128)
    for seed in range(5):
        clip = cutter.draw(1, 3, np.random.default_rng(seed))[0]
        assert clip.labels.shape[1] < 200
        assert (clip.labels.reshape(3, -1) == 1).sum(1).tolist() == [256, 256, 256]
    cutter.close()


def test_a_clip_does_not_reach_across_a_long_gap() -> None:
    frames, labels = discs(LONGEST_GAP + 6)
    labels[2 : 3 + LONGEST_GAP] = 0
    cutter = ClipCutter([AnnotatedMovie.from_labels("gap", frames, labels)], image_size=64)
    assert cutter.longest == 3
    cutter.close()


def test_frames_of_one_clip_are_all_annotated() -> None:
    frames, labels = discs(9)
    labels[1::2] = 0
    movie = AnnotatedMovie.from_labels("every other", frames, labels)
    cutter = ClipCutter([movie], image_size=64)
    for seed in range(10):
        (clip,) = cutter.draw(1, 3, np.random.default_rng(seed))
        assert clip.labels.reshape(3, -1).any(1).all()
    cutter.close()


def test_frames_that_share_no_object_do_not_make_a_clip() -> None:
    frames, labels = discs(4)
    anew = np.where(labels > 0, labels + 2 * np.arange(4)[:, None, None], 0).astype(np.uint8)
    cutter = ClipCutter([AnnotatedMovie.from_labels("anew", frames, anew)], image_size=64)
    assert cutter.longest == 1
    cutter.close()


def test_an_object_on_a_larger_one_keeps_its_pixels_whichever_the_clip_is_cut_around() -> None:
    cell, nucleus = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    cell[10:50, 10:50], nucleus[20:30, 20:30] = True, True
    masks = {"nucleus": ObjectMask.from_array(nucleus), "cell": ObjectMask.from_array(cell)}
    movie = AnnotatedMovie("cells", np.zeros((5, 64, 64), np.uint8), dict.fromkeys(range(5), masks))
    cutter = ClipCutter([movie], image_size=64)
    for seed in range(4):
        (clip,) = cutter.draw(1, 3, np.random.default_rng(seed))
        assert sorted(np.bincount(clip.labels[0].ravel())[1:]) == [100, 1500]
    cutter.close()

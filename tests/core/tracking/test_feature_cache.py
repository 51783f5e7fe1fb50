from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.model import ImageFeatures, Sam2Model
from sam2_plugins.core.tracking.feature_cache import FeatureCache, FeatureStore, ReadAhead, gather
from sam2_plugins.core.tracking.windows.planner import Window

IMAGE = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
WINDOWS = [Window(0, 0, 40, 30), Window(50, 40, 40, 30), Window(13, 7, 40, 30)]


def test_windows_cut_all_at_once_are_those_cut_one_by_one() -> None:
    cut = gather(torch.from_numpy(IMAGE), WINDOWS)
    assert np.array_equal(cut.numpy(), np.stack([w.crop(IMAGE) for w in WINDOWS]))


def test_windows_of_several_sizes_have_the_features_that_each_has_alone(
    small_model: Sam2Model,
) -> None:
    windows = [Window(5, 5, 64, 64), *WINDOWS, Window(0, 0, 90, 70)]
    frames = open_frames(IMAGE[None])
    with torch.inference_mode():
        together = FeatureCache(small_model, frames).get(0, windows)
        for window in windows:
            alone = FeatureCache(small_model, frames).get(0, [window])[window]
            assert torch.equal(together[window].coarse, alone.coarse)
            assert torch.equal(together[window].skips[0], alone.skips[0])


def test_batches_have_few_lengths_whatever_the_number_of_windows(small_model: Sam2Model) -> None:
    cache = FeatureCache(small_model, open_frames(IMAGE[None]))
    cache._at_once = 8
    for count in range(1, 40):
        windows = [Window(x, 0, 40, 30) for x in range(count)]
        batches = list(cache.batches([(0, window) for window in windows]))
        assert list(dict.fromkeys(w for batch in batches for _, w in batch)) == windows
        assert {len(batch) for batch in batches} <= {1, 8}


def test_windows_of_several_frames_are_encoded_together(
    small_model: Sam2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(small_model, open_frames(np.stack([IMAGE, IMAGE[::-1], IMAGE[:, ::-1]])))
    cache._at_once = 8
    views = [(2, WINDOWS[0]), (0, WINDOWS[0]), (0, WINDOWS[1])]
    batches = []
    encode = Sam2Model.encode_image

    def encoded(model: Sam2Model, pixels: torch.Tensor) -> ImageFeatures:
        batches.append(len(pixels))
        return encode(model, pixels)

    monkeypatch.setattr(Sam2Model, "encode_image", encoded)
    with torch.inference_mode():
        together = cache.get_all(views)
        assert batches == [8]
        assert cache.encoded == len(views)
        for frame, window in views:
            alone = FeatureCache(small_model, cache._frames).get(frame, [window])[window]
            assert torch.allclose(together[frame, window].coarse, alone.coarse, atol=1e-5)


def test_a_frame_read_ahead_is_the_frame_and_is_taken_once() -> None:
    movie = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    ahead = ReadAhead(open_frames(movie), lambda frame: None)
    ahead.start(1)
    assert ahead.take(2) is None
    taken = ahead.take(1)
    assert taken is not None and taken.index == 1
    assert np.array_equal(taken.image, movie[1])
    assert ahead.take(1) is None


def test_no_frame_is_read_ahead_that_a_movie_does_not_have() -> None:
    ahead = ReadAhead(open_frames(IMAGE[None]), lambda frame: None)
    for index in (-1, 1):
        ahead.start(index)
        assert ahead.take(index) is None


def test_a_stream_is_not_read_ahead() -> None:
    stream = open_frames(iter([IMAGE, IMAGE]))
    ahead = ReadAhead(stream, lambda frame: None)
    ahead.start(1)
    assert ahead.take(1) is None
    assert stream[0].index == 0


def test_the_next_frame_is_encoded_ahead_once_it_was_read(small_model: Sam2Model) -> None:
    cache = FeatureCache(small_model, open_frames(np.stack([IMAGE, IMAGE + 1])))
    whole = Window(0, 0, 90, 70)
    with torch.inference_mode():
        cache.encode_ahead(1, [whole])
        assert cache.encoded == 0  # nobody reads ahead for a processor
        cache._ahead.start(1)
        assert cache._ahead._coming is not None
        cache._ahead._coming[1].result()
        cache.encode_ahead(2, [whole])
        assert cache.encoded == 0
        cache.encode_ahead(1, [whole, whole])
        ahead = cache.get(1, [whole])[whole].coarse
        assert cache.encoded == 1
        fresh = FeatureCache(small_model, open_frames(np.stack([IMAGE, IMAGE + 1])))
        assert torch.equal(ahead, fresh.get(1, [whole])[whole].coarse)


def test_trackers_of_one_movie_share_what_each_has_encoded(small_model: Sam2Model) -> None:
    frames, store = open_frames(np.stack([IMAGE, IMAGE + 1])), FeatureStore(8)
    first, second, other = (
        FeatureCache(small_model, frames, shared=store, movie=name) for name in ("a", "a", "b")
    )
    with torch.inference_mode():
        known = first.get(0, WINDOWS)
        assert second.get(0, WINDOWS)[WINDOWS[0]] is known[WINDOWS[0]]
        other.get(0, WINDOWS)
    assert (first.encoded, second.encoded, other.encoded) == (3, 0, 3)


def test_what_was_used_last_stays_within_the_room_that_there_is(small_model: Sam2Model) -> None:
    frames, store = open_frames(np.stack([IMAGE] * 4)), FeatureStore(0)
    cache = FeatureCache(small_model, frames, shared=store)
    with torch.inference_mode():
        cache.get(0, WINDOWS)
        size = store._bytes // len(WINDOWS)
        store._limit = 2 * size
        for frame in (1, 2, 1, 3, 1):
            cache.get(frame, WINDOWS[:1])
        assert (len(store._kept), store._bytes) == (2, 2 * size)
        before = cache.encoded
        cache.get(1, WINDOWS[:1]), cache.get(3, WINDOWS[:1])
    assert cache.encoded == before


def test_a_picture_without_colours_is_looked_at_in_one_channel(small_model: Sam2Model) -> None:
    coloured = IMAGE.copy()
    coloured[..., 1:] = 255 - IMAGE[..., :1]
    grey = np.repeat(IMAGE[..., :1], 3, axis=2)
    cache = FeatureCache(small_model, open_frames(np.stack([grey, coloured])))
    assert np.array_equal(cache.planes(0), grey[..., :1])
    assert np.array_equal(cache.planes(1), coloured)

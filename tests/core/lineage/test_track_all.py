from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.errors import ExportError, FrameSourceError, TrackingError
from sam2_plugins.core.lineage import AllObjects, note_on, track_all
from sam2_plugins.core.model import build_model
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.variants import get_variant
from sam2_plugins.training.synthetic.sample import sample_timelapse
from tests.core.lineage.scenes import scene
from tests.reference.weights import seeded_state


@pytest.mark.slow
def test_a_movie_becomes_objects_frame_by_frame() -> None:
    movie, labels = sample_timelapse(seed=3, frames=4, size=256)
    frames = list(track_all(movie))
    assert [frame.frame for frame in frames] == [0, 1, 2, 3]
    true = len(np.unique(labels[1])) - 1
    assert 0.8 * true <= len(frames[1].masks) <= 1.25 * true


def test_labels_of_a_file_are_the_proposals(tmp_path: Path) -> None:
    movie, labels = sample_timelapse(seed=3, frames=2, size=128)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    frames = list(track_all(movie, how=AllObjects(labels=str(tmp_path / "labels.tif"))))
    seen = sum(mask.to_array() for mask in frames[0].masks.values())
    assert np.array_equal(np.asarray(seen) > 0, labels[0] > 0)


@pytest.mark.parametrize("count", [2, 5])
def test_labels_of_another_number_of_frames_are_refused(tmp_path: Path, count: int) -> None:
    tifffile.imwrite(tmp_path / "labels.tif", np.ones((count, 64, 64), np.uint8))
    movie = np.zeros((4, 64, 64), np.uint8)
    with pytest.raises(FrameSourceError, match=f"{count} label images, and the movie 4 frames"):
        next(track_all(movie, how=AllObjects(labels=str(tmp_path / "labels.tif"))))


def test_a_journal_of_another_movie_or_other_options_is_not_shown_for_this_one(
    tmp_path: Path,
) -> None:
    movies = [sample_timelapse(seed=seed, frames=2, size=128)[0] for seed in (3, 4)]
    journal, plain = tmp_path / "run.jsonl", TrackingOptions(model="nano", window=None)
    for movie, options in ((movies[0], None), (movies[1], None), (movies[1], plain)):
        kept = list(track_all(movie, options, journal=journal))
        assert [one.masks for one in kept] == [one.masks for one in track_all(movie, options)]


def test_movies_that_begin_alike_are_told_apart_by_a_journal(tmp_path: Path) -> None:
    movies = [sample_timelapse(seed=seed, frames=2, size=128)[0] for seed in (3, 4)]
    journal, black = tmp_path / "run.jsonl", np.zeros_like(movies[0][:1])
    for movie in ([*black, *movie] for movie in movies):
        kept = list(track_all(movie, journal=journal))
        assert [one.masks for one in kept] == [one.masks for one in track_all(movie)]


def test_other_labels_under_one_name_are_told_apart_by_a_journal(tmp_path: Path) -> None:
    movie, labels = sample_timelapse(seed=3, frames=2, size=128)
    path, journal = tmp_path / "labels.tif", tmp_path / "run.jsonl"
    for given in (labels, labels * (labels == labels.max())):
        tifffile.imwrite(path, given)
        frame = next(track_all(movie, how=AllObjects(labels=str(path)), journal=journal))
        assert len(frame.masks) == len(np.unique(given[0])) - 1


def test_a_damaged_frame_does_not_keep_those_before_it_from_a_journal(tmp_path: Path) -> None:
    movie, _ = sample_timelapse(seed=3, frames=4, size=128)
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as tif:
        for image in (movie / movie.max() * 255).astype(np.uint8):
            tif.write(image, contiguous=False, metadata=None, compression="zlib")
    with tifffile.TiffFile(path) as opened:
        place = opened.pages[3].dataoffsets[0]
    content = path.read_bytes()
    path.write_bytes(content[:place] + b"\xff" * 12 + content[place + 12 :])
    tracked = track_all(path, TrackingOptions(model="nano", stop=1), journal=tmp_path / "run.jsonl")
    assert [frame.frame for frame in tracked] == [0, 1]


def test_a_journal_does_not_take_the_place_of_another_file(tmp_path: Path) -> None:
    movie = np.zeros((2, 64, 64), np.uint8)
    np.save(tmp_path / "movie.npy", movie)
    before = (tmp_path / "movie.npy").read_bytes()
    with pytest.raises(ExportError, match=r"movie\.npy is there already, and is no journal"):
        next(track_all(movie, journal=tmp_path / "movie.npy"))
    with pytest.raises(ExportError, match="Is a directory"):
        next(track_all(movie, journal=tmp_path))
    assert (tmp_path / "movie.npy").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["movie.npy"]


def test_a_range_that_does_not_fit_the_movie_is_named() -> None:
    movie = np.zeros((4, 64, 64), np.uint8)
    for start, stop in ((-1, None), (None, 4), (3, 1)):
        options = TrackingOptions(model="nano", start=start, stop=stop)
        with pytest.raises(TrackingError, match=r"There is no frame|is empty"):
            next(track_all(movie, options))
    with pytest.raises(TrackingError, match="tracked forward"):
        next(track_all(movie, TrackingOptions(model="nano", direction="both")))
    with pytest.raises(TrackingError, match="n is 1 or more, not 0"):
        AllObjects(every=0)


def test_labels_may_end_with_what_is_tracked(tmp_path: Path) -> None:
    labels = np.zeros((3, 64, 64), np.uint8)
    labels[:, 20:40, 20:40] = 1
    tifffile.imwrite(tmp_path / "labels.tif", labels, photometric="minisblack")
    movie = np.random.default_rng(0).integers(0, 50, (4, 64, 64), dtype=np.uint8)
    options = TrackingOptions(model="nano", stop=2)
    frames = list(track_all(movie, options, AllObjects(labels=str(tmp_path / "labels.tif"))))
    assert [frame.frame for frame in frames] == [0, 1, 2]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> TrackingOptions:
    """A model of the published kind, which has no object finder, with seeded weights."""
    model = build_model(get_variant("sam2.1-tiny"), 64)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": seeded_state(shapes)}, path)
    return TrackingOptions(model=str(path), device="cpu", image_size=64)


@pytest.mark.slow
def test_a_published_model_goes_from_clicks_to_a_lineage(published: TrackingOptions) -> None:
    movie = np.stack([scene([(40, 32 + 4 * n, 12), (70, 100, 12)]) for n in range(2)]) * 100
    frames = list(track_all(movie, published))
    assert [frame.frame for frame in frames] == [0, 1]


@pytest.mark.slow
def test_a_published_model_keeps_up_with_what_moves_and_what_stays(
    published: TrackingOptions, tmp_path: Path
) -> None:
    labels = np.stack([scene([(40, 32 + 4 * n, 12), (70, 100, 12)]) for n in range(5)])
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    how = AllObjects(labels=str(tmp_path / "labels.tif"))
    frames = list(track_all(labels * 100, published, how))
    events = [event for frame in frames for event in frame.events]
    assert [event.kind for event in events] == ["born", "born"]
    for frame, truth in zip(frames, labels, strict=True):
        for number, mask in frame.masks.items():
            assert np.array_equal(mask.to_array(), truth == number)


def test_a_photograph_is_not_what_nano_was_taught_on() -> None:
    model = cached_model("nano", device="cpu")
    colours = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), np.uint8)
    assert "published checkpoint" in note_on(VideoTracker(model, colours), 0)
    assert note_on(VideoTracker(model, colours[..., 0]), 0) == ""

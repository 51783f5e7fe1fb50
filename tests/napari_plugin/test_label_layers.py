"""Labels of any shape, place, size and sign, as masks of an image's frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.layers.label_layers import masks_at
from tests.cli.conftest import moving_discs
from tests.napari_plugin.conftest import Desk

SHAPE = (4, 12, 16)


def squares(*labels: int, dtype: str = "int64") -> np.ndarray:
    """One square of 3 x 3 for each label, which goes down by a row a frame."""
    stack = np.zeros(SHAPE, dtype)
    for frame in range(SHAPE[0]):
        for n, label in enumerate(labels):
            stack[frame, 2 + frame : 5 + frame, 5 * n + 1 : 5 * n + 4] = label
    return stack


def boxes(found: dict[int, Any]) -> dict[int, Any]:
    return {label: mask.box for label, mask in found.items()}


@pytest.mark.parametrize("labels", [(1, 2), (70_000, 2**31), (-3, 5), (-(2**40), 2**40)])
def test_labels_of_any_size_and_sign_are_cut_out(labels: tuple[int, int]) -> None:
    image = Image(np.zeros(SHAPE, np.uint8))
    found = masks_at(Labels(squares(*labels)), image, (1, 0, 0))
    assert boxes(found) == {min(labels): found[min(labels)].box, max(labels): (6, 3, 9, 6)}
    assert all(mask.area == 9 for mask in found.values())


def test_shifted_labels_are_taken_where_they_are_seen() -> None:
    image = Image(np.zeros(SHAPE, np.uint8), scale=(2, 0.5, 0.5), translate=(0, 1, 1))
    labels = Labels(squares(1), scale=(2, 0.5, 0.5), translate=(2, 2, 0))
    assert boxes(masks_at(labels, image, (4, 0, 0))) == {1: (0, 5, 2, 8)}


def test_labels_of_another_resolution_are_taken_where_they_are_seen() -> None:
    image = Image(np.zeros((4, 24, 32), np.uint8))
    labels = Labels(squares(1), scale=(1, 2, 2), translate=(0, 0.5, 0.5))
    assert boxes(masks_at(labels, image, (0, 0, 0))) == {1: (2, 4, 8, 10)}


def test_an_affine_counts_for_labels_as_for_the_image() -> None:
    turned = np.array([[1, 0, 0, 0], [0, 0, 1, 3], [0, -1, 0, 20], [0, 0, 0, 1]], float)
    image = Image(np.zeros(SHAPE, np.uint8), affine=turned)
    labels = Labels(squares(1), affine=turned)
    assert boxes(masks_at(labels, image, (2, 0, 0))) == {1: (1, 4, 4, 7)}


def test_bare_labels_of_a_scaled_image_lie_on_its_pixels() -> None:
    image = Image(np.zeros(SHAPE, np.uint8), scale=(60, 0.65, 0.65))
    assert boxes(masks_at(Labels(squares(1)), image, (120, 0, 0))) == {1: (1, 4, 4, 7)}


@pytest.mark.parametrize(
    ("stack", "box"),
    [
        (squares(1)[2], (1, 4, 4, 7)),
        (squares(1)[None], (1, 3, 4, 6)),
        (da.from_array(squares(1), chunks=(1, 12, 16)), (1, 3, 4, 6)),
    ],
)
def test_labels_with_fewer_or_more_axes_or_lazy_ones_are_taken(stack: Any, box: Any) -> None:
    image = Image(np.zeros(SHAPE, np.uint8))
    assert boxes(masks_at(Labels(stack), image, (0, 1, 0, 0))) == {1: box}


def test_a_frame_on_which_there_are_no_labels_is_told_of() -> None:
    image = Image(np.zeros(SHAPE, np.uint8))
    with pytest.raises(Sam2PluginsError, match="shows nothing here"):
        masks_at(Labels(squares(1)[:2], name="short"), image, (3, 0, 0))


def test_the_same_labels_taken_twice_double_nothing(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(moving_discs(4)[0])
    layer = desk.viewer.add_labels(moving_discs(4)[1].astype(np.int64) * -100_000, name="tracked")
    use = desk.controller.prompting.use_labels
    first = use(layer)
    desk.jobs.run()
    assert use(layer) == first == [1, 2]
    desk.space.go_to((3,))
    assert use(layer) == first
    desk.jobs.run()
    assert desk.space.store.frames_of(1) == [(0,), (3,)]
    assert list(desk.controller.objects.values()) == ["tracked -200000", "tracked -100000"]
    assert desk.failures == []


def test_a_label_whose_object_was_removed_is_not_the_one_that_has_its_number_now(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(moving_discs(3)[0])
    layer = desk.viewer.add_labels(moving_discs(3)[1], name="by hand")
    desk.controller.prompting.use_labels(layer)
    desk.jobs.run()
    desk.controller.delete(2)
    desk.controller.new_object("mine")
    desk.paint((0, 80, 20), 2)
    desk.space.go_to((1,))
    desk.controller.prompting.use_labels(layer)
    desk.jobs.run()
    assert desk.space.store.frames_of(2) == [(0,)]
    assert desk.space.store.frames_of(3) == [(1,)]


def test_a_renamed_layer_has_the_same_objects_and_another_of_its_old_name_has_not(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(moving_discs(4)[0])
    layer = desk.viewer.add_labels(moving_discs(4)[1], name="tracked")
    use = desk.controller.prompting.use_labels
    first = use(layer)
    desk.jobs.run()
    layer.name = "renamed"
    desk.space.go_to((3,))
    assert use(layer) == first
    other = desk.viewer.add_labels(moving_discs(4)[1][:, ::-1].copy(), name="tracked")
    assert not {*use(other)} & {*first}


def test_a_layer_with_the_name_of_one_that_was_removed_is_another_one(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(moving_discs(4)[0])
    use = desk.controller.prompting.use_labels
    layer = desk.viewer.add_labels(moving_discs(4)[1], name="tracked")
    first = use(layer)
    desk.jobs.run()
    desk.viewer.layers.remove(layer)
    other = desk.viewer.add_labels(moving_discs(4)[1][:, ::-1].copy(), name="tracked")
    assert other.name == "tracked"
    assert not {*use(other)} & {*first}

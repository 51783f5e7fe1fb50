"""Scripts written for earlier versions go on working."""

from __future__ import annotations

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import sam2_plugins
from sam2_plugins._old_names import MOVED
from sam2_plugins.core import errors, evaluation
from sam2_plugins.core.tracking import query
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.core.variants import get_variant


@pytest.mark.parametrize("old", MOVED)
def test_a_module_that_moved_is_found_under_its_old_name_with_a_note(old: str) -> None:
    if old.startswith("napari_plugin"):
        pytest.importorskip("napari")
    new = import_module(f"sam2_plugins.{MOVED[old]}")
    sys.modules.pop(f"sam2_plugins.{old}", None)

    with pytest.warns(DeprecationWarning, match=f"is now .*{MOVED[old]}"):
        again = import_module(f"sam2_plugins.{old}")

    assert again is new
    assert new.__spec__ is not None and new.__spec__.name == new.__name__


def test_no_module_of_ours_uses_an_old_name() -> None:
    old = {f"sam2_plugins.{name}" for name in MOVED}
    parents = {name.rpartition(".")[0] for name in old}
    named = re.compile("|".join([*map(re.escape, old), *(f"{one} import" for one in parents)]))
    for path in Path(sam2_plugins.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if named.search(text) else ():
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                assert not {node.module, *names} & old, path
            elif isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & old, path


def test_errors_are_caught_under_the_names_they_had() -> None:
    for old in ("UnknownVariantError", "ImageSizeError", "CheckpointError", "DownloadError"):
        with pytest.raises(getattr(errors, old)):
            get_variant("sam2.1-huge")


def test_what_was_renamed_is_found_under_the_names_it_had() -> None:
    assert query.Answer is query.Prediction
    assert ImageSegmenter.answer is ImageSegmenter.prediction
    assert evaluation.LabelImages is evaluation.label_images

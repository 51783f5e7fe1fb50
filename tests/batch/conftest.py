from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile

from sam2_plugins.batch import Job, Report, Settings
from sam2_plugins.batch.report import Event
from sam2_plugins.core.prompts import Prompt
from tests.cli.conftest import moving_discs

BOX = (28, 28, 52, 52)
SETTINGS = Settings(formats=("tiff",), device="cpu", threads=1, image_size=128)

MakeJob = Callable[..., Job]


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    """Make a movie of a disc, and the job of tracking it from its box."""

    def make(name: str = "movie", frames: int = 30, box: tuple[int, ...] = BOX) -> Job:
        source = tmp_path / f"{name}.tif"
        tifffile.imwrite(source, moving_discs(frames)[0], metadata={"axes": "TYX"})
        return Job(name, str(source), (Prompt.of(0, 1, box=box),))

    return make


def last(events: object) -> Report:
    """Run to the end, and return the report."""
    *_, report = list(events)  # type: ignore[call-overload]
    assert isinstance(report, Report)
    return report


def reports(events: list[Event]) -> dict[str, list[Report]]:
    told: dict[str, list[Report]] = {}
    for event in events:
        if isinstance(event, Report):
            told.setdefault(event.name, []).append(event)
    return told

"""What is to be done: one video, and how all of them are tracked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sam2_plugins.core.prompt_files import prompt_to_json
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Direction
from sam2_plugins.core.tracking.windows.planner import WindowChoice


@dataclass(frozen=True)
class Job:
    """One video to track.

    Attributes
    ----------
    name
        Of its folder of results.
    source
        A path or URL that `open_frames` takes, as the workers see it.
    direction, start, stop
        Arguments of `VideoTracker.propagate`.
    reading
        Further arguments of `open_frames`: axes, channels, limits, z, stream, fps.
    """

    name: str
    source: str
    prompts: tuple[Prompt, ...]
    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """How all videos of a batch are tracked.

    Attributes
    ----------
    model
        A name, or a path of weights as the workers see it.
    formats
        Names of `core.export.FORMATS`.
    threads
        Torch threads of a worker; None: torch's own choice.
    """

    model: str = "nano"
    device: str = "auto"
    image_size: int | None = None
    tile: WindowChoice = "auto"
    formats: tuple[str, ...] = ("tiff", "csv")
    threads: int | None = None


def fingerprint(job: Job, settings: Settings) -> str:
    """Tell whether results on the disk are those of this job: all that they depend on, hashed."""
    wanted = {
        "source": job.source,
        "prompts": [prompt_to_json(prompt) for prompt in job.prompts],
        "range": [job.direction, job.start, job.stop],
        "reading": dict(job.reading),
        **asdict(settings),
    }
    for of_the_machine in ("device", "threads"):
        del wanted[of_the_machine]
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()

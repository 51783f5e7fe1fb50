"""How a movie is tracked: one set of options, with the same names in every host."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.tracking.memory.policies import policy_name
from sam2_plugins.core.tracking.schedule import DIRECTIONS, Direction
from sam2_plugins.core.tracking.windows.planner import WindowChoice, window_choice

if TYPE_CHECKING:
    from sam2_plugins.core.frames import FrameSource
    from sam2_plugins.core.model import Sam2Model
    from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker

OF_THE_MACHINE = ("device",)
"""Options on which masks do not depend."""


@dataclass(frozen=True)
class TrackingOptions:
    """All that a person chooses about tracking, apart from the prompts.

    Attributes
    ----------
    model
        A name of `list_models`, a file of weights, or "auto": the best that is on this machine.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    image_size
        Side in pixels of the square that the model sees; None: the model's own.
    window
        As `VideoTracker` takes it.
    memory
        Name of a memory policy; those of earlier versions are understood.
    direction, start, stop
        As `VideoTracker.propagate` takes them.
    neighbours
        A click on one object keeps new masks of the others on that frame away from there.

    Raises
    ------
    TrackingError
        If a value is not one that can be chosen.
    """

    model: str = "auto"
    device: str = "auto"
    image_size: int | None = None
    window: WindowChoice = "auto"
    memory: str = "sam2"
    direction: Direction = "forward"
    start: int | None = None
    stop: int | None = None
    neighbours: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", policy_name(self.memory))
        object.__setattr__(self, "window", window_choice(self.window))
        if self.direction not in DIRECTIONS:
            raise TrackingError(
                f"The direction is one of {', '.join(DIRECTIONS)}, not {self.direction!r}."
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrackingOptions:
        """Take those of some values that are options; `tile` is an earlier name of `window`."""
        known = {one.name for one in fields(cls)}
        given = {key: value for key, value in values.items() if key in known}
        if "tile" in values:
            given.setdefault("window", values["tile"])
        return cls(**given)

    def load_model(self) -> Sam2Model:
        """Load the model, or take it from those that are loaded already."""
        from sam2_plugins.core.checkpoints import cached_model

        return cached_model(self.model, self.device, self.image_size)

    def tracker(
        self, frames: FrameSource | Any, model: Sam2Model | None = None, **how: Any
    ) -> VideoTracker:
        """Make a tracker of a movie; `how` are further arguments of `VideoTracker`."""
        from sam2_plugins.core.tracking.tracker import VideoTracker

        network = self.load_model() if model is None else model
        return VideoTracker(
            network,
            frames,
            window=self.window,
            policy=self.memory,
            neighbours=self.neighbours,
            **how,
        )

    def propagate(self, tracker: VideoTracker) -> Generator[FrameResult, None, None]:
        """Track in the chosen direction and range."""
        return tracker.propagate(self.direction, self.start, self.stop)

    def identity(self) -> dict[str, Any]:
        """Return the options on which the masks depend, as plain values.

        Those of an earlier version are the same, so that the same command goes on with its results.
        """
        from sam2_plugins.core.checkpoints import model_identity

        values = {key: value for key, value in asdict(self).items() if key not in OF_THE_MACHINE}
        if self.neighbours:
            del values["neighbours"]
        return {**values, "model": model_identity(self.model, self.device)}

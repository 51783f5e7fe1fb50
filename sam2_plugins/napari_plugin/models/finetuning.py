"""Fine-tuning on the masks of a session, in a worker."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

from sam2_plugins.core.errors import TrainingError
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.napari_plugin.layers.frames import Line, View
from sam2_plugins.napari_plugin.models.session import Session
from sam2_plugins.training.finetuning import (
    AnnotatedMovie,
    Look,
    Report,
    Settings,
    Split,
    finetune,
    split_movies,
)

FEWEST = 8
"""Annotated frames to train on, to decide when to stop, and to test on."""


@dataclass(frozen=True)
class Lesson:
    """A step of fine-tuning, or an intermediate score of the model."""

    done: int
    total: int
    j: float | None = None
    """Mean J of the intermediate score, on the part that decides when to stop."""


class Stopped(Exception):
    """A person has stopped it."""


def annotated(
    session: Session, view: View, line: Line, length: int, everything: bool
) -> AnnotatedMovie:
    """Use the masks of a session as ground truth.

    Parameters
    ----------
    everything
        All frames are right, as a person has looked through them; otherwise only those on which
        something was clicked, drawn or painted count.

    Raises
    ------
    TrainingError
        If there are too few frames.
    """
    prompted = {frame for frame, _ in session.prompts.along(line)}
    frames = range(length) if everything else sorted(prompted)
    masks: dict[int, Mapping[ObjectId, ObjectMask]] = {}
    for frame in frames:
        here = session.store.on_frame(line.index(frame))
        seen: dict[ObjectId, ObjectMask] = {o: m for o, m in here.items() if m.visible}
        if seen:
            masks[frame] = seen
    if len(masks) < FEWEST:
        raise TrainingError(
            f"{len(masks)} frames have masks that count, and {FEWEST} are needed at least: correct "
            "more of them, or look through all and choose All tracked frames."
        )
    source, reading = view.source(line)
    return AnnotatedMovie(view.layers[0].name, source, masks, reading)


class Learning:
    """One fine-tuning: `steps` is its work, for a worker; `stop` ends it at the next step."""

    def __init__(
        self,
        load_model: Callable[[], Sam2Model],
        movie: AnnotatedMovie,
        out: Path,
        settings: Settings,
    ) -> None:
        self._load_model = load_model
        self._split: Split = split_movies([movie])
        self._out = out
        self._settings = settings
        self._stopping = Event()
        self.report: Report | None = None
        """The report, when it has ended and was not stopped."""

    def stop(self) -> None:
        """Stop at the next step; nothing is kept."""
        self._stopping.set()

    def steps(self) -> Generator[Lesson, None, None]:
        """Learn, and yield every step."""
        lessons: SimpleQueue[Lesson | Exception | None] = SimpleQueue()
        thread = Thread(target=self._learn, args=(lessons.put,), name="fine-tuning", daemon=True)
        thread.start()
        try:
            while (lesson := lessons.get()) is not None:
                if isinstance(lesson, Exception):
                    raise lesson
                yield lesson
        finally:
            self.stop()
            thread.join()

    def _learn(self, tell: Callable[[Lesson | Exception | None], None]) -> None:
        total = self._settings.steps

        def stepped(done: int, _: object) -> None:
            if self._stopping.is_set():
                raise Stopped
            tell(Lesson(done, total))

        def looked(look: Look) -> None:
            values = list(look.scores.values())
            tell(Lesson(look.step, total, sum(values) / len(values) if values else None))

        try:
            # A copy: the model itself answers clicks meanwhile.
            model = copy.deepcopy(self._load_model())
            self.report = finetune(
                model, self._split, self._out, self._settings, on_step=stepped, on_look=looked
            )
        except Stopped:
            pass
        except Exception as error:
            tell(error)
        finally:
            with suppress(OSError):
                shutil.rmtree(self._out.with_suffix(".run"))
            tell(None)


def place_for(folder: Path, image: str) -> Path:
    """Return a name for a new model."""
    bare = "".join(letter if letter.isalnum() else "-" for letter in image)[:40].strip("-")
    return folder / f"{bare}-{time.strftime('%Y-%m-%d-%H%M%S')}.safetensors"


def summary(report: Report) -> str:
    """Return how good the model was before, and is now, on the frames that were held out."""
    pairs = ", ".join(
        f"{kind} {before:.2f} → {report.after[kind]:.2f}" for kind, before in report.before.items()
    )
    if report.path is None:
        return f"The model did not become better, and is not kept. J on held-out frames: {pairs}."
    return f"J on held-out frames: {pairs}. {report.path.stem} is chosen as the model from now on."

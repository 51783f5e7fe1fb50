"""`sam2-plugins evaluate` and `evaluate-model`: scores against ground truth.

`evaluate PRED GT` scores labels that are there, object by object, and with `--ctc` as a whole;
`evaluate DATASET --model …` carries out a protocol; `evaluate-model` is its plainest case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import FAILED, INTERRUPTED
from sam2_plugins.cli.groups import grouped

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from sam2_plugins.core.datasets import Dataset
    from sam2_plugins.core.evaluation import MeanReport, Protocol, SequenceReport
    from sam2_plugins.core.tracking.options import TrackingOptions

PromptKind = Literal["mask", "click", "box"]
REPORT_FILES = ("report.json", "scores.csv", "curve.png")
_FILES = "report.json, scores.csv and curve.png"


@dataclass(frozen=True)
class ProtocolOptions:
    """What is done with a model that is scored."""

    panel: ClassVar[str] = "Scoring a model"

    protocol: Annotated[
        Literal["semi", "offline", "online"],
        typer.Option(
            help="semi: prompts on the first frame. offline: passes, each corrects the worst "
            "frame. online: one pass, a bad frame is corrected as it is met."
        ),
    ] = "semi"
    prompt: Annotated[PromptKind, typer.Option(help="The first prompt on a prompted frame.")] = (
        "click"
    )
    clicks: Annotated[
        int,
        typer.Option(
            min=1,
            help="Prompts on a prompted frame; all after the first correct the mask.",
        ),
    ] = 3
    rounds: Annotated[
        int, typer.Option(min=1, help="Prompted frames per object at most (offline, online).")
    ] = 8
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Online: IoU under which a frame is bad.")
    ] = 0.75
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help=f"Folder of {_FILES}."),
    ] = None
    overwrite: options.Overwrite = False


@dataclass(frozen=True)
class LabelOptions:
    """How labels that are there are scored."""

    panel: ClassVar[str] = "Scoring labels"

    ctc: Annotated[
        bool,
        typer.Option(
            "--ctc",
            help="All objects with their divisions, as the Cell Tracking Challenge scores them, "
            "and what a person would still have to correct.",
        ),
    ] = False
    objects: Annotated[
        str | None,
        typer.Option(
            metavar="ID,ID,…",
            help="Objects to score.",
            show_default="the dataset's, or all on the prompted frame",
        ),
    ] = None
    prompt_frame: Annotated[
        int | None, typer.Option(help="Frame of the prompts; later ones count.")
    ] = None
    bound: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Tolerance of F in pixels.",
            show_default="2 for cells, else 0.008 × diagonal",
        ),
    ] = None
    absent: Annotated[
        Literal["davis", "ignore"] | None,
        typer.Option(help="davis: predicting nothing where there is nothing counts 1."),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was chosen, as arguments of `metrics.evaluate`."""
        chosen = {
            "objects": options.numbers(self.objects, int, "--objects"),
            "prompt_frame": self.prompt_frame,
            "bound": self.bound,
            "absent": self.absent,
        }
        return {name: value for name, value in chosen.items() if value is not None}


@dataclass(frozen=True)
class RunOptions:
    """With what a model is scored: options of tracking, without the name of the model."""

    memory: options.Memory = "sam2"
    device: options.Device = "auto"
    image_size: options.ImageSize = None
    window: options.Window = "auto"


Movie = Annotated[
    Path | None,
    typer.Option(help="The movie, where the dataset is labels alone or a Label Studio export."),
]
Only = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Score only this dataset.")]


@grouped
def evaluate(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET | PRED",
            help="With --model, a dataset or a folder of datasets, of any known layout; else "
            "predicted labels: .npy, TIFF, or a folder of PNG or TIFF.",
        ),
    ],
    plan: ProtocolOptions,
    run: RunOptions,
    labels: LabelOptions,
    gt: Annotated[
        Path | None,
        typer.Argument(metavar="[GT]", help="True labels of the same form as PRED, or a dataset."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Score this model: nano, sam2.1-tiny …, or a file of weights.",
            autocompletion=options.model_names,
        ),
    ] = None,
    movie: Movie = None,
    only: Only = None,
    per_object: Annotated[
        bool, typer.Option("--per-object", help="Show each object, too.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Score a model, `evaluate DATASET --model nano`, or labels that are there, `evaluate PRED GT`.

    J and F of DAVIS, SEG of the Cell Tracking Challenge, tracks; with `--ctc` DET, SEG, TRA and
    divisions of a whole result. Datasets: DAVIS, YouTube-VOS, MOSE, SA-V, the Cell Tracking
    Challenge, or frames/, masks/ and meta.json. Labels with other ids than the truth are matched
    with it by overlap.
    """
    if model is not None:
        if gt is not None:
            raise typer.BadParameter("with --model there is one folder: the dataset.")
        for name in _changed(labels):
            raise typer.BadParameter(
                f"{name} scores a result that is there, without --model: give it and the truth."
            )
        from sam2_plugins.cli.data import open_datasets
        from sam2_plugins.core.evaluation import Protocol
        from sam2_plugins.core.files import require_free

        if plan.out:
            if plan.out.suffix in (".json", ".csv", ".png") and not plan.out.is_dir():
                raise typer.BadParameter(f"--out is a folder, in which {_FILES} are written.")
            require_free((plan.out / name for name in REPORT_FILES), plan.overwrite)
        protocol = Protocol(plan.protocol, plan.prompt, plan.clicks, plan.rounds, plan.threshold)
        chosen = options.tracking_options(run, model=model)
        datasets = open_datasets(what, movie)
        _score_model(datasets, protocol, only or [], chosen, json, per_object, plan.out)
        return
    alone = {"--movie": movie, "--only": only}
    for name in [*_changed(plan, run), *(name for name, value in alone.items() if value)]:
        raise typer.BadParameter(f"{name} belongs to --model.")
    if gt is not None and labels.ctc:
        for name in _changed(replace(labels, ctc=False)):
            raise typer.BadParameter(f"--ctc scores all objects on all frames: leave out {name}.")
        _score_whole(what, gt, per_object, json)
    elif gt is not None:
        _score_labels(what, gt, labels.given(), per_object, json)
    else:
        raise typer.BadParameter("give the true labels too, or a model with --model.")


def _changed(*groups: DataclassInstance) -> list[str]:
    """Return the options of groups that are not as they are by default."""
    changed = [f.name for g in groups for f in fields(g) if getattr(g, f.name) != f.default]
    return [f"--{name.replace('_', '-')}" for name in changed]


@grouped
def evaluate_model(
    model: Annotated[
        str,
        typer.Argument(
            help="nano, sam2.1-tiny …, or a file of weights.", autocompletion=options.model_names
        ),
    ],
    data: Annotated[Path, typer.Option(help="A dataset, or a folder of datasets.")],
    run: RunOptions,
    prompt: Annotated[
        PromptKind, typer.Option(help="Made from the true mask of the prompted frame.")
    ] = "mask",
    movie: Movie = None,
    only: Only = None,
    json: options.Json = False,
) -> None:
    """Score a model: one prompt per object on the first frame, then tracking to the end.

    It is `evaluate DATA --model MODEL --protocol semi --clicks 1`. A click is the pixel deepest in
    the object; a box is tight.
    """
    from sam2_plugins.cli.data import open_datasets
    from sam2_plugins.core.evaluation import Protocol

    chosen = options.tracking_options(run, model=model)
    protocol = Protocol("semi", prompt, clicks=1)
    _score_model(open_datasets(data, movie), protocol, only or [], chosen, json)


def _score_model(
    datasets: list[Dataset],
    protocol: Protocol,
    only: list[str],
    chosen: TrackingOptions,
    json: bool,
    per_object: bool = False,
    out: Path | None = None,
) -> None:
    from sam2_plugins.cli.console import frames_progress, print_json, say, to_json
    from sam2_plugins.cli.interrupt import stopping_gently
    from sam2_plugins.cli.loading import open_model
    from sam2_plugins.cli.score_tables import show_model, show_objects
    from sam2_plugins.core import files
    from sam2_plugins.core.errors import Sam2PluginsError
    from sam2_plugins.core.evaluation import draw, evaluate_sequence, mean_by_kind, write_csv

    names = [dataset.name for dataset in datasets]
    for name in only:
        if name not in names:
            raise typer.BadParameter(f"there is no dataset '{name}' among {', '.join(names)}.")
    datasets = [dataset for dataset in datasets if not only or dataset.name in only]
    network = open_model(chosen.model, chosen.device, chosen.image_size)
    reports: list[SequenceReport] = []
    failed: dict[str, Sam2PluginsError] = {}
    with stopping_gently() as stop, frames_progress() as progress:

        def on_frame(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)
            if stop.requested:
                raise KeyboardInterrupt

        for dataset in datasets:
            task = progress.add_task(dataset.name, total=None)
            try:
                report = evaluate_sequence(
                    network,
                    dataset,
                    protocol,
                    window=chosen.window,
                    policy=chosen.memory,
                    on_frame=on_frame,
                )
            except KeyboardInterrupt:
                break
            except Sam2PluginsError as error:  # the others took their time, and count
                if len(datasets) == 1:
                    raise
                failed[dataset.name] = error
                progress.console.print(f"{dataset.name} is not scored: {error}", soft_wrap=True)
                continue
            reports.append(report)
    means = mean_by_kind(reports)
    facts = {
        "model": network.variant.name,
        **asdict(protocol),
        "protocol": protocol.name,
        "memory": chosen.memory,
        "sequences": _flat(reports),
        "means": _flat(means),
        **({"not_scored": {name: str(error) for name, error in failed.items()}} if failed else {}),
    }
    try:
        if json:
            print_json(facts)
        else:
            show_model(reports, means)
            if per_object:
                show_objects(reports)
    finally:  # if nobody reads on, as after `| head`, too
        if out and reports:
            out.mkdir(parents=True, exist_ok=True)
            report_file, scores, curve = (out / name for name in REPORT_FILES)
            files.write_text(report_file, to_json(facts))
            write_csv(scores, reports)
            draw(curve, reports)
            say(f"Written: {_FILES} in {out}.")
    if stop.requested:
        say(f"Stopped: {len(reports)} of {len(datasets)} datasets were scored.")
        raise typer.Exit(INTERRUPTED)
    if failed:
        raise typer.Exit(FAILED)


def _score_labels(
    pred: Path, gt: Path, given: dict[str, Any], per_object: bool, json: bool
) -> None:
    """Score predicted labels, by the dataset's rules where no option overrules them."""
    from sam2_plugins.cli.console import print_json
    from sam2_plugins.cli.score_tables import say_other_ids, show_labels
    from sam2_plugins.core.datasets import load_dataset, load_label_stack, recognise
    from sam2_plugins.core.errors import FrameSourceError
    from sam2_plugins.core.evaluation import metrics
    from sam2_plugins.core.evaluation.object_ids import evaluate_by_overlap

    settings: dict[str, Any] = {}
    truth: Any
    if recognise(gt):
        dataset = load_dataset(gt)
        settings, truth = dict(dataset.settings), dataset.truth
    else:
        truth = load_label_stack(gt)
    settings |= given
    try:
        scores, names = evaluate_by_overlap(load_label_stack(pred), truth, **settings)
    except ValueError as error:
        raise FrameSourceError(f"{pred} and {gt} cannot be compared: {error}") from error
    if not scores.n_objects:
        raise FrameSourceError(
            f"{gt} has no object to score: none is on its prompted frame and on a later one."
        )
    if names is not None:
        starts = metrics.starts_of(truth, settings.get("objects"), settings.get("prompt_frame", 0))
        say_other_ids(str(pred), names, starts)
    if json:
        print_json(scores.to_dict(per_object) | ({} if names is None else {"matched": names}))
    else:
        show_labels(scores, per_object)


def _score_whole(result: Path, truth: Path, per_object: bool, json: bool) -> None:
    """Score all objects of a result with their divisions."""
    from sam2_plugins.cli.console import print_json
    from sam2_plugins.cli.score_tables import show_whole
    from sam2_plugins.core.evaluation import ctc_scores

    scores = ctc_scores(result, truth)
    if not json:
        show_whole(result.name, scores, per_object)
        return
    values = asdict(scores)
    listed = values.pop("corrections")
    counts = {"corrections": sum(scores.acts.values()), "acts": scores.acts}
    print_json(values | counts | ({"per_object": listed} if per_object else {}))


def _flat(reports: Sequence[SequenceReport | MeanReport]) -> list[dict[str, Any]]:
    """Reports as plain values, with the scores beside the rest."""
    flat = []
    for report in reports:
        values = asdict(report)
        scores = values.pop("scores")
        flat.append({**values, **scores, "per_object": values.pop("objects", [])})
    return flat

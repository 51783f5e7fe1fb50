"""`sam2-plugins labelstudio`: the backend, a demonstration, frame stacks, masks of an export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.groups import grouped
from sam2_plugins.core.errors import ExportError, Sam2PluginsError
from sam2_plugins.labelstudio_backend.settings import Settings

app = typer.Typer(help="Label Studio: pre-annotate videos and images.", no_args_is_help=True)

Host = Annotated[str, typer.Option(help="Address to listen on.", envvar="HOST")]
Port = Annotated[int, typer.Option(help="Port to listen on.", envvar="PORT", max=65535)]
Labels = Annotated[str, typer.Option(metavar="A,B,…", help="Labels of the labelling config.")]


def _options_of_settings(*names: str) -> Any:
    """Make a group of the backend's settings, or of some of them; None where nothing is given."""
    made = []
    for one in fields(Settings):
        about, several = one.metadata, isinstance(one.default, tuple)
        if not about["help"] or (names and one.name not in names):
            continue
        name = one.name.removesuffix("s" if several else "").replace("_", "-")
        yes_or_no = isinstance(one.default, bool)
        option = typer.Option(
            f"--{name}/--no-{name}" if yes_or_no else f"--{name}",
            *(["-m"] if name == "model" else []),
            help=f"{about['help']} {', '.join(about['variables'])}",
            metavar=about["form"] or None,
            show_default=name if yes_or_no else str(one.default or "").removesuffix(".0") or False,
            rich_help_panel=about["group"] or None,
            callback=options.memory_name if name == "memory" else None,
            autocompletion=options.model_names if name == "model" else None,
        )
        kind = list[str] if several else type(one.default)
        made.append((one.name, Annotated[kind | None, option], None))
    return make_dataclass("SettingsOptions", made)


if TYPE_CHECKING:
    ServeOptions: TypeAlias = Any
    DemoOptions: TypeAlias = Any
else:
    ServeOptions, DemoOptions = _options_of_settings(), _options_of_settings("model", "device")


@app.command()
@grouped
def serve(
    backend: ServeOptions,
    host: Host = "127.0.0.1",
    port: Port = 9090,
) -> None:
    """Serve the ML backend; connect it in the project's settings, under Model.

    Every option can be set by an environment variable, too, named at its end. /health and /jobs
    show what is running, and how far it is.
    """
    from sam2_plugins.cli.console import say

    settings = _settings(asdict(backend))
    if host not in ("127.0.0.1", "::1", "localhost") and not settings.password:
        say("Note: everybody who reaches this port can use it; BASIC_AUTH_USER and _PASS close it.")
    say(f"{settings.model_version} at http://{host}:{port}; Ctrl-C stops it.")
    _run(settings, host, port)


@app.command()
@grouped
def demo(
    backend: DemoOptions,
    folder: Annotated[
        Path,
        typer.Option("--folder", help="Folder of Label Studio's data; kept for the next time."),
    ] = Path("labelstudio-demo"),
    label_studio: Annotated[
        Path | None,
        typer.Option(help="The program label-studio; by default, one is installed into FOLDER."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of Label Studio.", max=65535)] = 8080,
) -> None:
    """Start Label Studio with two sample projects and this backend, all on this machine."""
    from sam2_plugins.cli.console import ERR, say

    _need_server()
    from sam2_plugins.labelstudio_backend.demo import account_of, make_projects
    from sam2_plugins.labelstudio_backend.local_server import (
        LocalServer,
        free_port,
        install_server,
    )

    folder = folder.resolve()
    with ERR.status("Installing Label Studio, once; some minutes …"):
        program = label_studio or install_server(folder / "environment")
    account = account_of(folder)
    backend_port = free_port()
    backend_url = f"http://127.0.0.1:{backend_port}"
    server = LocalServer(program, folder / "data", account, port)
    with ExitStack() as stack:
        with ERR.status("Starting Label Studio; minutes the first time, for its database …"):
            stack.enter_context(server)
        settings = _settings(
            {
                **asdict(backend),
                "url": server.url,
                "api_key": account.token,
                "cache": str(folder / "cache"),
                "roots": (str(server.media),),
            }
        )

        def started() -> None:
            for project in make_projects(server, backend_url):
                say(f"  {project.title}: {project.url}")
            say(f"Log in as {account.email} with {account.password}")
            say("Open a task. The words above the video say what to do: label, box, Track (t);")
            say("to correct: move the box, Track again. Ctrl-C stops all.")

        _run(settings, "127.0.0.1", backend_port, started)


@app.command()
@grouped
def frames(
    source: Annotated[str, typer.Argument(help="Video, TIFF stack, folder of images, .npy …")],
    out: options.Out,
    arrays: options.ArrayOptions,
    labels: Labels = "Cell",
    document_root: Annotated[
        Path | None,
        typer.Option(help="Label Studio's LOCAL_FILES_DOCUMENT_ROOT, above OUT."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of OUT, if it is served in another way.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Take every n-th frame.")] = 1,
    pages: Annotated[int, typer.Option(min=0, help="Frames of a task at most; 0: all in one.")] = 0,
) -> None:
    """Make a task of a movie's frames, on which Label Studio draws masks.

    Writes the frames as PNG, tasks.json to import, and labelling_config.xml for the project.
    """
    from sam2_plugins.cli.console import frames_progress, say
    from sam2_plugins.core.frames import open_frames
    from sam2_plugins.labelstudio_backend.frame_stack import local_files_url, write_stack

    if (document_root is None) == (url is None):
        raise typer.BadParameter("give either --document-root or --url.")
    names = [label.strip() for label in labels.split(",") if label.strip()]
    if not names:
        raise typer.BadParameter("give at least one of --labels.")
    where = url or local_files_url(out, document_root or Path())
    with open_frames(source, **arrays.arguments()) as movie, frames_progress() as progress:
        task = progress.add_task("Writing", total=len(range(0, len(movie), every)))
        for done in write_stack(movie, out, url=where, labels=names, every=every, pages=pages):
            progress.update(task, completed=done)
    say(f"In Label Studio: make a project with the labelling config of {out},")
    if document_root is not None:
        say(f"add Local Files as source storage, path {out.resolve()}, without syncing it,")
    say("and import tasks.json.")


@app.command()
def export(
    annotations: Annotated[Path, typer.Argument(help="Label Studio's export, format JSON.")],
    out: options.Out = Path("masks"),
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="A,B,…",
            help="Any of tiff (labels), coco, csv, ctc, geff, trackmate.",
            autocompletion=options.format_names,
        ),
    ] = "tiff,coco",
    by_file: Annotated[
        bool,
        typer.Option(
            "--by-file",
            help="Write the frames of the video file, instead of those that Label Studio counts.",
        ),
    ] = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Turn an export into masks: those that travel in video boxes, and those on images.

    One folder a task, or a video or picture of it. Frames are Label Studio's, counted from 0;
    where those are not the video file's, frames.csv tells which is which.
    """
    from sam2_plugins.cli.console import print_json, say
    from sam2_plugins.core.files import require_free
    from sam2_plugins.labelstudio_backend.export import read_export, write_masks

    require_free([out], overwrite)
    made = []
    left: list[str] = []
    for task in read_export(annotations, by_file, left):
        files = write_masks(task, out / task.name, format_, overwrite=overwrite)
        facts = {"task": task.name, "objects": len(task.masks.objects), "frames": task.length}
        left_out = sum(task.left_out.values())
        facts |= {"moved_masks": task.moved, "left_out": left_out, "older": task.older}
        made.append({**facts, "files": files})
        if not json:
            say(f"{task.name}: {len(task.masks.objects)} objects on {task.length} frames")
            if task.moved:
                say(
                    f"  {task.moved} masks are their keyframe's, moved into the box of the frame; "
                    "`serve --masks all` keeps every mask."
                )
            if task.older:
                say(f"  {task.older} older annotations of the task are left out.")
            for kind, count in task.left_out.items():
                if count:
                    say(f"  {count} of {kind} enclose no mask, and are left out.")
    if not made and not left:
        raise ExportError(f"{annotations} holds no annotation with a mask or a tracked box.")
    if json and made:
        print_json(made)
    if left:
        rest = " The rest is written." if made else ""
        raise ExportError(f"{' '.join(left)}{rest}")


def _settings(given: Mapping[str, object]) -> Settings:
    _need_server()
    from sam2_plugins.core.checkpoints import check_model_name
    from sam2_plugins.core.files import require_writable

    lists = {name: tuple(one) or None for name, one in given.items() if isinstance(one, list)}
    settings = Settings.from_environment({**given, **lists})
    require_writable(settings.folder, "--cache")
    settings.tracking  # noqa: B018 - raises what is wrong with it, before the server starts
    check_model_name(settings.model)  # it is loaded at the first request: too late for a message
    return settings


def _need_server() -> None:
    try:
        import httpx  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise Sam2PluginsError(
            f"{error.name} is not installed: pip install 'sam2-plugins[labelstudio]'"
        ) from error


def _run(
    settings: Settings, host: str, port: int, started: Callable[[], None] | None = None
) -> None:
    from sam2_plugins.labelstudio_backend.server import run

    run(settings, host, port, started)

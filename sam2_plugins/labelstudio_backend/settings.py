"""How a backend is to run: every setting is a flag of `serve` and a variable of the environment."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_plugins.labelstudio_backend.errors import LabelStudioError

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.options import TrackingOptions

log = logging.getLogger(__name__)

VERSION_PREFIX = "SAM 2 "
"""Beginning of the names of this backend's models in Label Studio."""

OF_A_PROJECT = (
    "model", "device", "image_size", "window", "memory", "max_frames", "masks", "track_predictions",
    "everything",
)  # fmt: skip
"""Settings that a project may have of its own: its *extra params* in Label Studio."""


def _setting(default: Any, help: str, *variables: str, group: str = "", form: str = "") -> Any:
    """Make a field: its help, its variables, and under which heading `serve` shows its option."""
    about = {"help": help, "variables": variables, "group": group, "form": form}
    return field(default=default, metadata=about)


_serving = partial(_setting, group="Serving")
_files = partial(_setting, group="Files of tasks")


@dataclass(frozen=True)
class Settings:
    """Settings of a backend; each field has its help and its variables.

    A field without help is no option of `serve`: others on the machine see the options of a
    command.
    """

    model: str = _setting("auto", "nano, sam2.1-tiny …, or a file of weights.", "SAM2_MODEL")
    device: str = _setting("auto", "auto, cpu, cuda, mps.", "SAM2_DEVICE")
    url: str = _setting(
        "",
        "Address of Label Studio; by default, what it sends when it connects.",
        *("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST"),
    )
    api_key: str = _setting(
        "",
        "Personal access token or legacy token. Give it as a variable where other users of this "
        "machine must not see it.",
        "LABEL_STUDIO_API_KEY",
    )
    user: str = _setting(
        "",
        "Let only this user connect; the password is in BASIC_AUTH_PASS.",
        "BASIC_AUTH_USER",
    )
    password: str = _setting("", "", "BASIC_AUTH_PASS")
    answer_within: float = _serving(
        80.0,
        "Seconds after which a request is answered with what there is; below the 100 that Label "
        "Studio waits.",
        "SAM2_ANSWER_WITHIN",
    )
    max_frames: int = _serving(
        0, "Frames to track from the prompts, each way; 0: to both ends.", "SAM2_MAX_FRAMES"
    )
    memory: str = _serving(
        "sam2", "What each object remembers: sam2, samurai or dam4sam.", "SAM2_MEMORY"
    )
    window: str = _serving(
        "auto",
        "See small objects through windows: where it helps, never, or of N pixels.",
        "SAM2_WINDOW",
        form="auto|none|N",
    )
    image_size: int = _serving(
        0, "Side in pixels of what the model sees; 0: the model's own.", "SAM2_IMAGE_SIZE"
    )
    track_predictions: bool = _serving(
        True,
        "Take predictions of other models, such as a detector, for prompts where a task has no "
        "annotation.",
        "SAM2_TRACK_PREDICTIONS",
    )
    everything: str = _serving(
        "",
        "Find all objects of tasks in which nobody has drawn anything, and give them this label.",
        "SAM2_EVERYTHING",
        form="LABEL",
    )
    requests: int = _serving(
        128,
        "Requests that may be open at once; more are refused for a while.",
        "SAM2_REQUESTS",
    )
    masks: str = _serving(
        "keyframes",
        "Masks that travel in video boxes, for `export`.",
        "SAM2_MASKS",
        form="keyframes|all|none",
    )
    cache: str = _files("", "Folder of fetched files and tracked masks.", "SAM2_LABELSTUDIO_CACHE")
    cache_gigabytes: float = _files(20.0, "Space for fetched files.", "SAM2_CACHE_GIGABYTES")
    max_gigabytes: float = _files(8.0, "Largest file that is fetched.", "SAM2_MAX_GIGABYTES")
    track_gigabytes: float = _files(5.0, "Space for tracked masks.", "SAM2_TRACK_GIGABYTES")
    max_megapixels: float = _files(50.0, "Largest image or video frame.", "SAM2_MAX_MEGAPIXELS")
    fetch_within: float = _files(
        900.0, "Seconds in which a file has to be fetched.", "SAM2_FETCH_WITHIN"
    )
    ca_file: str = _files(
        "",
        "Certificates of your own authority.",
        *("SAM2_CA_FILE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    )
    proxy: str = _files(
        "",
        "HTTP proxy for all addresses but Label Studio's; that of the environment is not used.",
        "SAM2_PROXY",
    )
    roots: tuple[str, ...] = _files(
        (),
        "Folder whose files tasks may name, and Label Studio's document root, if it is on this "
        "machine.",
        "LOCAL_FILES_DOCUMENT_ROOT",
    )
    allow_hosts: tuple[str, ...] = _files(
        (), "Host of the internal network that tasks may name.", "SAM2_ALLOW_HOSTS"
    )

    def __post_init__(self) -> None:
        from sam2_plugins.core.checkpoints import model_name

        # `auto` is resolved here: predictions are stored under the name of their model.
        object.__setattr__(self, "model", model_name(self.model, self.device))
        if self.masks not in ("keyframes", "all", "none"):
            raise LabelStudioError(
                f"The masks that travel are keyframes, all or none, not {self.masks!r}."
            )
        if self.url and not self.url.startswith(("http://", "https://")):
            raise LabelStudioError(
                f"The address of Label Studio begins with http:// or https://, not {self.url!r}."
            )
        if self.answer_within <= 0 or self.max_frames < 0:
            raise LabelStudioError("answer_within is above 0 seconds, and max_frames 0 or more.")
        if self.requests < 1 or self.max_megapixels <= 0 or self.fetch_within <= 0:
            raise LabelStudioError("requests, max_megapixels and fetch_within are above 0.")
        if self.ca_file and not Path(self.ca_file).expanduser().exists():
            raise LabelStudioError(f"There is no file {self.ca_file} with certificates.")

    @classmethod
    def from_environment(
        cls, given: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
    ) -> Settings:
        """Make settings of `given` where it is not None, else the environment, else the defaults.

        Raises
        ------
        LabelStudioError
            If a variable is not what its setting needs.
        """
        environment = os.environ if environment is None else environment
        values = {key: value for key, value in (given or {}).items() if value is not None}
        for one in fields(cls):
            for variable in one.metadata["variables"]:
                if one.name not in values and environment.get(variable):
                    values[one.name] = _read(environment[variable], one.default, variable)
        return cls(**values)

    @property
    def folder(self) -> Path:
        """Folder of fetched files, tracks and requests."""
        from sam2_plugins.core.checkpoints import cache_dir

        return Path(self.cache).expanduser() if self.cache else cache_dir() / "labelstudio"

    @property
    def model_version(self) -> str:
        """The name under which Label Studio keeps the predictions.

        It asks for others only where this changes: so all that they depend on is in it.
        """
        from sam2_plugins.core.checkpoints import weights_digest

        name = Path(self.model).stem if os.sep in self.model else self.model
        usual = {one.name: one.default for one in fields(self)}
        chosen = [
            f"{key.replace('_', ' ')} {value}"
            for key in ("memory", "window", "image_size", "max_frames", "masks", "everything")
            if (value := getattr(self, key)) != usual[key]
        ]
        trained = f"{name} {weights_digest(self.model)[:6]}".strip()
        return VERSION_PREFIX + ", ".join([trained, *chosen])

    def of_project(self, params: Any, known: bool = False) -> Settings:
        """Return the settings of a project, whose *extra params* change some of these.

        Parameters
        ----------
        params
            As Label Studio sends them: an object, or JSON of one; "" and None are none.
        known
            Whether the project has had them before: what changes nothing was no error once.

        Raises
        ------
        LabelStudioError
            If they are no object, a setting is none of a project, or cannot have its value.
        """
        from sam2_plugins.core.variants import VARIANTS

        given = params
        if isinstance(params, str):
            with suppress(ValueError):
                params = json.loads(params.strip() or "null")
        if params is None:
            return self
        if not isinstance(params, Mapping) or not {*params} <= {*OF_A_PROJECT}:
            told = (
                'The extra params of a project are JSON, such as {"max_frames": 500}, of '
                f"{', '.join(OF_A_PROJECT)}, not {str(given)[:100]!r}."
            )
            if not known:
                raise LabelStudioError(told)
            log.warning("%s", told)
            params = params if isinstance(params, Mapping) else {}
        defaults = {one.name: one.default for one in fields(self)}
        own = {
            name: _read(str(params[name]), defaults[name], f"the project's {name}")
            for name in OF_A_PROJECT
            if params.get(name) is not None
        }
        model = own.get("model", self.model)
        if model != self.model and model not in VARIANTS:
            raise LabelStudioError(
                f"A project's model is one of {', '.join(VARIANTS)}, not {model!r}; a file is "
                "named where the backend is started."
            )
        made = replace(self, **own)
        made.tracking  # noqa: B018 - raises what is wrong with it
        return made

    @cached_property
    def tracking(self) -> TrackingOptions:
        """How movies are tracked.

        Raises
        ------
        TrackingError
            If a value is not one that can be chosen.
        """
        from sam2_plugins.core.tracking.options import TrackingOptions

        return TrackingOptions.of({**vars(self), "image_size": self.image_size or None})


def _read(text: str, default: Any, variable: str) -> Any:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, bool):
        return text.strip().lower() not in ("", "0", "no", "false", "off")
    try:
        return type(default)(text)
    except ValueError as error:
        raise LabelStudioError(f"{variable}={text} is not a number.") from error

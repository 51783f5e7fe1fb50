"""How a backend is to run: every setting is a flag of `serve` and a variable of the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_plugins.core.checkpoints import cache_dir, model_name
from sam2_plugins.core.variants import VARIANTS
from sam2_plugins.labelstudio_backend.errors import LabelStudioError

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.options import TrackingOptions

VERSION_PREFIX = "SAM 2 "
"""With which the name of every model of this backend begins in Label Studio."""

OF_A_PROJECT = (
    "model", "device", "image_size", "window", "memory", "max_frames", "masks", "track_predictions",
    "everything",
)  # fmt: skip
"""Settings that a project may have of its own: its *extra params* in Label Studio."""


def _setting(default: Any, *variables: str) -> Any:
    return field(default=default, metadata={"variables": variables})


@dataclass(frozen=True)
class Settings:
    """Settings of a backend.

    Attributes
    ----------
    model, device, image_size
        As `load_model` takes them; an image size of 0 is the model's own.
    window
        Whether small objects are seen through windows: auto, none, or a number of pixels.
    url, api_key
        Label Studio's address, and a legacy token or personal access token. Without them, what
        Label Studio tells on connecting is used.
    user, password
        Of the backend itself (basic authentication); open to all without.
    answer_within
        Seconds after which a request is answered with what there is; below the 100 that Label
        Studio waits.
    max_frames
        Frames that are tracked each way from the outermost prompts; 0: to both ends.
    memory
        Rule of what each object remembers, a key of `core.tracking.memory.policies.policies()`.
    masks
        "keyframes": the mask of each keyframe travels in it; "all": those of the frames between
        as well; "none".
    cache, cache_gigabytes
        Where videos and tracked masks are kept, and how much of the videos.
    max_gigabytes
        Largest video or image that is fetched.
    roots
        Folders below which local files may be read directly.
    allow_hosts
        Hosts on internal addresses that tasks may name.
    ca_file
        Certificates of authorities that are trusted besides the usual ones.
    proxy
        HTTP proxy through which addresses outside of Label Studio are fetched; none by default,
        whatever the environment says.
    fetch_within
        Seconds that fetching one file may take in all.
    max_megapixels
        Largest image or video frame.
    track_gigabytes
        Room for tracked masks.
    track_predictions
        Whether predictions of other models are prompts where a task has no annotation.
    everything
        Label of all objects that are found in a task where nobody has drawn anything; "": such a
        task is left alone.
    requests
        Requests for predictions that may be open at once; more are told to come back.
    """

    model: str = _setting("auto", "SAM2_MODEL")
    device: str = _setting("auto", "SAM2_DEVICE")
    image_size: int = _setting(0, "SAM2_IMAGE_SIZE")
    window: str = _setting("auto", "SAM2_WINDOW")
    url: str = _setting("", "LABEL_STUDIO_URL", "LABEL_STUDIO_HOST")
    api_key: str = _setting("", "LABEL_STUDIO_API_KEY")
    user: str = _setting("", "BASIC_AUTH_USER")
    password: str = _setting("", "BASIC_AUTH_PASS")
    answer_within: float = _setting(80.0, "SAM2_ANSWER_WITHIN")
    max_frames: int = _setting(0, "SAM2_MAX_FRAMES")
    memory: str = _setting("sam2", "SAM2_MEMORY")
    masks: str = _setting("keyframes", "SAM2_MASKS")
    cache: str = _setting("", "SAM2_LABELSTUDIO_CACHE")
    cache_gigabytes: float = _setting(20.0, "SAM2_CACHE_GIGABYTES")
    max_gigabytes: float = _setting(8.0, "SAM2_MAX_GIGABYTES")
    roots: tuple[str, ...] = _setting((), "LOCAL_FILES_DOCUMENT_ROOT")
    allow_hosts: tuple[str, ...] = _setting((), "SAM2_ALLOW_HOSTS")
    ca_file: str = _setting("", "SAM2_CA_FILE", "SSL_CERT_FILE")
    proxy: str = _setting("", "SAM2_PROXY")
    fetch_within: float = _setting(900.0, "SAM2_FETCH_WITHIN")
    max_megapixels: float = _setting(50.0, "SAM2_MAX_MEGAPIXELS")
    track_gigabytes: float = _setting(5.0, "SAM2_TRACK_GIGABYTES")
    track_predictions: bool = _setting(True, "SAM2_TRACK_PREDICTIONS")
    everything: str = _setting("", "SAM2_EVERYTHING")
    requests: int = _setting(128, "SAM2_REQUESTS")

    def __post_init__(self) -> None:
        # Named here, for predictions are kept under the name of their model.
        object.__setattr__(self, "model", model_name(self.model, self.device))
        if self.masks not in ("keyframes", "all", "none"):
            raise LabelStudioError(
                f"The masks that travel are keyframes, all or none, not {self.masks!r}."
            )
        if self.answer_within <= 0 or self.max_frames < 0:
            raise LabelStudioError("answer_within is above 0 seconds, and max_frames 0 or more.")
        if self.requests < 1 or self.max_megapixels <= 0 or self.fetch_within <= 0:
            raise LabelStudioError("requests, max_megapixels and fetch_within are above 0.")
        if self.ca_file and not Path(self.ca_file).expanduser().is_file():
            raise LabelStudioError(f"There is no file {self.ca_file} with certificates.")

    @classmethod
    def from_environment(
        cls, given: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
    ) -> Settings:
        """Take what was given (and is not None), else the environment, else the defaults.

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
        """Where everything is kept."""
        return Path(self.cache).expanduser() if self.cache else cache_dir() / "labelstudio"

    @property
    def model_version(self) -> str:
        """The name under which Label Studio keeps the predictions."""
        return VERSION_PREFIX + (Path(self.model).stem if os.sep in self.model else self.model)

    def of_project(self, params: Any) -> Settings:
        """Return the settings of a project, whose *extra params* change some of these.

        Parameters
        ----------
        params
            As Label Studio sends them: an object, or JSON of one; anything else changes nothing.

        Raises
        ------
        LabelStudioError
            If a value is none that the setting can have.
        """
        if isinstance(params, str):
            try:
                params = json.loads(params)
            except ValueError:
                return self
        if not isinstance(params, Mapping):
            return self
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
        made.tracking  # noqa: B018 - says what is wrong with it
        return made

    @property
    def tracking(self) -> TrackingOptions:
        """How movies are tracked.

        Raises
        ------
        TrackingError
            If a value is not one that can be chosen.
        """
        from sam2_plugins.core.tracking.options import TrackingOptions, parse_window

        return TrackingOptions(
            model=self.model,
            device=self.device,
            image_size=self.image_size or None,
            window=parse_window(self.window),
            memory=self.memory,
        )


def _read(text: str, default: Any, variable: str) -> Any:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, bool):
        return text.strip().lower() not in ("", "0", "no", "false", "off")
    try:
        return type(default)(text)
    except ValueError as error:
        raise LabelStudioError(f"{variable}={text} is not a number.") from error

"""How a backend is to run: every setting is a flag of `serve` and a variable of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sam2_plugins.core.checkpoints import cache_dir
from sam2_plugins.labelstudio_backend.errors import LabelStudioError


def _setting(default: Any, *variables: str) -> Any:
    return field(default=default, metadata={"variables": variables})


@dataclass(frozen=True)
class Settings:
    """Settings of a backend.

    Attributes
    ----------
    model, device
        As `load_model` takes them.
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
    """

    model: str = _setting("nano", "SAM2_MODEL")
    device: str = _setting("auto", "SAM2_DEVICE")
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

    def __post_init__(self) -> None:
        if self.masks not in ("keyframes", "all", "none"):
            raise LabelStudioError(
                f"The masks that travel are keyframes, all or none, not {self.masks!r}."
            )
        if self.answer_within <= 0 or self.max_frames < 0:
            raise LabelStudioError("answer_within is above 0 seconds, and max_frames 0 or more.")

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
        return f"SAM 2 {Path(self.model).stem if os.sep in self.model else self.model}"


def _read(text: str, default: Any, variable: str) -> Any:
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return type(default)(text)
    except ValueError as error:
        raise LabelStudioError(f"{variable}={text} is not a number.") from error

"""Where weights lie on this machine, and whether they are still what was downloaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.variants import VARIANTS, Variant, get_variant

_EMBEDDED = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class ModelStatus:
    """One row of `sam2-plugins models`: what `Variant` and `Published` document, and more.

    Parameters
    ----------
    megabytes
        Size of the weights; None for an embedded model that this installation lacks.
    path
        Where the weights are; None if they are not on this machine.
    """

    name: str
    about: str
    image_size: int
    megabytes: int | None
    licence: str
    path: Path | None
    j_and_f: float | None = None
    gigaflop: float | None = None


def cache_dir() -> Path:
    """Return the folder of downloaded weights; the variable SAM2_PLUGINS_CACHE moves it."""
    moved = os.environ.get("SAM2_PLUGINS_CACHE")
    return Path(moved).expanduser() if moved else user_cache_path("sam2_plugins")


def embedded_path(name: str) -> Path:
    """Return where weights that come with the package lie."""
    return _EMBEDDED / f"{name}.safetensors"


def weights_path(variant: Variant) -> Path:
    """Return where the weights of a variant belong, be they there or not."""
    if variant.published is None:
        return embedded_path(variant.name)
    return cache_dir() / f"{variant.config}.pt"


def find_weights(name: str) -> Path | None:
    """Return the file with the weights of the named variant, or None if it is not here.

    Raises
    ------
    ModelError
        If there is no such variant.
    """
    path = weights_path(get_variant(name))
    return path if path.is_file() else None


def list_models() -> list[ModelStatus]:
    """Return every variant, with what its weights weigh and where they are."""
    return [_status(variant) for variant in VARIANTS.values()]


def _status(variant: Variant) -> ModelStatus:
    path, published = find_weights(variant.name), variant.published
    embedded = round(path.stat().st_size / 1e6) if path else None
    return ModelStatus(
        variant.name,
        variant.about,
        variant.image_size,
        published.megabytes if published else embedded,
        variant.licence,
        path,
        published.j_and_f if published else None,
        variant.gigaflop,
    )


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def record_sha256(path: Path, digest: str) -> None:
    """Write `<file>.sha256`, in the format that `sha256sum -c` reads."""
    note = _record_path(path)
    fresh = note.with_name(note.name + ".new")
    fresh.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    fresh.replace(note)


def recorded_sha256(path: Path) -> str | None:
    """Return the digest that was recorded beside a file, or None."""
    try:
        words = _record_path(path).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return None
    return words[0].lower() if words else None


def check_sha256(variant: Variant, path: Path) -> None:
    """Compare a cached file with the digest of its download.

    A file put there by hand has no record, and passes until `load_model` has made one.

    Raises
    ------
    ModelError
        If the file is not what it was.
    """
    expected = recorded_sha256(path)
    if expected is None:
        return
    found = sha256_of(path)
    if found != expected:
        raise ModelError(
            f"{path} is damaged or was changed: its sha256 is {found}, and should be {expected}. "
            f"`sam2-plugins download {variant.name}` fetches it again."
        )


def other_than_published(variant: Variant, path: Path) -> str | None:
    """Return the digest of a file that is not the published one; None if it is, or may be."""
    published = variant.published.sha256 if variant.published else None
    if published is None:
        return None
    found = recorded_sha256(path) or sha256_of(path)
    return None if found == published else found


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")

"""Published weights into the cache: one process at a time, verified, never half there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from sam2_plugins.core.checkpoints.cache import (
    check_sha256,
    other_than_published,
    record_sha256,
    sha256_of,
    weights_path,
)
from sam2_plugins.core.checkpoints.files import FileKind, kind_of
from sam2_plugins.core.checkpoints.transfer import (
    RETRY_WAITS,
    Progress,
    TransferError,
    discard,
    fetch,
)
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.variants import Variant, get_variant


def download(
    name: str, on_progress: Progress | None = None, *, waits: Sequence[float] = RETRY_WAITS
) -> Path:
    """Return the file with the named variant's weights, fetching it unless it is here and sound.

    A stopped download goes on where it stopped; a damaged file is fetched anew. The variable
    SAM2_PLUGINS_WEIGHTS_URL names another folder to fetch from (a mirror that holds the files
    under their published names); proxies are taken from the environment.

    Parameters
    ----------
    on_progress
        Called with the bytes done and the total (None if unknown). What it raises stops the
        download, which can go on later.
    waits
        Seconds before each retry after a transient failure.

    Raises
    ------
    ModelError
        If there is no such variant, or its file cannot be fetched, is not what it should be, or
        cannot be written.
    """
    return download_variant(get_variant(name), on_progress, waits)


def download_variant(
    variant: Variant, on_progress: Progress | None, waits: Sequence[float]
) -> Path:
    """Do what `download` says, for a variant instead of its name."""
    target = weights_path(variant)
    if _is_sound(variant, target):
        return target
    if variant.published is None:
        raise ModelError(
            f"{variant.name} is not published anywhere: it comes with the package, and this "
            f"installation lacks {target}. Reinstall sam2-plugins."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if not _is_sound(variant, target):
                _fetch_verified(variant, target, on_progress, waits)
    except TransferError as error:
        raise ModelError(
            f"Cannot download {variant.name} from {weights_url(variant)}: {error}. "
            + _by_hand(variant, target)
        ) from error
    except OSError as error:
        assert variant.published is not None
        raise ModelError(
            f"Cannot write {variant.name} ({variant.published.megabytes} MB) into the cache folder "
            f"{target.parent}: {error.strerror or error}. Make room there, or set "
            "SAM2_PLUGINS_CACHE to a folder that can be written and has room. By hand: fetch "
            f"{weights_url(variant)} with a browser and give load_model the path of the file."
        ) from error
    return target


def weights_url(variant: Variant) -> str:
    """Return where a published variant is fetched from.

    Raises
    ------
    ModelError
        If SAM2_PLUGINS_WEIGHTS_URL is not the URL of a folder.
    """
    assert variant.published is not None
    mirror = os.environ.get("SAM2_PLUGINS_WEIGHTS_URL")
    if not mirror:
        return variant.published.url
    if not mirror.startswith(("http://", "https://")):
        raise ModelError(
            f"SAM2_PLUGINS_WEIGHTS_URL is {mirror!r}, which does not start with http:// or "
            "https://. Set it to the folder of a mirror, or unset it."
        )
    return f"{mirror.rstrip('/')}/{variant.config}.pt"


def _is_sound(variant: Variant, target: Path) -> bool:
    if not target.is_file() or kind_of(target) not in (FileKind.TORCH, FileKind.SAFETENSORS):
        return False
    try:
        check_sha256(variant, target)
    except ModelError:
        return False
    return other_than_published(variant, target) is None


def _fetch_verified(
    variant: Variant, target: Path, on_progress: Progress | None, waits: Sequence[float]
) -> None:
    assert variant.published is not None
    part = target.with_name(target.name + ".part")
    fetch(weights_url(variant), part, on_progress, waits)
    if kind_of(part) is FileKind.WEB_PAGE:
        discard(part)
        raise TransferError(
            "what came is a web page, not weights (perhaps the login page of your network)", False
        )
    digest, expected = sha256_of(part), variant.published.sha256
    if expected is not None and digest != expected:
        discard(part)
        raise TransferError(
            f"what came has the sha256 {digest} instead of {expected}, so it is not the published "
            "file; try again, or from another network or mirror",
            False,
        )
    # The record goes first: a crash between the two leaves at worst a record without a file.
    record_sha256(target, digest)
    part.replace(target)
    discard(part)


def _by_hand(variant: Variant, target: Path) -> str:
    return (
        f"By hand: fetch {weights_url(variant)} with a browser and save it as {target} (the "
        "variable SAM2_PLUGINS_CACHE moves that folder), or give load_model the path of the file. "
        "SAM2_PLUGINS_WEIGHTS_URL names a mirror."
    )

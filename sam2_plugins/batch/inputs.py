"""Digests of all that the masks of a run depend on, by which results are recognised."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from sam2_plugins.batch.job import Job, Settings
from sam2_plugins.batch.report import Report
from sam2_plugins.core.checkpoints import locate_weights
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.files import content_digest, digest_of, signature
from sam2_plugins.core.frames import source_files
from sam2_plugins.core.prompt_files import prompt_to_json


def read_content(source: str, before: Report | None) -> dict[str, str]:
    """Return the signature and the digest of a movie's files: of a set, of all.

    A source that is as it was when `before` was written is not read again; neither is one that is
    gone since, whose results stay what they are. Of an address only its text is known, and standard
    input is another movie every time.
    """
    if source == "-":
        return {"signature": "", "digest": uuid.uuid4().hex}
    if "://" in source:
        return {"signature": source, "digest": _digest(source)}
    path = Path(source).expanduser()
    known = before.content if before is not None and before.source == source else {}
    try:
        files = source_files(path)
        mark = signature(*files, strict=True)
        if known and mark in ("", known.get("signature")):
            return dict(known)
        if not files:
            raise FrameSourceError(f"There is no file or folder {path}. Check the path.")
        if path.exists() and not path.is_file() and not path.is_dir():
            return {"signature": "", "digest": uuid.uuid4().hex}  # a pipe is read only once
        return {"signature": mark, "digest": content_digest(*files)}
    except OSError as error:
        raise FrameSourceError(f"{path} cannot be read: {error.strerror or error}.") from error


def digest_inputs(job: Job, settings: Settings, content: Mapping[str, str]) -> dict[str, str]:
    """Digest what the masks depend on: the device, the threads and the formats are not of it."""
    prompts = [prompt_to_json(prompt) for prompt in job.prompts]
    reading = {key: value for key, value in job.reading.items() if value is not None}
    options = settings.options(job).identity()
    del options["model"]  # whose weights count, not its name
    weights = locate_weights(settings.model, device=settings.device)
    given: list[Any] = [prompts, sorted(job.lives.items(), key=repr)]
    for facts in (job.mothers, job.names):
        if facts:
            given.append(sorted(facts.items(), key=repr))
    if job.everything is not None:
        labels = job.everything.labels
        given += [asdict(job.everything), labels and content_digest(Path(labels))]
    return {
        "movie": _digest([content["digest"], reading]),
        "prompts": _digest(given),
        "model": _digest_weights(weights, signature(weights, strict=True)),
        "options": _digest(options),
    }


@lru_cache(maxsize=8)
def _digest_weights(path: Path, mark: str) -> str:
    return _digest(content_digest(path))


def _digest(value: Any) -> str:
    return digest_of(json.dumps(value, sort_keys=True))

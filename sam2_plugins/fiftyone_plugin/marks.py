"""How a machine-made label is told from a person's, and a current one from an outdated one.

Every label that the tracker writes carries a mark, `<cause>-<digest>`: what its mask follows from,
and what it looks like. A label without a mark is a person's. So is one whose mask has changed
since, for a person has corrected it. One whose cause is that of the run at hand needs no computing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompt_files import prompt_to_json
from sam2_plugins.core.prompts import Prompt

MARK = "sam2_mark"
"""The attribute of a label that holds its mark."""


@dataclass(frozen=True)
class Mark:
    """What a machine-made label follows from (its cause), and its mask when it was made."""

    cause: str
    digest: str

    @classmethod
    def of(cls, cause: str, mask: ObjectMask) -> Mark:
        """Mark a mask."""
        return cls(cause, digest(mask))

    @classmethod
    def parse(cls, text: Any) -> Mark | None:
        """Read a mark; None if there is none."""
        cause, dash, rest = str(text or "").partition("-")
        return cls(cause, rest) if dash else None

    def __str__(self) -> str:
        return f"{self.cause}-{self.digest}"


def digest(mask: ObjectMask) -> str:
    """Tell masks apart by their pixels and place."""
    content = repr((mask.offset, mask.crop.shape)).encode() + mask.crop.tobytes()
    return hashlib.sha256(content).hexdigest()[:8]


def cause_of(prompts: Iterable[Prompt], settings: Any) -> str:
    """Tell apart what masks of one object follow from: its prompts and how it is tracked."""
    said = [prompt_to_json(prompt) for prompt in prompts]
    text = json.dumps([said, settings], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]

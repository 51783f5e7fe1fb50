"""Marks that distinguish machine-made labels from a person's, and current from outdated ones.

Every label that the tracker writes carries a mark, `<cause>-<digest>-<class>`: what its mask
follows from, what it looks like, and the class that it was given. A label without a mark is a
person's. So is one whose mask has changed since, for a person has corrected it. One whose cause is
that of the run at hand needs no computing. A class that has changed since is a person's: it stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam2_plugins.core.files import digest_of
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompt_files import prompt_to_json
from sam2_plugins.core.prompts import Prompt

MARK = "sam2_mark"
"""The attribute of a label that holds its mark."""

DOUBT, DOUBT_REASONS = "doubt", "doubt_reasons"
"""Attributes with how doubtful a mask is, 0 to 1 (see `core.tracking.doubt`), and why."""


_FOUND = "all"
"""Begins the causes of masks that no prompt made; other causes are hexadecimal digits."""


@dataclass(frozen=True)
class Mark:
    """What a machine-made label follows from (its cause), and its mask when it was made.

    Attributes
    ----------
    name
        Digest of the class that was written; "" in marks of version 0.1.0.
    """

    cause: str
    digest: str
    name: str = ""

    @classmethod
    def of(cls, cause: str, mask: ObjectMask, label: str | None = None) -> Mark:
        """Mark a mask of a class."""
        return cls(cause, digest(mask), name_digest(label))

    @classmethod
    def parse(cls, text: Any) -> Mark | None:
        """Read a mark; None if there is none."""
        cause, *rest = str(text or "").split("-")
        return cls(cause, *rest) if 1 <= len(rest) <= 2 else None

    @property
    def unprompted(self) -> bool:
        """Whether a run for all objects made it, without a prompt."""
        return self.cause.startswith(_FOUND)

    def shows(self, mask: ObjectMask) -> bool:
        """Whether a mask is the one that was made."""
        return digest(mask) == self.digest

    def named_by_person(self, label: str | None) -> bool:
        """Whether a class differs from the one that was written."""
        return bool(self.name) and self.name != name_digest(label)

    def __str__(self) -> str:
        return "-".join((self.cause, self.digest, self.name))


def digest(mask: ObjectMask) -> str:
    """Return a digest of a mask's pixels and place."""
    content = repr((mask.offset, mask.crop.shape)).encode() + mask.crop.tobytes()
    return hashlib.sha256(content).hexdigest()[:8]


def name_digest(label: str | None) -> str:
    """Return a digest of a class."""
    return digest_of(repr(label), 4)


@dataclass(frozen=True)
class Cause:
    """What the masks of one object follow from: its prompts and how it is tracked.

    Neither its names nor the direction of the run count, but whether a frame was reached forward or
    in reverse does: so runs in both directions complete each other.
    """

    digest: str

    @classmethod
    def of(cls, prompts: Iterable[Prompt], settings: Any) -> Cause:
        """Find the cause of an object's masks."""
        return cls(cause_of(prompts, settings))

    @classmethod
    def found(cls, settings: Any) -> Cause:
        """Cause of the masks of all objects, which no prompt made."""
        return cls(_FOUND + cause_of((), settings))

    def on(self, reverse: bool) -> str:
        """Return the cause of a mask, for its mark."""
        return self.digest + ("r" if reverse else "")

    def __contains__(self, cause: str) -> bool:
        return cause.removesuffix("r") == self.digest


def cause_of(prompts: Iterable[Prompt], settings: Any) -> str:
    """Return a digest of an object's prompts and of how it is tracked; its names do not count.

    Coordinates count to a thousandth of a pixel, which a label keeps on its way through a file.
    """
    given = [prompt_to_json(prompt) for prompt in prompts]
    for one in given:
        del one["obj"]
        one |= {name: np.round(one[name], 3).tolist() for name in ("box", "points") if name in one}
    text = json.dumps([given, settings], sort_keys=True, default=str)
    return digest_of(text, 8)

"""Memory policies by name. A module of this folder that registers one is found by itself."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from sam2_plugins.core.errors import TrackingError

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy

P = TypeVar("P", bound="type[Sam2Policy]")

_registered: dict[str, type[Sam2Policy]] = {}
_aliases: dict[str, str] = {}


def memory_policy(name: str, *aliases: str) -> Callable[[P], P]:
    """Register a policy, whose first line of documentation is its help in forms.

    Parameters
    ----------
    name
        What a person types.
    aliases
        Names of earlier versions.
    """

    def register(kind: P) -> P:
        _registered[name] = kind
        _aliases.update(dict.fromkeys(aliases, name))
        return kind

    return register


@cache
def policies() -> dict[str, type[Sam2Policy]]:
    """Return all policies by name, the published one first. Needs no torch."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if not module.name.startswith("_"):
            import_module(f"{package}.{module.name}")
    return dict(sorted(_registered.items(), key=lambda item: item[0] != "sam2"))


def policy_help() -> dict[str, str]:
    """Return what each policy does, by name, for forms."""
    return {name: (kind.__doc__ or "").splitlines()[0] for name, kind in policies().items()}


def policy_name(name: str) -> str:
    """Return the name of today for a name or an earlier one.

    Raises
    ------
    TrackingError
        If there is no such policy.
    """
    known = policies()
    name = _aliases.get(name, name)
    if name not in known:
        raise TrackingError(f"There is no memory policy {name!r}: choose {', '.join(known)}.")
    return name


def get_policy(name: str) -> Sam2Policy:
    """Return a policy with its published numbers; see `policy_name`."""
    return policies()[policy_name(name)]()

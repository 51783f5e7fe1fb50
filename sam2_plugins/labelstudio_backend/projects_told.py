"""What Label Studio tells of its projects on connecting: where it is, and their extra params."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sam2_plugins.core import files
from sam2_plugins.core.errors import ExportError
from sam2_plugins.labelstudio_backend.errors import LabelStudioError
from sam2_plugins.labelstudio_backend.settings import Settings

log = logging.getLogger(__name__)

KEPT = 1000
"""Projects; those that connected first are forgotten."""


class ProjectsTold:
    """Set-ups of projects; all but the tokens are kept on disk.

    Parameters
    ----------
    settings
        Of the backend, which extra params change for a project.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.folder / "projects.json"
        self._told: dict[str, dict[str, Any]] = _read(self._path)
        self._tokens: dict[str, str] = {}
        self._own: dict[str, Settings] = {}
        self._lock = threading.Lock()

    def set_up(
        self, project: str, hostname: str, token: str, params: Any, peer: str = ""
    ) -> Settings:
        """Take a set-up, and return the settings of the project.

        Parameters
        ----------
        peer
            Address that the set-up comes from. Without an address of Label Studio in the settings,
            a hostname on an internal network is believed of that very machine only.

        Raises
        ------
        LabelStudioError
            If a setting in the extra params is wrong.
        """
        own = self._settings.of_project(params)
        told = {"hostname": hostname, "params": params}
        if not self._settings.url and hostname and not self._may_be(hostname, peer):
            log.warning(
                "Project %s: %s is on an internal network, and not where the set-up comes from. If "
                "Label Studio is there, set LABEL_STUDIO_URL.",
                project,
                hostname,
            )
            told["hostname"] = ""
        with self._lock:
            self._own[project] = own
            if told["hostname"]:
                self._tokens[project] = token
            if self._told.get(project) != told:
                self._told.pop(project, None)
                self._told[project] = told
                while len(self._told) > KEPT:
                    oldest = next(iter(self._told))
                    for known in (self._told, self._tokens, self._own):
                        known.pop(oldest, None)  # type: ignore[attr-defined]
                try:
                    files.write_text(self._path, json.dumps(self._told))
                except (ExportError, UnicodeError) as error:
                    log.warning("%s", error)
        return own

    def address(self, project: str) -> tuple[str, str]:
        """Return where a project's Label Studio says that it is, and its token."""
        return self.hostname(project), self._tokens.get(project, "")

    def hostname(self, project: str) -> str:
        """Return where a project's Label Studio says that it is; "" if it has not told."""
        return str(self._told.get(project, {}).get("hostname", ""))

    def full_name(self, project: str) -> str:
        """Return what a project is called on connecting, its id and when it was made, by its id."""
        names = (name for name in reversed(list(self._told)) if name.partition(".")[0] == project)
        return next(names, project)

    def settings(self, project: str) -> Settings:
        """Return the settings of a project."""
        if project not in self._told:
            return self._settings
        if project not in self._own:
            try:
                params = self._told.get(project, {}).get("params")
                self._own[project] = self._settings.of_project(params)
            except LabelStudioError as error:
                log.warning("Project %s: %s", project, error)
                self._own[project] = self._settings
        return self._own[project]

    def facts(self) -> dict[str, Any]:
        """Return the models of projects that have one of their own."""
        own = {p: s.model_version for p, s in list(self._own.items()) if s != self._settings}
        return {"known": len(self._told), "with_own_settings": own}

    def _may_be(self, hostname: str, peer: str) -> bool:
        host = urlsplit(hostname).hostname or ""
        if host in {name.lower() for name in self._settings.allow_hosts}:
            return True
        found = _addresses(host)
        same = {*_addresses(peer)}
        return bool(found) and all(
            one in same or (one.is_global and not one.is_multicast) for one in found
        )


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    local = ipaddress.ip_address("127.0.0.1")
    # `localhost` is one machine, by whichever of its addresses.
    return [
        local if one.is_loopback else getattr(one, "ipv4_mapped", None) or one for one in addresses
    ]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {str(k): v for k, v in found.items() if isinstance(v, dict)}
        if isinstance(found, dict)
        else {}
    )

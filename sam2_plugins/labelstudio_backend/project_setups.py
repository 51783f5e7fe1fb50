"""What Label Studio sends when a project is connected: its own address, and the extra params.

The settings of a project, and the Label Studio that it belongs to, follow from these.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import threading
from typing import Any
from urllib.parse import urlsplit

from sam2_plugins.core import files
from sam2_plugins.core.errors import ExportError
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.download import Address, addresses_of, is_internal
from sam2_plugins.labelstudio_backend.errors import FormatError, LabelStudioError
from sam2_plugins.labelstudio_backend.label_config import outline_of
from sam2_plugins.labelstudio_backend.settings import Settings

log = logging.getLogger(__name__)

KEPT = 1000
"""Projects that are kept; beyond them, the first ones are dropped."""


class ProjectSetups:
    """What each project has sent; all but the tokens are kept on disk.

    Parameters
    ----------
    settings
        Of the backend, which extra params change for a project.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.folder / "projects.json"
        found = files.read_object(self._path).items()
        self._setups: dict[str, dict[str, Any]] = {k: v for k, v in found if isinstance(v, dict)}
        self._tokens: dict[str, str] = {}
        self._own: dict[str, Settings] = {}
        self._servers: dict[tuple[str, str, str], LabelStudio] = {}
        self._lock = threading.Lock()

    def set_up(
        self, project: str, hostname: str, token: str, params: Any, peer: str = ""
    ) -> Settings:
        """Take a set-up, and return the settings of the project.

        Parameters
        ----------
        peer
            Address that the set-up comes from. Without an address of Label Studio in the settings,
            a hostname on an internal network is accepted only from that machine.

        Raises
        ------
        LabelStudioError
            If a setting in the extra params is wrong.
        """
        earlier = self._setups.get(project, {})
        own = self._settings.of_project(params, known=params == earlier.get("params"))
        setup = {**earlier, "hostname": hostname, "params": params}
        if not self._settings.url and hostname and not self._may_be(hostname, peer):
            log.warning(
                "Project %s: %s is on an internal network, and not where the set-up comes from. If "
                "Label Studio is there, set LABEL_STUDIO_URL.",
                project,
                hostname,
            )
            setup["hostname"] = ""
        with self._lock:
            self._own[project] = own
            if setup["hostname"]:
                self._tokens[project] = token
            if self._setups.get(project) != setup:
                self._setups.pop(project, None)
                self._setups[project] = setup
                while len(self._setups) > KEPT:
                    oldest = next(iter(self._setups))
                    for known in (self._setups, self._tokens, self._own):
                        known.pop(oldest, None)  # type: ignore[attr-defined]
                self._keep()
        return own

    def server(self, project: str = "", url: str = "", token: str = "") -> LabelStudio | None:
        """Return the Label Studio of the settings; else at an address, or that of a project."""
        hostname = str(self._setups.get(project, {}).get("hostname", ""))
        also = hostname or url
        if not url:
            url, token = hostname, self._tokens.get(project, "")
        if self._settings.url:
            url, token = self._settings.url, self._settings.api_key
        if not url.startswith(("http://", "https://")):
            return None
        key = url, token, also
        if key not in self._servers:
            self._servers[key] = LabelStudio(url, token, self._settings.ca_file, also)
        return self._servers[key]

    def is_reconfigured(self, project: str, label_config: str) -> bool:
        """Whether names or frame rates of a labelling config are others than those known before."""
        try:
            outline = outline_of(label_config)
        except FormatError:  # its tasks are told
            return False
        with self._lock:
            setup = self._setups.setdefault(project, {})
            earlier = setup.get("outline")
            if earlier != outline:
                setup["outline"] = outline
                self._keep()
        return earlier not in (None, outline)

    def _keep(self) -> None:
        try:
            files.write_text(self._path, json.dumps(self._setups))
        except (ExportError, UnicodeError) as error:
            log.warning("%s", error)

    def full_name(self, project: str) -> str:
        """Return the full id of a project, with its creation time, by its number."""
        names = (name for name in reversed(list(self._setups)) if name.partition(".")[0] == project)
        return next(names, project)

    def settings(self, project: str) -> Settings:
        """Return the settings of a project."""
        if project not in self._setups:
            return self._settings
        if project not in self._own:
            try:
                params = self._setups.get(project, {}).get("params")
                self._own[project] = self._settings.of_project(params, known=True)
            except LabelStudioError as error:
                log.warning("Project %s: %s", project, error)
                self._own[project] = self._settings
        return self._own[project]

    def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            server.close()

    def facts(self) -> dict[str, Any]:
        """Return the models of projects that have one of their own."""
        own = {p: s.model_version for p, s in list(self._own.items()) if s != self._settings}
        return {"known": len(self._setups), "with_own_settings": own}

    def _may_be(self, hostname: str, peer: str) -> bool:
        host = urlsplit(hostname).hostname or ""
        if host in {name.lower() for name in self._settings.allow_hosts}:
            return True
        found, same = _addresses(host), _addresses(peer)
        return bool(found) and all(one in same or not is_internal(one) for one in found)


def _addresses(host: str) -> set[Address]:
    """Return the addresses of a host; all loopback addresses count as one."""
    try:
        found = addresses_of(host)
    except (OSError, UnicodeError):
        return set()
    local = ipaddress.ip_address("127.0.0.1")
    return {local if one.is_loopback else one for one in found}

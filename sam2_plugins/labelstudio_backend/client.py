"""Label Studio's API, with a legacy token or a personal access token."""

from __future__ import annotations

import base64
import binascii
import json
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from sam2_plugins.labelstudio_backend.errors import AwayError, NotThereError, ServerError

PATIENCE = httpx.Timeout(30.0, connect=10.0)
_AWAY = {502, 503, 504}  # what stands before a server answers so while it starts
PAGE = 10
"""Tasks that are read at once: each comes with its annotations and predictions."""
_EARLY = 30.0  # seconds before its end at which an access token is renewed


@lru_cache(maxsize=8)
def trusting(ca_file: str = "") -> ssl.SSLContext:
    """Return a TLS context that trusts the usual authorities and those of a file or folder."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file:
        try:
            path = Path(ca_file).expanduser()
            if path.is_dir():
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise ServerError(f"{ca_file} holds no certificates: {error}.") from error
    return context


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


class LabelStudio:
    """A Label Studio server.

    Parameters
    ----------
    url
        Its address; paths below a prefix too, such as https://example.org/label-studio.
    api_key
        A legacy token, or a personal access token, which is exchanged for short-lived ones.
    ca_file
        Certificates of authorities that are trusted besides the usual ones.
    also
        Another address by which people reach this server: its own host name.
    """

    def __init__(self, url: str, api_key: str = "", ca_file: str = "", also: str = "") -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self._http = httpx.Client(
            timeout=PATIENCE, follow_redirects=False, trust_env=False, verify=trusting(ca_file)
        )
        self._other_name: tuple[str, str, int] | None = None
        self._prefixes = [urlsplit(self.url).path]
        with suppress(ValueError):
            if also.startswith(("http://", "https://")):
                self._other_name = origin(also)
                self._prefixes.append(urlsplit(also).path.rstrip("/"))
        self._lock = threading.Lock()
        self._access, self._ends = "", 0.0

    def owns(self, url: str) -> bool:
        """Whether an address is one of this server's."""
        try:
            return origin(url) == origin(self.url)
        except ValueError:
            return False

    def own_address(self, url: str) -> str:
        """Return an address with this server's other name replaced by the one used here.

        Also a path on it: below a prefix, Label Studio writes some with it and some without.
        """
        try:
            if not url.startswith("/") and (self.owns(url) or origin(url) != self._other_name):
                return url
        except ValueError:
            return url
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        path = parts.path
        for prefix in self._prefixes:
            if prefix and path.startswith(f"{prefix}/"):
                path = path.removeprefix(prefix)
                break
        return self.url + path + query

    def headers(self) -> dict[str, str]:
        """Return the authorisation for this server, and for no other.

        Raises
        ------
        ServerError
            If the personal access token is refused.
        """
        if not self.api_key:
            return {}
        if _expiry(self.api_key) is None:
            return {"Authorization": f"Token {self.api_key}"}
        with self._lock:
            if time.time() > self._ends - _EARLY:
                answer = self._send("POST", "/api/token/refresh", {}, {"refresh": self.api_key})
                self._access = str(answer["access"])
                self._ends = _expiry(self._access) or time.time() + 60
        return {"Authorization": f"Bearer {self._access}"}

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Call the API, and return the answer's JSON.

        Raises
        ------
        ServerError
            If the server does not answer, or refuses.
        """
        return self._send(method, path, self.headers(), body, **options)

    def task(self, project: str, task: int) -> dict[str, Any] | None:
        """Return a task with its annotations and predictions; None if it does not exist.

        Raises
        ------
        ServerError
            If the server does not answer, or refuses.
        """
        # Of the list: asked for a single task, Label Studio requests a prediction of its backend.
        query = {"selectedItems": {"all": False, "included": [task]}}
        try:
            tasks = self._tasks(project, query)
        except NotThereError:
            return None
        return next((dict(one) for one in tasks if one.get("id") == task), None)

    def predicted_tasks(self, project: str, just_now: bool) -> Iterator[dict[str, Any]]:
        """Yield the tasks that have a prediction, those that changed last first.

        Parameters
        ----------
        just_now
            Whether only those are wanted that changed in the same minute as the latest.
        """
        some = {"filter": "filter:tasks:total_predictions", "operator": "greater", "value": 0}
        filters = {"conjunction": "and", "items": [{**some, "type": "Number"}]}
        query = {"filters": filters, "ordering": ["-tasks:updated_at"]}
        latest, page = None, 1
        with suppress(NotThereError):  # beyond the last page
            while tasks := self._tasks(project, query, f"&page_size={PAGE}&page={page}"):
                for task in tasks:
                    changed = datetime.fromisoformat(str(task["updated_at"]).replace("Z", "+00:00"))
                    latest = latest or changed
                    if just_now and latest - changed > timedelta(minutes=1):
                        return
                    yield dict(task)
                page += 1

    def _tasks(self, project: str, query: Any, more: str = "") -> list[Mapping[str, Any]]:
        text = quote(json.dumps(query))
        about = f"project={project}&fields=all&resolve_uri=false"
        found = self.request("GET", f"/api/tasks/?{about}&query={text}{more}")
        tasks = found.get("tasks") if isinstance(found, Mapping) else None
        if not isinstance(tasks, list):
            raise ServerError(f"{self.url} is no Label Studio: it has no list of tasks.")
        return tasks

    def label_config(self, project: str) -> str:
        """Return the labelling config of a project as it is now."""
        found = self.request("GET", f"/api/projects/{project}/")
        if not isinstance(found, Mapping) or not isinstance(found.get("label_config"), str):
            raise ServerError(f"{self.url} is no Label Studio: project {project} has no config.")
        return str(found["label_config"])

    def predictions(self, task: int) -> list[dict[str, Any]]:
        """Return the stored predictions of a task."""
        found = self.request("GET", f"/api/predictions/?task={task}")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def delete_prediction(self, prediction: int) -> None:
        """Delete a prediction, unless it is gone already."""
        with suppress(NotThereError):
            self.request("DELETE", f"/api/predictions/{prediction}/")

    def replace_predictions(
        self, earlier: Iterable[Mapping[str, Any]], task: int, new: Mapping[str, Any]
    ) -> None:
        """Store a prediction of a task in place of earlier ones."""
        self.request("POST", "/api/predictions/", {"task": task, **new})
        for one in earlier:
            self.delete_prediction(int(one["id"]))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: Any, **options: Any
    ) -> Any:
        try:
            answer = self._http.request(
                method, self.url + path, headers=dict(headers), json=body, **options
            )
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            raise AwayError(f"Label Studio at {self.url} does not answer: {error}") from error
        if answer.status_code in _AWAY:
            raise AwayError(f"Label Studio at {self.url} answers {answer.status_code} for now.")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise ServerError(
                f"Label Studio at {self.url} refuses the token: set LABEL_STUDIO_API_KEY to a "
                "personal access token, or to a legacy token if those are enabled."
            )
        if not answer.is_success:
            missing = answer.status_code == httpx.codes.NOT_FOUND
            raise (NotThereError if missing else ServerError)(
                f"{method} {path}: Label Studio answers {answer.status_code} {answer.text[:300]}"
            )
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise ServerError(f"{method} {path}: {self.url} is no Label Studio.") from error


def _expiry(token: str) -> float | None:
    """Return when a JSON web token ends, in seconds since 1970; None if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        return float(json.loads(base64.urlsafe_b64decode(padded))["exp"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None

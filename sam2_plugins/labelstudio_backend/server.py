"""The HTTP server that Label Studio talks to.

Health, set-up and versions are answered by the event loop at once, whatever the model does;
predictions run in threads.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import json
import logging
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from anyio import CapacityLimiter, fail_after, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam2_plugins import __version__
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.operating_system import used_megabytes
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.errors import FormatError, ServerError
from sam2_plugins.labelstudio_backend.settings import Settings

log = logging.getLogger(__name__)

_SHORT = 1 << 16  # bytes that the event loop may read as JSON itself
SLOWEST_BODY = 60.0
"""Seconds in which a request has to have arrived."""
LONGEST_BODY = 256 << 20
"""Bytes of a request: a context with the masks of many objects is large."""
ALL_BODIES = 512 << 20
"""Bytes of all open requests together."""


def create_app(engine: Engine | None = None) -> Starlette:
    """Return the ASGI app of a backend, with an engine of its own if none is given."""
    engine = engine or Engine()
    predicting = CapacityLimiter(engine.settings.requests)
    helping = CapacityLimiter(32)
    requests_open = 0

    async def health(request: Request) -> JSONResponse:
        about = {"status": "UP", "model_class": "Sam2Backend", "version": __version__}
        facts = {**engine.facts(), "requests_open": requests_open, "megabytes": used_megabytes()}
        return Answer({**about, **facts})

    async def setup(request: Request) -> JSONResponse:
        body = await _body(request)
        names = "project", "hostname", "access_token", "schema"
        project, hostname, token, config = _texts(body, *names)
        peer = request.client.host if request.client else ""
        params = body.get("extra_params")
        about = project, hostname, token, params, peer
        own = await to_thread.run_sync(engine.projects.set_up, *about, limiter=helping)
        if config:
            engine.configured(project.partition(".")[0], config)
        await to_thread.run_sync(engine.wait_for_corrections, project, limiter=helping)
        return Answer({"model_version": own.model_version})

    async def versions(request: Request) -> JSONResponse:
        return Answer({"versions": [engine.model_version]})

    async def predict(request: Request) -> JSONResponse:
        nonlocal requests_open
        if requests_open >= engine.settings.requests:
            raise Busy
        requests_open += 1
        try:
            body = await _body(request)
            tasks, params = body.get("tasks"), body.get("params") or {}
            if not isinstance(tasks, list) or not all(isinstance(one, Mapping) for one in tasks):
                raise FormatError("A request for predictions has a list of tasks.")
            if not isinstance(params, Mapping):
                raise FormatError("The params of a request are an object.")
            context = params.get("context")
            if context is not None and not isinstance(context, Mapping):
                raise FormatError("The context of a request is an object.")
            project, config = _texts(body, "project", "label_config")
            about = tasks, config, context, project
            results = await to_thread.run_sync(engine.predict, *about, limiter=predicting)
            version = engine.projects.settings(project).model_version
            answer = {"results": results, "model_version": version}
            return await to_thread.run_sync(Answer, answer, limiter=helping)
        finally:
            requests_open -= 1

    async def webhook(request: Request) -> JSONResponse:
        body = await _body(request)
        parts = [body.get(name) for name in ("project", "annotation")]
        project, annotation = (o.get("id") if isinstance(o, Mapping) else None for o in parts)
        action = body.get("action") if isinstance(project, int) else None
        if action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED") and isinstance(annotation, int):
            engine.annotated(str(project), annotation)
        elif action in ("ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"):
            engine.unannotated(str(project))
        elif action == "PROJECT_UPDATED":
            engine.configured(str(project))
        return Answer({"result": "this model is not trained here"}, 201)

    async def jobs(request: Request) -> JSONResponse:
        return Answer({"jobs": engine.work.jobs.facts()})

    async def cancel(request: Request) -> JSONResponse:
        known = engine.work.jobs.cancel(request.path_params["id"])
        return Answer({"cancelled": known}, 200 if known else 404)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=_resume, args=(engine,), daemon=True).start()
        yield
        await to_thread.run_sync(engine.close)

    return Starlette(
        routes=[
            Route("/", health),
            Route("/health", health),
            Route("/setup", setup, methods=["POST"]),
            Route("/versions", versions),
            Route("/predict", predict, methods=["POST"]),
            Route("/webhook", webhook, methods=["POST"]),
            Route("/jobs", jobs),
            Route("/jobs/{id}/cancel", cancel, methods=["POST"]),
        ],
        exception_handlers={
            Busy: _busy,
            Sam2PluginsError: _bad_request,
            ClientDisconnect: _gone,
            TimeoutError: _gone,
        },
        middleware=[
            Middleware(Gate, engine.settings.user, engine.settings.password, ALL_BODIES),
        ],
        lifespan=lifespan,
    )


class Busy(Exception):
    """The open requests are too many, or too large together."""


class Gate:
    """Checks credentials, and limits the bytes of all open requests together.

    Parameters
    ----------
    user, password
        If set, requests without them are refused. Health needs none, and neither do webhooks, with
        which Label Studio sends no password: their content is read from Label Studio.
    most
        Bytes of all bodies, however slowly they come, each counted until its request is answered.
    """

    def __init__(self, app: ASGIApp, user: str, password: str, most: int) -> None:
        self._app = app
        self._wanted = f"{user}:{password}".encode() if user or password else b""
        self._most = most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        taken = 0

        async def receive_if_there_is_room() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            if self._held + size > self._most:
                raise Busy
            self._held += size
            taken += size
            return message

        refusal = self._refusal(scope) if scope["type"] == "http" else None
        try:
            await (refusal or self._app)(scope, receive_if_there_is_room, send)
        finally:
            self._held -= taken

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = dict(scope["headers"])
        if self._wanted and scope["path"] not in ("/", "/health", "/webhook"):
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            try:
                credentials = base64.b64decode(given, validate=True)
            except binascii.Error:
                credentials = b""
            if kind.lower() != b"basic" or not hmac.compare_digest(credentials, self._wanted):
                realm = {"WWW-Authenticate": 'Basic realm="sam2-plugins"'}
                return JSONResponse({"error": "User name and password are needed."}, 401, realm)
        # Any web page can make a visitor's browser send a form or plain text here; the browser then
        # adds `Origin`. Label Studio's requests are JSON without it.
        kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
        is_of_a_page = b"origin" in headers or kind != b"application/json"
        if scope["method"] == "POST" and is_of_a_page:
            return JSONResponse({"error": "Pages of other sites may not send this."}, 403)
        return None


class Answer(JSONResponse):
    """JSON that every reader accepts: no infinities, and no unpaired surrogates."""

    def render(self, content: Any) -> bytes:
        """Return the bytes of an answer."""
        try:
            text = json.dumps(content, allow_nan=False)
        except ValueError:
            text = json.dumps(_finite(content))
        return text.encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


async def _body(request: Request) -> dict[str, Any]:
    """Read a request's JSON.

    Raises
    ------
    FormatError
        If it is too large, no JSON, or no object.
    """
    chunks, size = [], 0
    with fail_after(SLOWEST_BODY):
        async for chunk in request.stream():
            size += len(chunk)
            if size > LONGEST_BODY:
                raise FormatError(f"The request is larger than {LONGEST_BODY >> 20} MB.")
            chunks.append(chunk)
    try:
        whole = b"".join(chunks)
        body = _parse(whole) if size < _SHORT else await to_thread.run_sync(_parse, whole)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The request is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise FormatError("The request is no JSON object.")
    return body


def _parse(body: bytes) -> Any:
    """Read JSON; infinities and unpaired surrogates, which some clients write, are replaced."""
    found = json.loads(body, parse_constant=lambda _: None)
    return _whole_characters(found) if b"\\ud" in body.lower() else found


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(part) for key, part in value.items()}
    return [_whole_characters(part) for part in value] if isinstance(value, list) else value


def _texts(body: Mapping[str, Any], *keys: str) -> list[str]:
    texts = []
    for key in keys:
        value = body.get(key)
        if not isinstance(value, str | int | None):
            raise FormatError(f"{key!r} of the request is no text.")
        texts.append("" if value is None else str(value))
    return texts


def _bad_request(request: Request, error: Exception) -> JSONResponse:
    log.warning("%s is refused: %s", request.url.path, error)  # Label Studio shows the status only
    return JSONResponse({"error": str(error)}, 400)


def _busy(request: Request, error: Exception) -> JSONResponse:
    message = {"error": "Too many or too large requests are open; try again in a while."}
    return JSONResponse(message, 503, {"Retry-After": "10"})


def _gone(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "The request was broken off."}, 400)


def _resume(engine: Engine) -> None:
    try:
        count = engine.resume()
    except Exception:
        log.exception("Jobs of an earlier run could not be taken up")
    else:
        if count:
            log.info("%d jobs of an earlier run are taken up.", count)


def run(
    settings: Settings, host: str, port: int, started: Callable[[], None] | None = None
) -> None:
    """Serve until Ctrl-C.

    Parameters
    ----------
    started
        Called in a thread once the server listens.

    Raises
    ------
    ServerError
        If another program has the port, or the host is not of this machine.
    """
    import uvicorn

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror or error).partition(" (")[0]
        raise ServerError(
            f"{host}, port {port}: {why}. Choose another --port or --host."
        ) from error
    # Of our package only: httpx logs addresses, some of which contain credentials.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("sam2_plugins")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    config = uvicorn.Config(
        create_app(Engine(settings)), host, port, log_level="warning", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    if started is not None:
        threading.Thread(target=_when_up, args=(server, started), daemon=True).start()
    server.run([listening])


def _when_up(server: Any, started: Callable[[], None]) -> None:
    while not server.started and not server.should_exit:
        time.sleep(0.1)
    try:
        started()
    except Sam2PluginsError as error:
        log.error("%s", error)
        server.should_exit = True

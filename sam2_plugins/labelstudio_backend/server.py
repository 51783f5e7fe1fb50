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
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sam2_plugins import __version__
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.errors import FormatError
from sam2_plugins.labelstudio_backend.settings import Settings

log = logging.getLogger(__name__)

LONGEST_BODY = 256 << 20
"""Bytes of a request: a context with the masks of many objects is large."""


def create_app(engine: Engine | None = None) -> Starlette:
    """Return the ASGI app of a backend, with an engine of its own if none is given."""
    engine = engine or Engine()
    setups: dict[str, tuple[str, str]] = {}

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "UP", "model_class": "Sam2Backend", "version": __version__})

    async def setup(request: Request) -> JSONResponse:
        body = await _body(request)
        setups[_text(body, "project")] = _text(body, "hostname"), _text(body, "access_token")
        return JSONResponse({"model_version": engine.model_version})

    async def versions(request: Request) -> JSONResponse:
        return JSONResponse({"versions": [engine.model_version]})

    async def predict(request: Request) -> JSONResponse:
        body = await _body(request)
        tasks, params = body.get("tasks"), body.get("params") or {}
        if not isinstance(tasks, list) or not all(isinstance(task, Mapping) for task in tasks):
            raise FormatError("A request for predictions has a list of tasks.")
        if not isinstance(params, Mapping):
            raise FormatError("The params of a request are an object.")
        context = params.get("context")
        if context is not None and not isinstance(context, Mapping):
            raise FormatError("The context of a request is an object.")
        project = _text(body, "project")
        server = engine.server(*setups.get(project, ("", "")))
        config = _text(body, "label_config")
        results = await run_in_threadpool(engine.predict, tasks, config, context, project, server)
        return JSONResponse({"results": results, "model_version": engine.model_version})

    async def webhook(request: Request) -> JSONResponse:
        await _body(request)
        return JSONResponse({"result": "nothing to do: this model is not trained here"}, 201)

    async def jobs(request: Request) -> JSONResponse:
        return JSONResponse({"jobs": [job.facts() for job in engine.jobs.all()]})

    async def cancel(request: Request) -> JSONResponse:
        known = engine.jobs.cancel(request.path_params["id"])
        return JSONResponse({"cancelled": known}, 200 if known else 404)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=_resume, args=(engine,), daemon=True).start()
        yield
        await run_in_threadpool(engine.close)

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
        exception_handlers={Sam2PluginsError: _bad_request, ClientDisconnect: _gone},
        middleware=[Middleware(BasicAuth, engine.settings.user, engine.settings.password)],
        lifespan=lifespan,
    )


class BasicAuth:
    """Lets in who knows the user and the password, if there are some; health is open to all."""

    def __init__(self, app: ASGIApp, user: str, password: str) -> None:
        self._app = app
        self._wanted = f"{user}:{password}".encode() if user or password else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_open = scope["type"] != "http" or scope["path"] in ("/", "/health")
        if not self._wanted or is_open or self._knows(dict(scope["headers"])):
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": 'Basic realm="sam2-plugins"'}
        refusal = JSONResponse({"error": "User name and password are needed."}, 401, headers)
        await refusal(scope, receive, send)

    def _knows(self, headers: Mapping[bytes, bytes]) -> bool:
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        try:
            said = base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
        return kind.lower() == b"basic" and hmac.compare_digest(said, self._wanted)


async def _body(request: Request) -> dict[str, Any]:
    """Read a request's JSON.

    Raises
    ------
    FormatError
        If it is too large, no JSON, or no object.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LONGEST_BODY:
            raise FormatError(f"The request is larger than {LONGEST_BODY >> 20} MB.")
        chunks.append(chunk)
    try:
        body = await run_in_threadpool(json.loads, b"".join(chunks))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The request is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise FormatError("The request is no JSON object.")
    return body


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise FormatError(f"{key!r} of the request is no text.")
    return str(value)


def _bad_request(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 400)


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
    """
    import uvicorn

    # Of ours only: that of httpx has addresses in it that are as good as a password.
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
    server.run()


def _when_up(server: Any, started: Callable[[], None]) -> None:
    while not server.started and not server.should_exit:
        time.sleep(0.1)
    try:
        started()
    except Sam2PluginsError as error:
        log.error("%s", error)
        server.should_exit = True

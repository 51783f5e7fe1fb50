"""The fast path of a graphics card: the operations of the network as CUDA graphs.

A step launches hundreds of small kernels, and a card waits for Python between them. A graph holds
the launches of one operation for one shape of its arguments and replays them as one, with weights
that are in bfloat16 already, as autocast would make them each time. The kernels are the same, so
the results are too.

An operation whose arguments have the same shapes again and again is captured; before that, and
wherever capture is not possible, it runs as it is written.
"""

from __future__ import annotations

import functools
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass, replace
from operator import attrgetter
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from sam2_plugins.core.model.layers import LayerNorm

F = TypeVar("F", bound=Callable[..., Any])
Operation = Callable[..., Any]

GRAPHS = 64
"""Graphs that a model keeps: an operation has one for each shape of its arguments."""

IDLE_RUNS, IDLE_BYTES = 64, 2**27
"""Graphs that were not used for so many operations are let go while all take more than this.

While objects' memories fill, every frame is of another shape, which does not come again.
"""

CAPTURED_AT = 4
"""Times that a shape comes until it is captured, which takes as long as ten replays save."""

_log = logging.getLogger(__name__)
_enabled: ContextVar[bool] = ContextVar("graphs", default=True)


@contextmanager
def without_graphs() -> Iterator[None]:
    """Run operations as they are written, for as long as the block runs in this thread."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def graphs_in_use(model: nn.Module) -> bool:
    """Whether some operation of a model is a graph, and graphs are allowed here."""
    return _enabled.get() and model in _GRAPHS and len(_GRAPHS[model]) > 0


class Prepared:
    """Mark of a module that prepares weights for inference itself: they are left to it."""


def replayed(operation: F) -> F:
    """Let a model's operation, a function of tensors without state, be replayed as a graph."""

    @functools.wraps(operation)
    def call(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if not _can_replay(model):
            return operation(model, *args, **kwargs)
        return _graphs_of(model).run(operation, model, args, kwargs)

    return call  # type: ignore[return-value]


def _can_replay(model: Any) -> bool:
    return bool(
        model.device.type == "cuda"
        and _enabled.get()
        and torch.is_inference_mode_enabled()
        and not model.training
        and not torch.cuda.is_current_stream_capturing()
    )


def _graphs_of(model: Any) -> Graphs:
    with _lock:
        if model not in _GRAPHS:
            _GRAPHS[model] = Graphs(Recorder(model.device))
        return _GRAPHS[model]


class Graphs:
    """The graphs of one model, the least recently used of which are let go.

    Parameters
    ----------
    capture
        Makes a graph of a function and its first arguments; a `Recorder` on a card.
    """

    def __init__(self, capture: Callable[[Callable[[Any], Any], Any], _CudaGraph]) -> None:
        self._capture = capture
        self._captured: OrderedDict[Any, _CudaGraph] = OrderedDict()
        self._used: dict[Any, int] = {}
        self._runs = 0
        self._seen: OrderedDict[Any, int] = OrderedDict()
        self._weights: _Weights | None = None
        self._possible = True
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._captured)

    def run(self, operation: Operation, model: nn.Module, args: Any, kwargs: Any) -> Any:
        """Replay an operation, or run it if its arguments are of a shape that is new."""
        if self._possible:
            given = (args, tuple(sorted(kwargs.items())))
            key = (operation.__name__, *map_tensors(lambda t: (t.shape, t.dtype), given))
            with self._lock:
                captured = self._find(key, operation, model, given)
                if captured is not None:
                    return captured(given)
        return operation(model, *args, **kwargs)

    def _find(
        self, key: Any, operation: Operation, model: nn.Module, given: Any
    ) -> _CudaGraph | None:
        if self._weights is None or not self._weights.fit(model):
            self._captured.clear()
            self._used.clear()
            self._weights = _Weights(model)
        self._runs += 1
        if key in self._captured:
            return self._use(key)
        times = self._seen.pop(key, 0) + 1
        if times < CAPTURED_AT:
            self._seen[key] = times
            while len(self._seen) > GRAPHS:  # what comes too seldom is no shape to prepare for
                self._seen.popitem(last=False)
            return None
        function = self._weights.bind(operation, model)
        try:
            self._captured[key] = self._capture(function, given)
        except Exception as error:  # a driver may fail in many ways, and none may stop the work
            self._possible = False
            self._captured.clear()
            _log.warning("This device cannot replay graphs and runs without: %s", error)
            return None
        return self._use(key)

    def _use(self, key: Any) -> _CudaGraph:
        """Return a graph, and let go of those that are idle."""
        self._captured.move_to_end(key)
        self._used[key] = self._runs
        while len(self._captured) > GRAPHS or self._has_idle():
            del self._used[self._captured.popitem(last=False)[0]]
        return self._captured[key]

    def _has_idle(self) -> bool:
        idle = self._runs - self._used[next(iter(self._captured))]
        return idle > IDLE_RUNS and sum(c.nbytes for c in self._captured.values()) > IDLE_BYTES


class _Weights:
    """A model's weights as autocast would use them, for as long as nobody changes the model's."""

    def __init__(self, model: nn.Module) -> None:
        self._half = _casts()
        self._parameters = [p for p in model.parameters() if not p.is_inference()]
        # By name: what holds the model would keep it for good.
        self._first, self._held = next(iter(model.named_parameters()))
        self._version = self._count()
        named = dict(model.named_modules())
        own = tuple(f"{name}." for name, module in named.items() if isinstance(module, Prepared))
        self._cast = {
            f"model.{name}.{part}": parameter.detach().to(torch.bfloat16)
            for name, module in named.items()
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | LayerNorm)
            and not name.startswith(own)
            for part, parameter in module.named_parameters(recurse=False)
            if self._half
        }

    def fit(self, model: nn.Module) -> bool:
        """Whether the model's weights are those that were cast. Asked at every operation."""
        same = model.get_parameter(self._first) is self._held
        return same and self._half == _casts() and self._version == self._count()

    def bind(self, operation: Operation, model: nn.Module) -> Callable[[Any], Any]:
        """Return the operation as a function of its arguments, with these weights."""
        bound = _Bound(operation, model)

        def function(given: Any) -> Any:
            return torch.func.functional_call(bound, self._cast, (given,))

        return function

    def _count(self) -> tuple[int, int]:
        first = self._parameters[0].data_ptr() if self._parameters else 0
        return first, sum(map(_version_of, self._parameters))


_version_of = attrgetter("_version")


def _casts() -> bool:
    """Whether weights are cast for what runs now; tests have no card to ask."""
    return any(torch.is_autocast_enabled(kind) for kind in ("cuda", "cpu"))


class _Bound(nn.Module):
    """An operation of a model as a module, whose weights can be given from outside."""

    def __init__(self, operation: Operation, model: nn.Module) -> None:
        super().__init__()
        self.operation = operation
        self.model = model

    def forward(self, given: Any) -> Any:
        args, kwargs = given
        return self.operation(self.model, *args, **dict(kwargs))


class Recorder:
    """Captures operations on one card. All graphs share their working memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Each stream on which matrices are multiplied has working memory of its own, for good.
        self._stream = _side_stream(device)
        self._pool: Any = None

    def __call__(self, function: Callable[[Any], Any], given: Any) -> _CudaGraph:
        """Run a function once to prepare its kernels, and once to capture them."""
        with torch.cuda.device(self._device):
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            return _CudaGraph(function, given, self._pool, self._stream)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


class _CudaGraph:
    """A captured operation with tensors of its own for arguments and results.

    Arguments are copied in and results out at every replay, so that graphs can share memory.

    Attributes
    ----------
    nbytes
        What arguments and results take for as long as it is kept.
    """

    def __init__(
        self, function: Callable[[Any], Any], given: Any, pool: Any, side: torch.cuda.Stream
    ) -> None:
        given = map_tensors(torch.clone, given)
        self._arguments = _tensors(given)
        self._graph = torch.cuda.CUDAGraph()
        dtype, enabled = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
        # What autocast casts must neither come from its own cache nor stay there after the graph.
        with torch.autocast("cuda", dtype, enabled=enabled, cache_enabled=False):
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                function(given)
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(self._graph, pool, side, capture_error_mode="thread_local"):
                self._results = function(given)
        self.nbytes = sum(t.nbytes for t in (*self._arguments, *_tensors(self._results)))

    def __call__(self, given: Any) -> Any:
        torch._foreach_copy_(self._arguments, _tensors(given))
        self._graph.replay()
        # All at once: each launch costs the host more than the copy of a few numbers.
        results = _tensors(self._results)
        copies = [torch.empty_like(result) for result in results]
        torch._foreach_copy_(copies, results)
        rest = iter(copies)
        return map_tensors(lambda _: next(rest), self._results)


def map_tensors(function: Callable[[Tensor], Any], value: Any) -> Any:
    """Apply a function to each tensor in tuples and dataclasses; other values stay."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        return tuple(map_tensors(function, item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        each = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: map_tensors(function, item) for name, item in each.items()})
    return value


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_tensors(found.append, value)
    return found


_GRAPHS: WeakKeyDictionary[nn.Module, Graphs] = WeakKeyDictionary()
_lock = Lock()

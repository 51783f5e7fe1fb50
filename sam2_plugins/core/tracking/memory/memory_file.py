"""What a tracker remembers, on the disk: a run that was cut off goes on as if it had not been.

Masks alone do not bring a memory back: the network remembers logits, pointers and windows. So the
state of every object is kept beside its masks, as tensors and plain values; of classes, only the
dataclasses of the tracking engine are read back.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections import deque
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.files import replacing
from sam2_plugins.core.masks import ObjectId

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.tracked_object import TrackedObject

FORMAT = "sam2_plugins memory 3"
OURS = "sam2_plugins.core."
_EARLIER = {"answer": "prediction"}
"""Names of attributes in files of earlier versions."""


def save_memory(path: Path, objects: Iterable[TrackedObject], state: Any = None) -> None:
    """Save what objects remember, whole or not at all.

    Parameters
    ----------
    state
        Of what the objects are a part of: tensors, plain values, dataclasses of this package.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    states = [tracked.state() for tracked in objects]
    with replacing(path) as temporary:
        document = {"format": FORMAT, "objects": pack(states), "state": pack(state)}
        torch.save(document, temporary)


def load_memory(path: Path, device: torch.device) -> tuple[dict[ObjectId, dict[str, Any]], Any]:
    """Load what `save_memory` saved, by object, and the state beside it.

    {} and None if there is no such file, or it is damaged: a memory that is lost costs time, for
    the frames are tracked again, and no work.
    """
    try:
        document = torch.load(path, map_location=device, weights_only=True)
        if document.get("format") == FORMAT:
            memory = {state["obj"]: state for state in unpack(document["objects"])}
            return memory, unpack(document.get("state"))
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError):
        pass
    except (AttributeError, TypeError, ImportError):
        pass  # of another version
    return {}, None


def pack(value: Any) -> Any:
    """Turn a value into tensors, numbers, texts, lists and dicts."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        # A copy: a view would take along the tensor that it is cut from.
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray):
        return {"array": torch.from_numpy(np.ascontiguousarray(value).copy())}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return [pack(each) for each in value]
    if isinstance(value, tuple):
        return {"tuple": [pack(each) for each in value]}
    if isinstance(value, set | frozenset):
        return {"set": [pack(each) for each in sorted(value)]}
    if isinstance(value, deque):
        return {"deque": [pack(each) for each in value], "maxlen": value.maxlen}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(each)] for key, each in value.items()]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        values = {one.name: pack(getattr(value, one.name)) for one in dataclasses.fields(value)}
        kind = type(value)
        return {"class": f"{kind.__module__}:{kind.__qualname__}", "values": values}
    raise TypeError(f"a {type(value).__name__} cannot be kept in a memory file")


def unpack(value: Any) -> Any:
    """Turn what `pack` made back."""
    if isinstance(value, list):
        return [unpack(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return value["array"].cpu().numpy()
    if "tuple" in value:
        return tuple(unpack(each) for each in value["tuple"])
    if "set" in value:
        return {unpack(each) for each in value["set"]}
    if "deque" in value:
        return deque((unpack(each) for each in value["deque"]), value["maxlen"])
    if "dict" in value:
        return {unpack(key): unpack(each) for key, each in value["dict"]}
    module, _, name = value["class"].partition(":")
    kind = getattr(import_module(module), name) if module.startswith(OURS) else None
    if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
        raise TypeError(f"{value['class']} is no state of a tracker")
    return kind(**{_EARLIER.get(key, key): unpack(each) for key, each in value["values"].items()})

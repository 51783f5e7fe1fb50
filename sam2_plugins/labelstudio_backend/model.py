"""The class for label-studio-ml, 1.0.9 from PyPI and 2.x, for existing deployments.

`sam2-plugins labelstudio serve` needs none of it: it serves the same engine over HTTP itself.
"""

from __future__ import annotations

import atexit
from functools import lru_cache
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from sam2_plugins.labelstudio_backend.engine import Engine


@lru_cache(maxsize=1)
def shared_engine() -> Engine:
    """Return the engine of this process, which holds all state."""
    engine = Engine()
    atexit.register(engine.close)
    return engine


class Sam2Backend(LabelStudioMLBase):
    """A SAM 2 backend without a state of its own: instances are made and dropped at will."""

    def setup(self) -> None:
        """Set the model's version, where label-studio-ml 2.x reads it."""
        self.set("model_version", shared_engine().model_version)

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Any]:
        """Return one prediction a task; see `Engine.predict`."""
        engine = shared_engine()
        address = getattr(self, "hostname", "") or "", getattr(self, "access_token", "") or ""
        server = engine.projects.server("", *address)
        return engine.predict(tasks, self.label_config or "", context, server=server)

    def fit(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Do nothing: this model is not trained here."""
        return {}

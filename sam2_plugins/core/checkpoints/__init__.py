"""Name or path → weights: find, download, verify, recognise, load safely, save.

Importing this costs no torch; `load_model`, `cached_model` and `save_model` import it when called.
"""

from sam2_plugins.core.checkpoints.cache import cache_dir, find_weights, list_models
from sam2_plugins.core.checkpoints.choose import (
    AUTO,
    choose_device,
    choose_model,
    model_identity,
    model_name,
    weights_digest,
)
from sam2_plugins.core.checkpoints.download import download
from sam2_plugins.core.checkpoints.files import read_card, require_model_suffix, save_model
from sam2_plugins.core.checkpoints.load import (
    cached_model,
    check_model_name,
    load_model,
    locate_weights,
)

__all__ = [
    "AUTO",
    "cache_dir",
    "cached_model",
    "check_model_name",
    "choose_device",
    "choose_model",
    "download",
    "find_weights",
    "list_models",
    "load_model",
    "locate_weights",
    "model_identity",
    "model_name",
    "read_card",
    "require_model_suffix",
    "save_model",
    "weights_digest",
]

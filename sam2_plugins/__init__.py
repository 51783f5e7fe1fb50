"""A streaming SAM 2 core, and thin adapters for napari, Label Studio and FiftyOne.

Importing this package is cheap and loads no torch; the work lives in `sam2_plugins.core`.
"""

from sam2_plugins._old_names import announce_old_names

__version__ = "0.1.0"

announce_old_names()

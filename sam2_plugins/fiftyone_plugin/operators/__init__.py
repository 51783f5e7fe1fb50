"""The operators: what a person fills in, checked, and the work with its progress."""

from __future__ import annotations

from sam2_plugins.fiftyone_plugin.operators.evaluate import EvaluateMasklets
from sam2_plugins.fiftyone_plugin.operators.panel import Masklets
from sam2_plugins.fiftyone_plugin.operators.propagate import PropagateMasks
from sam2_plugins.fiftyone_plugin.operators.segment import SegmentImages
from sam2_plugins.fiftyone_plugin.operators.stop import StopPropagation

OPERATORS = (PropagateMasks, SegmentImages, EvaluateMasklets, StopPropagation, Masklets)

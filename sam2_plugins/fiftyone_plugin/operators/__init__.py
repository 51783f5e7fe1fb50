"""The operators: forms, their checks, and the work with its progress."""

from sam2_plugins.fiftyone_plugin.operators.evaluate import EvaluateMasklets
from sam2_plugins.fiftyone_plugin.operators.panel import Masklets
from sam2_plugins.fiftyone_plugin.operators.propagate import PropagateMasks, StopPropagation
from sam2_plugins.fiftyone_plugin.operators.segment import SegmentImages

OPERATORS = (PropagateMasks, SegmentImages, EvaluateMasklets, StopPropagation, Masklets)

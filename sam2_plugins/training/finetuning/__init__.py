"""Make a model one's own: fine-tuning on corrected masks.

`finetune(load_model("nano"), split_movies(read_project("project")), "mine.safetensors")` learns,
judges, and saves what became better.
"""

from sam2_plugins.training.parts import Parts

from .budget import Budget, memory_budget
from .loop import STATE_FILE, Look, Report, Settings, finetune
from .movies import AnnotatedMovie
from .readers import read_project
from .score import mean_j, summary
from .split import Split, split_movies

__all__ = [
    "STATE_FILE",
    "AnnotatedMovie",
    "Budget",
    "Look",
    "Parts",
    "Report",
    "Settings",
    "Split",
    "finetune",
    "mean_j",
    "memory_budget",
    "read_project",
    "split_movies",
    "summary",
]

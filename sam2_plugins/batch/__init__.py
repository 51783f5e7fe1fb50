"""Many videos: each is tracked from its prompts, on this machine or on a cluster.

One video is one task, for tracking is sequential in time. What is done is on the disk, so that an
interrupted run continues where it stopped, inside a long video too.
"""

from sam2_plugins.batch.connect import connect
from sam2_plugins.batch.job import Job, Settings
from sam2_plugins.batch.manifest import read_manifest
from sam2_plugins.batch.report import Progress, Report
from sam2_plugins.batch.run import run_batch
from sam2_plugins.batch.tasks import run_tasks

__all__ = [
    "Job",
    "Progress",
    "Report",
    "Settings",
    "connect",
    "read_manifest",
    "run_batch",
    "run_tasks",
]

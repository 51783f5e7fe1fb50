from __future__ import annotations

import os
from pathlib import Path

# Before torch loads OpenMP: waiting threads sleep, since spinning ones block each other on a busy
# machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real sequences with ground truth. They are not in the repository, for their licences."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SAM2_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set SAM2_TEST_DATA to a folder that has it")
    return folder

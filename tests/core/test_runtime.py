from __future__ import annotations

from types import SimpleNamespace

import torch

from sam2_plugins.core.runtime import in_inference


class Worker:
    model = SimpleNamespace(device=torch.device("cpu"))

    @in_inference
    def state(self) -> tuple[bool, bool]:
        return torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")


def test_work_runs_in_inference_mode_and_leaves_it() -> None:
    assert Worker().state() == (True, False)
    assert not torch.is_inference_mode_enabled()

from __future__ import annotations

import subprocess
import sys

import pytest

import sam2_plugins.core


def modules_after(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return set(told.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import sam2_plugins",
        "import sam2_plugins.core",
        "from sam2_plugins.core import ObjectMask, Prompt, open_frames, list_models, load_model",
        "from sam2_plugins.core.variants import VARIANTS",
    ],
)
def test_what_needs_no_model_loads_no_torch(statement: str):
    assert "torch" not in modules_after(statement)


def test_the_package_itself_loads_nothing_but_its_old_names():
    loaded = {name for name in modules_after("import sam2_plugins") if "sam2" in name}
    assert loaded == {"sam2_plugins", "sam2_plugins._old_names"}


@pytest.mark.parametrize("name", sam2_plugins.core.__all__)
def test_every_public_name_of_the_core_is_there(name: str):
    assert getattr(sam2_plugins.core, name).__name__ == name
    assert name in dir(sam2_plugins.core)


def test_a_name_that_the_core_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        _ = sam2_plugins.core.segment

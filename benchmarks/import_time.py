"""Processor time of `import sam2_plugins`, over that of an empty interpreter. Exits 1 above 50 ms.

python benchmarks/import_time.py
"""

from __future__ import annotations

import subprocess
import sys
from statistics import median

LIMIT_MS = 50.0
RUNS = 11
_SCRIPT = "import time; start = time.process_time(); {}; print(time.process_time() - start)"


def milliseconds(statement: str) -> float:
    """Median processor time of a statement in fresh interpreters."""
    command = [sys.executable, "-c", _SCRIPT.format(statement)]
    times = [float(subprocess.check_output(command, text=True)) for _ in range(RUNS)]
    return 1000 * median(times)


def main() -> int:
    took = milliseconds("import sam2_plugins")
    print(f"import sam2_plugins: {took:.1f} ms (limit {LIMIT_MS:.0f} ms)")
    for module in ("sam2_plugins.core", "sam2_plugins.core.frames", "sam2_plugins.cli"):
        print(f"import {module}: {milliseconds(f'import {module}'):.1f} ms")
    return int(took > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())

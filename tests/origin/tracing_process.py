"""A search as a process of its own: `python -m tests.origin.tracing_process` prints a line for every run.

Arguments: the interpreter of an environment, a folder for overlays, the project's folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.origin.test_real_overlays import case, traced
from validator.config.settings import Install
from validator.environments import Overlays, Uv
from validator.origin import SearchWatcher
from validator.pipeline.signals import interruptible


@interruptible()
def main() -> None:
    """Trace a layer that changed in 3.6.0."""
    python, overlays, folder = map(Path, sys.argv[1:])
    watcher = SearchWatcher(lambda _cell, phase, subject, _outcome: print(phase, subject, flush=True))
    kept = Overlays(overlays, python, Install(), Uv.bundled(os.environ))
    origin = traced(kept, python, folder, case(folder, "outputs", ("3.5.0", "3.6.0")), 600, watcher)
    print("runs", origin.runs, ",".join(unit.name for lines in origin.lines for unit in lines.units))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

"""Runs the recorder in the user's own Python, where the packages of a function are."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from validator.failure import Failure

_RECORDER = Path(__file__).resolve().parents[1] / "recorder"
_NAME = "keras_recorder"


def run_recorder(python: str, arguments: Sequence[str], folder: Path) -> Failure | None:
    """Run `python -m validator.recorder …` in `folder`; None where it worked.

    The recorder is copied, so that nothing that is installed for this tool reaches the function's process.
    """
    with tempfile.TemporaryDirectory() as scratch:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_RECORDER, Path(scratch, _NAME), ignore=ignored)
        paths = [scratch, str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")])]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        try:
            done = subprocess.run(
                [python, "-m", _NAME, *arguments],
                cwd=folder,
                env=environ,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            reason = error.strerror or str(error)
            return Failure(
                stage="inputs", error="python", message=f"{python}: {reason}; name another --python"
            )
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    message = lines[-1] if lines else f"{python} ended with exit code {done.returncode}"
    return Failure(stage="inputs", error="python", message=message, log=done.stderr[-4000:])

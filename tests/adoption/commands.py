"""The command line in a folder of a test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(folder: Path, *arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    """Run `keras-validator …` in a folder."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    environ.pop("VIRTUAL_ENV", None)
    return subprocess.run(
        [sys.executable, "-m", "validator", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environ,
        input=answers,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a command that ended with the exit code for a configuration; no traceback."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr

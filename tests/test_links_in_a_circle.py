"""Paths of the command line that link to themselves: one sentence, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = 'version: 1\nmatrix: {keras: ["3.3.3"]}\nmodels: [{name: m, builder: "m:m", inputs: x.npz}]\n'


@pytest.mark.parametrize("arguments", [["--config", "round"], ["--config", "v.yml", "--output", "round"]])
def test_a_path_that_links_to_itself_is_named(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "v.yml").write_text(CONFIG)
    (tmp_path / "x.npz").touch()
    command = [sys.executable, "-m", "validator", "run", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "round: its symbolic links lead in a circle; name another path" in done.stderr
    assert "Traceback" not in done.stderr

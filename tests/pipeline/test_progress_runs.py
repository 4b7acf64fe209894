"""What a run shows of itself: on a real terminal, on one of a CI, and into a file."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import write_project

pytestmark = pytest.mark.environment

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(folder: Path, **variables: str) -> str:
    """All that a run writes to a terminal of 120 columns as its stderr."""
    ours, theirs = pty.openpty()
    hidden = ("CI", "GITHUB_ACTIONS", "NO_COLOR", "FORCE_COLOR")
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    environ |= {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120", "LINES": "30", **variables}
    command = [sys.executable, "-m", "validator", "run"]
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    assert process.wait(60) == 1
    return b"".join(pieces).decode()


def test_a_terminal_shows_what_runs_and_keeps_a_line_a_job(tmp_path: Path) -> None:
    write_project(tmp_path)
    raw = on_terminal(tmp_path)
    text = _ESCAPE.sub("", raw)
    assert raw.count("\x1b[?25l") == raw.count("\x1b[?25h") == 1  # the cursor is hidden, and is back
    assert "\x1b[1A" in raw  # it is redrawn
    assert re.search(r"predicting, \d of 6 cells predicted", text)
    # Any job of any environment: one that ends between two frames is not seen.
    assert re.search(r"keras-3\.\d\.\d +(installing|\S+@keras-3\.\d\.\d\S*) +\d+ s", text)
    assert re.search(r"\[[1-6]/6\] same@keras-3\.3\.3  done  [\d.]+ s\r\n", text)
    assert re.search(r"\[[1-6]/6\] lost@keras-3\.5\.0  build  [\d.]+ s\r\n", text)
    assert "measuring" in text
    assert "explaining" in text


def test_a_terminal_of_a_ci_gets_plain_lines(tmp_path: Path) -> None:
    write_project(tmp_path)
    raw = on_terminal(tmp_path, CI="true")
    assert "\x1b[?25l" not in raw
    assert "\x1b[1A" not in raw
    lines = [line for line in _ESCAPE.sub("", raw).splitlines() if line]
    assert lines[-1] == "report: .keras-validator/run/report.html"
    assert len(lines) > 1
    assert all("cells predicted" in line or line.startswith("searching") for line in lines[:-1]), lines

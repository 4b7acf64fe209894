"""What happens to a run from outside: Ctrl-C, a second run in its folder, a full disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.conftest import ROOT, share_environments
from validator.report.json import load

pytestmark = pytest.mark.environment

CONFIG = """
version: 1
origin: {seconds: 0}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
models:
  - {name: first, builder: "slow:first", inputs: inputs.npz}
  - {name: second, builder: "slow:second", inputs: inputs.npz}
"""
MODELS = """
import time
from tensorflow import keras

def first():
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])

def second():
    time.sleep(600)
"""

ATTENTIVE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    share_environments(tmp_path)
    (tmp_path / "validator.yml").write_text(CONFIG)
    (tmp_path / "slow.py").write_text(MODELS)
    np.savez(tmp_path / "inputs.npz", x=np.ones((5, 4), np.float32))
    return tmp_path


def command(project: Path) -> list[str]:
    run = ["run", "--config", str(project / "validator.yml"), "--output", str(project / "run")]
    return [sys.executable, "-m", "validator", *run]


def wait_for(path: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.1)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process_and_keeps_finished_cells_and_a_second_run_is_refused(
    project: Path, sign: signal.Signals
) -> None:
    captures = project / "run" / "captures" / "keras-3.3.3"
    # a test run in the background ignores Ctrl-C, and so would what it starts
    attentive = [sys.executable, "-c", ATTENTIVE, *command(project)]
    process = subprocess.Popen(attentive, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(captures / "second" / "started")
        family = psutil.Process(process.pid).children(recursive=True)
        assert any(
            "keras_capture" in " ".join(child.cmdline()) or "worker" in " ".join(child.cmdline())
            for child in family
        )

        second = subprocess.run(
            command(project), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 2
        assert f"process {process.pid}" in second.stderr
        assert "choose another --output" in second.stderr

        process.send_signal(sign)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted; what a run has measured is kept" in errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    kept = json.loads((captures / "first" / "response.json").read_text())
    assert kept["failure"] is None


def test_a_worker_ends_when_its_supervisor_is_killed(project: Path) -> None:
    process = subprocess.Popen(command(project), cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(project / "run" / "captures" / "keras-3.3.3" / "second" / "started")
    family = psutil.Process(process.pid).children(recursive=True)
    for member in [*family[:-1], psutil.Process(process.pid)]:
        member.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_a_full_disk_fails_the_cell_and_the_run_is_not_green(project: Path) -> None:
    """Files may grow to 400 KiB and no further, and the outputs need more: as on a disk that fills up."""
    large = MODELS.replace("Dense(2)", "Dense(2000)").replace("time.sleep(600)", "return first()")
    (project / "slow.py").write_text(large)
    np.savez(project / "inputs.npz", x=np.ones((500, 4), np.float32))
    whole = subprocess.run(command(project), cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert whole.returncode == 0, whole.stderr
    limited = f"ulimit -f 400; exec {' '.join(command(project))} --json"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    report = load(done.stdout)
    assert report.verdict == "inconclusive"
    assert "File too large" in report.reasons[0].message

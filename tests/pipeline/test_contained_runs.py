"""Whole runs with hostile models and no sandbox, and with a time limit: never green, and they say why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import write_project
from validator.report.json import load
from validator.verdict.results import Report

pytestmark = pytest.mark.environment

CONFIG = """
version: 1
origin: {seconds: 0}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
parity: {jit: [], attention: []}
sandbox: {mode: off}
models:
  - {name: victim, builder: "hostile:victim", inputs: inputs.npz}
  - {name: writer, builder: "hostile:writer", inputs: inputs.npz}
"""
MODELS = """
import glob, os, shutil, time
from little import keras, moved, same as victim

def writer():
    captures = os.environ["HOME"] + "/../.."
    if keras.__version__ == "3.5.0":
        time.sleep(1)
        for path in glob.glob(captures + "/victim/outputs/*.npy"):
            with open(path, "r+b") as file:
                file.seek(-4, os.SEEK_END)
                file.write(b"\\0\\0\\0\\0")
        with open(captures + "/../../../job-output", "a") as file:
            file.write("verdict=pass\\n")
    return victim()
"""
#: Becomes its arguments where no Landlock ruleset can be made, as in some containers.
FORBIDDING = """
import ctypes, os, struct, sys
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50001), (6, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
system = ctypes.CDLL(None)
assert system.prctl(38, 1, 0, 0, 0) == 0
assert system.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def run(config: Path, *before: str, **environ: str) -> tuple[subprocess.CompletedProcess[str], Report]:
    done = subprocess.run(
        [
            *before,
            sys.executable,
            "-m",
            "validator",
            "run",
            "--config",
            str(config),
            "--output",
            "run",
            "--event",
        ],
        cwd=config.parent,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "workflow_dispatch",
            "GITHUB_REPOSITORY": "acme/widget",
            "GITHUB_RUN_ID": "7",
            "GITHUB_SHA": "0" * 40,
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done, load((config.parent / "run" / "report.json").read_text(encoding="utf-8"))


def test_a_model_that_overwrites_another_result_and_the_jobs_output_makes_nothing_green(
    tmp_path: Path,
) -> None:
    config = write_project(tmp_path)
    config.write_text(CONFIG)
    (tmp_path / "hostile.py").write_text(MODELS)
    output = tmp_path / "job-output"
    output.write_text("earlier=step\n")
    done, report = run(config, GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert done.returncode == 3, done.stderr
    assert "the baseline" not in done.stdout
    cells = {cell.cell: cell for model in report.models for cell in model.cells}
    assert cells["victim@keras-3.5.0"].verdict == "not-compared"
    assert cells["writer@keras-3.5.0"].verdict == "identical"
    kinds = {reason.kind: reason for reason in report.reasons}
    assert kinds["cell"].cell == "victim@keras-3.5.0"
    assert "was changed after it was recorded" in kinds["cell"].message
    assert kinds["step-files"].files == ("GITHUB_OUTPUT",)
    assert "that was undone" in kinds["step-files"].message
    assert "verdict=pass" not in output.read_text()
    assert output.read_text().startswith("earlier=step\n")
    assert "\nverdict<<end-" in output.read_text()
    assert "models not confined: sandbox.mode is off" in (tmp_path / "run" / "report.md").read_text()


def test_a_run_whose_time_is_over_still_reports(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    config.write_text(config.read_text() + "limits: {total_seconds: 0.01}\n")
    done, report = run(config)
    assert done.returncode == 3, done.stderr
    assert report.verdict == "inconclusive"
    assert {cell.verdict for model in report.models for cell in model.cells} == {"not-compared"}
    assert "limits.total_seconds: 0.01" in done.stdout
    assert "was not reached" in report.reasons[0].message


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="seccomp is Linux' own")
@pytest.mark.parametrize("mode", ["auto", "require"])
def test_a_container_that_forbids_landlock_is_said(tmp_path: Path, mode: str) -> None:
    config = write_project(tmp_path)
    config.write_text(f"{config.read_text()}limits: {{total_seconds: 0.01}}\nsandbox: {{mode: {mode}}}\n")
    done, report = run(config, sys.executable, "-c", FORBIDDING)
    assert report.verdict == "inconclusive"
    if mode == "require":
        assert done.returncode == 2
        assert "this system has no Landlock" in done.stderr
        return
    assert done.returncode == 3
    assert "The code of models is not confined: this system has no Landlock" in done.stderr
    assert report.sandbox == "unavailable"
    page = (tmp_path / "run" / "report.md").read_text()
    assert "models not confined: this system has no Landlock" in page

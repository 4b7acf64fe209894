"""One run over every way a model can fail: each costs its own cell, never the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, share_environments
from validator.checks.accuracy.types import UnscoredFinding
from validator.checks.loading.types import BaselineFailed, NoteFinding
from validator.checks.outputs.types import OutputsComparison
from validator.report.json import load
from validator.verdict.results import CellResult, Report

pytestmark = pytest.mark.environment

SECRET = "ghs_not_for_models"
NAMES = [
    "healthy",
    "changed_in_350",
    "nan_in_350",
    "raises",
    "raises_in_the_baseline",
    "prints_megabytes",
    "leaves",
    "leaves_with_code",
    "asks_to_exit",
    "segfaults",
    "hangs",
    "eats_memory",
    "tells_its_environment",
    "dies_when_tapped",
]


def write_project(folder: Path) -> Path:
    (folder / "misbehaving.py").write_text((Path(__file__).with_name("models.py")).read_text())
    np.savez(folder / "inputs.npz", x=np.arange(28, dtype=np.float32).reshape(7, 4))
    (folder / "corrupt.keras").write_bytes(b"PK\x03\x04 not a model")
    models = "".join(
        f"  - {{name: {name}, builder: 'misbehaving:{name}', inputs: inputs.npz}}\n" for name in NAMES
    )
    (folder / "validator.yml").write_text(
        f"""
version: 1
origin: {{seconds: 0}}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {{keras: ["3.3.3", "3.5.0", "99.0"]}}
limits: {{seconds: 20, memory_gib: 3}}
models:
{models}  - {{name: corrupt, artifact: corrupt.keras, inputs: inputs.npz}}
  - {{name: no_module, builder: 'nowhere:build', inputs: inputs.npz}}
  - name: other_labels
    builder: misbehaving:healthy
    inputs: inputs.npz
    labels: two.npz
    metrics: [accuracy]
  - {{name: other_inputs, builder: 'misbehaving:healthy', inputs: wide.npz}}
"""
    )
    np.savez(folder / "two.npz", one=np.zeros(7, np.int64), two=np.zeros(7, np.int64))
    np.savez(folder / "wide.npz", x=np.zeros((7, 5), np.float32))
    return folder / "validator.yml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Report]:
    folder = tmp_path_factory.mktemp("project")
    config = write_project(folder)
    share_environments(folder)
    output = folder / "run"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "validator",
            "run",
            "--config",
            str(config),
            "--output",
            str(output),
            "--json",
        ],
        cwd=ROOT,
        env={**os.environ, "GITHUB_TOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.stdout, done.stderr
    return done, load(done.stdout)


def cell_of(report: Report, cell: str) -> CellResult:
    return next(found for model in report.models for found in model.cells if found.cell == cell)


def test_the_gate_fails_and_says_so(finished: tuple[subprocess.CompletedProcess[str], Report]) -> None:
    done, report = finished
    assert done.returncode == 1
    assert report.verdict == "fail"
    assert any(reason.cell == "changed_in_350@keras-3.5.0" for reason in report.reasons)


def test_a_healthy_model_is_judged_although_its_neighbours_die(
    finished: tuple[subprocess.CompletedProcess[str], Report],
) -> None:
    for name in ("healthy", "prints_megabytes"):
        assert cell_of(finished[1], f"{name}@keras-3.5.0").verdict == "identical"


@pytest.mark.parametrize(
    ("model", "stage", "words"),
    [
        ("raises", "build", "no such thing as a free model"),
        ("leaves", "crash", "without"),
        ("leaves_with_code", "crash", "exit code 7"),
        ("asks_to_exit", "build", "bye"),
        ("segfaults", "crash", "SIGSEGV"),
        ("hangs", "timeout", "not finished after 20 s"),
        ("eats_memory", "crash", "limit of 3.0 GiB"),
        ("corrupt", "load", "corrupt.keras"),
        ("no_module", "build", "nowhere"),
        ("other_inputs", "inputs", "5"),
    ],
)
def test_a_failure_names_its_stage_and_reason(
    finished: tuple[subprocess.CompletedProcess[str], Report], model: str, stage: str, words: str
) -> None:
    cell = cell_of(finished[1], f"{model}@keras-3.5.0")
    assert cell.verdict == "failed"
    assert cell.failure is not None
    assert cell.failure.stage == stage
    assert words in cell.failure.message
    assert cell.reproduce.endswith(f"--only {model}@keras-3.5.0")


def test_a_task_that_ends_the_process_does_not_take_the_predictions(
    finished: tuple[subprocess.CompletedProcess[str], Report],
) -> None:
    cell = cell_of(finished[1], "dies_when_tapped@keras-3.5.0")
    assert cell.verdict == "identical"
    lost = [finding for finding in cell.findings if isinstance(finding, NoteFinding)]
    assert any(finding.kind == "tasks-lost" and "exit code 9" in finding.text for finding in lost)


def test_labels_that_fit_no_output_cost_the_score_and_nothing_else_and_are_not_green(
    finished: tuple[subprocess.CompletedProcess[str], Report],
) -> None:
    cell = cell_of(finished[1], "other_labels@keras-3.5.0")
    assert cell.verdict == "identical"
    assert cell.gated == ("accuracy",)
    (unscored,) = [finding for finding in cell.findings if isinstance(finding, UnscoredFinding)]
    assert "'one'" in unscored.reason


def test_values_that_move_are_named(finished: tuple[subprocess.CompletedProcess[str], Report]) -> None:
    cell = cell_of(finished[1], "changed_in_350@keras-3.5.0")
    assert cell.verdict == "changed"
    comparison = cell.comparison(OutputsComparison)
    assert comparison is not None
    numbers = comparison.outputs[0].comparison
    assert numbers is not None
    assert numbers.worst is not None
    assert numbers.worst.index == (6, 2)
    assert cell.gated == ("changed",)


def test_nan_only_in_the_candidate_is_a_change(
    finished: tuple[subprocess.CompletedProcess[str], Report],
) -> None:
    cell = cell_of(finished[1], "nan_in_350@keras-3.5.0")
    assert cell.verdict == "changed"
    comparison = cell.comparison(OutputsComparison)
    assert comparison is not None
    numbers = comparison.outputs[0].comparison
    assert numbers is not None
    assert (numbers.nan_baseline, numbers.nan_candidate) == (0, 7)


def test_an_unusable_baseline_is_never_green(
    finished: tuple[subprocess.CompletedProcess[str], Report],
) -> None:
    cell = cell_of(finished[1], "raises_in_the_baseline@keras-3.5.0")
    assert cell.verdict == "not-compared"
    (failed,) = [finding for finding in cell.findings if isinstance(finding, BaselineFailed)]
    assert "broken in the baseline" in failed.failure.message


def test_a_version_that_does_not_exist_fails_in_uvs_words_and_the_others_go_on(
    finished: tuple[subprocess.CompletedProcess[str], Report],
) -> None:
    cell = cell_of(finished[1], "healthy@keras-99.0")
    assert cell.verdict == "failed"
    assert cell.failure is not None
    assert cell.failure.stage == "resolve"
    assert "keras==99.0" in cell.failure.message


def test_no_secret_of_the_caller_reaches_a_model(
    finished: tuple[subprocess.CompletedProcess[str], Report],
) -> None:
    failure = cell_of(finished[1], "tells_its_environment@keras-3.5.0").failure
    assert failure is not None
    assert "ENVIRON" in failure.message
    assert "KERAS_BACKEND=tensorflow" in failure.message
    assert SECRET not in finished[0].stdout

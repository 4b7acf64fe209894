"""A whole run with training blocks in real environments: one hangs, one has an edit that is known."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, share_environments
from validator.checks.training.types import TrainingComparison
from validator.report.json import load
from validator.verdict.gate import check_verdict

pytestmark = pytest.mark.environment

CONFIG = """
version: 1
origin: {seconds: 0}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
limits: {seconds: 25}
gate: {fail_on: [training]}
environments:
  keras-3.5.0: {variables: {PLANTED: optimiser}}
models:
  - name: endless
    builder: training_models:build
    inputs: inputs.npz
    training: {function: "training_models:endless"}
  - name: planted
    builder: training_models:build
    inputs: inputs.npz
    training: {function: "training_models:by_environment", batch_size: 8, steps: 2}
"""


def test_an_endless_training_costs_no_prediction(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "worker" / "models" / "training_models.py", tmp_path)
    np.savez(tmp_path / "inputs.npz", features=np.ones((8, 6), np.float32))
    share_environments(tmp_path)
    config = tmp_path / "validator.yml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "validator", "run", "--config", str(config), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1, done.stderr[-3000:]
    report = load(done.stdout)
    cells = {model.name: model.cells[0] for model in report.models}
    assert [cell.verdict for cell in cells.values()] == ["identical"] * 2
    endless = cells["endless"].comparison(TrainingComparison)
    assert endless is not None
    assert endless.failure is not None
    assert endless.failure.stage == "timeout"
    assert check_verdict(cells["endless"], "training") == "failed"
    causes = [finding.kind for finding in cells["planted"].findings if finding.check == "training"]
    assert causes[1] == "training-optimiser"
    assert cells["planted"].gated == ("training",)
    assert "training" in next(reason.rules for reason in report.reasons if reason.cell.startswith("planted@"))

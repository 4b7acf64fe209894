"""The examples on all three backends of Keras 3, and a backend that cannot be installed beside them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.conftest import ROOT, cpu_torch, share_environments
from validator.checks.accuracy.types import AccuracyComparison, MetricOnlyFinding
from validator.checks.outputs.types import OutputsComparison
from validator.report.json import load
from validator.verdict.results import CellResult, EnvironmentResult, Report

pytestmark = pytest.mark.e2e

#: The newest JAX that this Keras imports. A torch that cannot exist stands for one that does not install.
CONFIG = """
version: 1
origin: {seconds: 0}
python: "3.11"
requirements: [numpy==1.26.4]
matrix:
  keras: ["3.5.0"]
  backend: [BACKENDS]
  include: [{keras: "3.3.3", backend: torch}]
baseline: {keras: "3.5.0", backend: tensorflow}
environments:
  keras-3.5.0: {requirements: [tensorflow-cpu==2.17.1]}
  keras-3.5.0-jax: {requirements: [jax==0.4.38, jaxlib==0.4.38]}
  keras-3.5.0-torch: {requirements: [TORCH]}
  keras-3.3.3-torch: {requirements: [torch==0.0.1]}
install: {find_links: [LINKS]}
parity: {search: false}
gate: {fail_on: []}
models:
  - name: digits
    artifact: digits/model.keras
    inputs: digits/inputs.npz
    labels: digits/labels.npz
    metrics: [accuracy]
  - name: llama
    artifact: llama/model.keras
    custom_objects: [llama.layers]
    inputs: llama/inputs.npz
    labels: llama/labels.npz
    ignore_label: 0
    metrics: [accuracy]
    matrix: {precision: [float32]}
"""
#: How far float32 may drift from one backend's kernels to another's, on these models.
DRIFT = {"digits": 1e-5, "llama": 1e-3}


@dataclass(frozen=True)
class Finished:
    report: Report

    def environment(self, name: str) -> EnvironmentResult:
        return next(found for found in self.report.environments if found.name == name)

    def cell(self, name: str) -> CellResult:
        return next(found for model in self.report.models for found in model.cells if found.cell == name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("backends")
    for name in ("digits", "llama", "which_keras.py"):
        (folder / name).symlink_to(ROOT / "examples" / name)
    torch = cpu_torch()
    config = CONFIG.replace("BACKENDS", "tensorflow, jax" + (", torch" if torch else ""))
    if torch is None:
        config = config.replace("  keras-3.5.0-torch: {requirements: [TORCH]}\n", "").replace("LINKS", "")
    else:
        config = config.replace("TORCH", torch[1]).replace("LINKS", str(torch[0]))
    (folder / "validator.yml").write_text(config)
    share_environments(folder)
    command = ["run", "--config", str(folder / "validator.yml"), "--output", str(folder / "run"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "validator", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.stdout, done.stderr
    return Finished(load(done.stdout))


@pytest.mark.parametrize("model", ["digits", "llama"])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_examples_run_on_every_backend_and_agree(finished: Finished, backend: str, model: str) -> None:
    if backend == "torch" and cpu_torch() is None:
        pytest.skip(
            "neither UV_FIND_LINKS nor PIP_FIND_LINKS names a folder with a CPU wheel of torch, and an index "
            "gives the CUDA build of several GB"
        )
    environment = finished.environment(f"keras-3.5.0-{backend}")
    assert environment.failure is None
    assert (environment.backend, environment.keras) == (backend, "keras 3.5.0")
    variant = "+float32" if model == "llama" else ""
    cell = finished.cell(f"{model}@keras-3.5.0-{backend}{variant}")
    assert cell.verdict in {"identical", "rounding"}, cell.message
    outputs, accuracy = cell.comparison(OutputsComparison), cell.comparison(AccuracyComparison)
    assert outputs is not None
    numbers = outputs.outputs[0].comparison
    assert numbers is not None
    assert numbers.max_abs is not None
    assert numbers.max_abs < DRIFT[model]
    assert numbers.flips == 0
    assert accuracy is not None
    assert all(metric.decision == "not-worse" for metric in accuracy.metrics)
    assert accuracy.reported
    assert not any(isinstance(finding, MetricOnlyFinding) for finding in cell.findings)


def test_a_backend_that_does_not_install_costs_its_own_cells(finished: Finished) -> None:
    failure = finished.environment("keras-3.3.3-torch").failure
    assert failure is not None
    assert failure.stage in {"resolve", "install"}
    assert failure.error == "uv"
    assert "torch==0.0.1" in failure.message
    for name in ("digits@keras-3.3.3-torch", "llama@keras-3.3.3-torch+float32"):
        cell = finished.cell(name)
        assert cell.verdict == "failed"
        assert cell.failure == failure
    assert finished.environment("keras-3.5.0").failure is None

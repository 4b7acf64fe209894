"""Whole runs over edits that are known: what the noise and the twins make of them in real environments."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, share_environments
from validator.results import CellResult, Report

pytestmark = pytest.mark.environment

HALF = ["unchanged", "epsilon", "gelu", "only_in_half", "pinned"]
SINGLE = ["unchanged", "epsilon", "gelu", "scale", "coarser", "one_sample", "weightless", "dropout"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("edited")
    shutil.copy(Path(__file__).with_name("edited_models.py"), folder)
    share_environments(folder)
    precisions = {name: [] for name in dict.fromkeys([*SINGLE, *HALF])}
    for names, precision in ((SINGLE, "as-saved"), (HALF, "bfloat16")):
        for name in names:
            precisions[name].append("as-saved" if name == "pinned" else precision)
    models = "".join(
        f"  - {{name: {name}, builder: 'edited_models:{name}', inputs: 'edited_models:inputs', "
        f"matrix: {{precision: {wanted}}}}}\n"
        for name, wanted in precisions.items()
    )
    (folder / "validator.yml").write_text(
        'version: 1\npython: "3.11"\nrequirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]\n'
        f'matrix: {{keras: ["3.3.3", "3.5.0"]}}\ngate: {{fail_on: []}}\nmodels:\n{models}'
    )
    command = [sys.executable, "-m", "validator", "run", "--config", str(folder / "validator.yml"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return Report.model_validate(json.loads(done.stdout))


def cell(report: Report, model: str, variant: str = "") -> CellResult:
    suffix = f"+{variant}" if variant else ""
    wanted = f"{model}@keras-3.5.0{suffix}"
    return next(found for one in report.models for found in one.cells if found.cell == wanted)


@pytest.mark.parametrize("variant", ["", "bfloat16"])
def test_what_was_not_edited_is_green(report: Report, variant: str) -> None:
    assert cell(report, "unchanged", variant).verdict in {"identical", "rounding"}


@pytest.mark.parametrize("model", ["epsilon", "gelu", "scale"])
def test_small_edits_are_seen_and_semantic_also_in_float64(report: Report, model: str) -> None:
    found = cell(report, model)
    assert (found.verdict, found.change) == ("changed", "semantic")
    assert found.outputs[0].noise_ratio > 4
    assert "its float64 twin differs too" in found.message


@pytest.mark.parametrize("model", ["epsilon", "gelu"])
def test_bfloat16_hides_them_and_its_float32_twin_does_not(report: Report, model: str) -> None:
    found = cell(report, model, "bfloat16")
    assert (found.verdict, found.change) == ("changed", "semantic")
    assert found.outputs[0].verdict in {"identical", "rounding"}
    assert "hidden by bfloat16, but not in its float32 twin" in found.message


def test_an_edit_of_half_precision_alone(report: Report) -> None:
    found = cell(report, "only_in_half", "bfloat16")
    assert (found.verdict, found.change) == ("changed", "semantic")
    assert "what differs exists only in bfloat16" in found.message


def test_digits_that_got_lost_are_a_precision_change(report: Report) -> None:
    found = cell(report, "coarser")
    assert (found.verdict, found.change) == ("changed", "precision")
    assert "worse than in the baseline" in found.message


def test_an_edit_of_one_sample_is_not_diluted(report: Report) -> None:
    found = cell(report, "one_sample")
    assert found.outputs[0].worst_sample == 137
    assert found.verdict in {"suspicious", "changed"}


def test_no_weights_no_noise(report: Report) -> None:
    found = cell(report, "weightless")
    assert found.verdict in {"identical", "rounding"}
    assert found.outputs[0].noise_ratio is None


def test_code_that_pins_a_dtype_has_no_twin_and_the_report_says_so(report: Report) -> None:
    found = cell(report, "pinned")
    assert found.verdict in {"identical", "rounding"}
    assert any(one.kind == "twin" and "sets dtypes itself" in one.message for one in found.findings)


def test_dropout_at_inference_is_nondeterministic_and_not_changed(report: Report) -> None:
    found = cell(report, "dropout")
    assert found.verdict == "suspicious"
    assert found.change is None
    assert "nondeterministic" in found.message
    assert any(one.kind == "nondeterministic" for one in found.findings)

"""Whole runs over edits that are known: what noise and float64 make of them in real environments."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, share_environments
from validator.checks.outputs.find import change_of
from validator.checks.outputs.types import OutputFinding, OutputsComparison, ReferenceFinding
from validator.verdict.results import CellResult, Report

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
        'version: 1\norigin: {seconds: 0}\nparity: {search: false}\npython: "3.11"\n'
        "requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]\n"
        f'matrix: {{keras: ["3.3.3", "3.5.0"]}}\ngate: {{fail_on: []}}\nmodels:\n{models}'
    )
    command = [sys.executable, "-m", "validator", "run", "--config", str(folder / "validator.yml"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return Report.model_validate(json.loads(done.stdout))


def cell(report: Report, model: str, variant: str = "") -> CellResult:
    identity = f"{model}@keras-3.5.0" + (f"+{variant}" if variant else "")
    return next(judged for group in report.models for judged in group.cells if judged.cell == identity)


def output(judged: CellResult) -> OutputFinding:
    return next(finding for finding in judged.findings if isinstance(finding, OutputFinding))


def reference(judged: CellResult) -> ReferenceFinding:
    return next(finding for finding in judged.findings if isinstance(finding, ReferenceFinding))


def verdicts(judged: CellResult) -> tuple[str, str | None]:
    return judged.verdict, change_of(judged.findings)


@pytest.mark.parametrize("variant", ["", "bfloat16"])
def test_what_was_not_edited_is_green(report: Report, variant: str) -> None:
    assert cell(report, "unchanged", variant).verdict in {"identical", "rounding"}


@pytest.mark.parametrize("model", ["epsilon", "gelu", "scale"])
def test_small_edits_are_seen_and_semantic_also_in_float64(report: Report, model: str) -> None:
    judged = cell(report, model)
    assert verdicts(judged) == ("changed", "semantic")
    drift = output(judged).numbers.drift
    assert drift is not None
    assert drift.method == "operations"
    assert drift.ratio > 4
    assert reference(judged).kind == "reference-confirms"


@pytest.mark.parametrize("model", ["epsilon", "gelu"])
def test_bfloat16_hides_them_and_its_float64_run_does_not(report: Report, model: str) -> None:
    judged = cell(report, model, "bfloat16")
    assert verdicts(judged) == ("changed", "semantic")
    assert output(judged).verdict in {"identical", "rounding"}
    assert reference(judged).kind == "reference-convicts"


def test_an_edit_of_half_precision_alone(report: Report) -> None:
    judged = cell(report, "only_in_half", "bfloat16")
    assert verdicts(judged) == ("changed", "semantic")
    assert (reference(judged).kind, reference(judged).policy) == ("reference-confirms", "bfloat16")


def test_digits_that_got_lost_are_a_precision_change(report: Report) -> None:
    judged = cell(report, "coarser")
    assert verdicts(judged) == ("changed", "precision")
    distance = reference(judged).distance
    assert distance is not None
    assert distance.candidate > distance.baseline


def test_an_edit_of_one_sample_is_not_diluted(report: Report) -> None:
    judged = cell(report, "one_sample")
    drift = output(judged).numbers.drift
    assert drift is not None
    assert {grain.grain: grain.index for grain in drift.grains}["row"] == (137,)
    assert judged.verdict == "changed"


def test_a_model_without_weights_is_green(report: Report) -> None:
    assert cell(report, "weightless").verdict in {"identical", "rounding"}


def test_code_that_pins_a_dtype_runs_in_float64_too(report: Report) -> None:
    judged = cell(report, "pinned")
    assert judged.verdict in {"identical", "rounding"}
    comparison = judged.comparison(OutputsComparison)
    assert comparison is not None
    distance = comparison.outputs[0].reference
    assert distance is not None
    assert distance.delta < 1e-12


def test_dropout_at_inference_on_both_sides_compares_nothing(report: Report) -> None:
    judged = cell(report, "dropout")
    assert verdicts(judged) == ("not-compared", None)
    assert output(judged).rule == "unsteady"
    assert any(finding.kind == "nondeterministic" for finding in judged.findings)

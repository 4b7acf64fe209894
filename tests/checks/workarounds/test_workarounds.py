"""The search for workarounds: what is run in which order, and that what is reported was really run."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, share_environments
from validator.checks.bands import CellVerdict
from validator.checks.protocol import Earlier, Examined, Subject
from validator.checks.workarounds import CHECK
from validator.checks.workarounds.candidates import candidates
from validator.checks.workarounds.types import (
    Trial,
    Workaround,
    WorkaroundFailed,
    WorkaroundNotRun,
    WorkaroundsComparison,
)
from validator.config.load import parse
from validator.config.settings import ParitySettings
from validator.failure import Failure
from validator.matrix import Cell, Variant, make_plan
from validator.report.json import load
from validator.upgrade import Requirements
from validator.verdict.bands import BANDS
from validator.verdict.results import CellResult, Report

TEXT = """
version: 1
matrix: {keras: ["3.3.3", "3.9.0"], backend: [BACKEND], precision: [as-saved, float32]}
models:
  - name: m
    artifact: m.keras
    builder: a:b
    weights: w.weights.h5
    inputs: i.npz
    settings: {causal: {builder_arguments: {attention: causal}}}
"""


def subject(backend: str = "tensorflow", parity: ParitySettings | None = None) -> Subject:
    settings = parse(TEXT.replace("BACKEND", backend), "validator.yml")
    settings = settings.model_copy(update={"parity": parity or settings.parity})
    plan = make_plan(settings, Requirements())
    cell = next(cell for cell in plan.cells if cell.environment != plan.baseline and not cell.variant.name)
    return Subject(
        settings.models[0], cell, plan.baseline_of(cell), plan, settings, Path("/nowhere"), None, BANDS
    )


def written(asked: Subject, policy: str | None = "bfloat16", jit: bool = False) -> list[str]:
    return [candidate.setting for candidate in candidates(asked, policy, jit)]


class TestWhatIsRun:
    def test_the_matrix_first_then_the_cheap_then_the_wide(self) -> None:
        assert written(subject()) == [
            "precision: float32",
            "attention: causal",
            "jit: on",
            "precision: mixed_bfloat16",
            "precision: mixed_float16",
            "precision: float64",
        ]

    @pytest.mark.parametrize(
        ("verdict", "asked"),
        [("identical", ["causal", "jit-on"]), ("changed", ["causal", "jit-on", "mixed_bfloat16"])],
    )
    def test_an_axis_that_the_matrix_solves_is_not_searched(
        self, verdict: CellVerdict, asked: list[str]
    ) -> None:
        held = Trial(
            axis="precision", value="float32", setting="precision: float32", cell="m", verdict=verdict
        )
        comparison = WorkaroundsComparison(trials=(held,), policy="bfloat16", jit=False)
        follow = CHECK.follow_up(subject(), comparison, (), Earlier())
        assert follow is not None
        names = [cell.variant.name for cell in follow.cells]
        assert names[: len(asked)] == asked
        assert len(names) == (2 if verdict == "identical" else 5)
        assert follow.seconds == ParitySettings().seconds

    def test_what_changed_in_a_wide_precision_is_not_run_in_a_narrow_one(self) -> None:
        assert written(subject(), "float32", jit=True) == [
            "attention: causal",
            "jit: off",
            "precision: float64",
        ]
        narrow = ParitySettings(precision=("bfloat16", "as-saved"), jit=(), attention=())
        assert written(subject(parity=narrow), "float32") == ["attention: causal", "precision: bfloat16"]

    def test_what_either_side_cannot_run_is_left_out(self) -> None:
        # flash attention: not in 3.3.3; float64: not on JAX
        assert written(subject("jax"), "float32") == ["attention: causal", "jit: on"]
        assert written(subject("torch"), "mixed_bfloat16") == [
            "precision: float32",
            "attention: causal",
            "precision: float64",
        ]

    def test_a_cell_keeps_its_other_axes(self) -> None:
        asked = subject()
        cell = Cell("m", "keras-3.9.0", Variant("float32", "on", setting="causal"))
        turned = candidates(replace(asked, cell=cell), "float32", jit=True)
        assert [candidate.cell.variant.name for candidate in turned] == [
            "float32+jit-off+causal",
            "float64+jit-on+causal",
        ]

    def test_a_cell_that_did_not_move_is_not_searched(self) -> None:
        quiet = Earlier((Examined("outputs", None, ()),))
        assert CHECK.compare(subject(), None, None, quiet) is None  # type: ignore[arg-type]


class TestWhatIsFound:
    def trial(self, verdict: CellVerdict | None, failure: Failure | None = None) -> Trial:
        return Trial(
            axis="jit", value="off", setting="jit: off", cell="m@e+jit-off", verdict=verdict, failure=failure
        )

    def found(self, trial: Trial) -> type:
        (finding,) = CHECK.find(WorkaroundsComparison(trials=(trial,)), BANDS, Earlier())
        assert finding.verdict is None
        return type(finding)

    @pytest.mark.parametrize("verdict", ["identical", "rounding", "metric-only"])
    def test_what_agrees_is_a_workaround(self, verdict: CellVerdict) -> None:
        assert self.found(self.trial(verdict)) is Workaround

    @pytest.mark.parametrize("verdict", ["changed", "suspicious", "failed", "not-compared"])
    def test_what_does_not_agree_is_none(self, verdict: CellVerdict) -> None:
        assert self.found(self.trial(verdict)) is WorkaroundFailed

    def test_what_was_not_run_is_none(self) -> None:
        failure = Failure(stage="timeout", error="TimeBudget", message="no time")
        assert self.found(self.trial(None, failure)) is WorkaroundNotRun


CONFIG = """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
parity: {jit: [], attention: []}
models:
  - name: fragile
    builder: "workaround_models:build"
    inputs: inputs.npz
    matrix: {setting: [as-saved, variable]}
    settings:
      broken: {builder_arguments: {kind: broken}}
      useless: {builder_arguments: {kind: useless}}
      argument: {builder_arguments: {kind: steady}}
      variable: {variables: {STEADY: "1"}}
  - {name: steady, builder: "workaround_models:environment_is_untouched", inputs: inputs.npz}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    models = Path(__file__).with_name("workaround_models.py").read_text()
    (folder / "workaround_models.py").write_text(models)
    np.savez(folder / "inputs.npz", x=np.linspace(0, 1, 40, dtype=np.float32).reshape(10, 4))
    share_environments(folder)
    return folder


def run(folder: Path, parity: str) -> Report:
    config = folder / "validator.yml"
    config.write_text(CONFIG.replace("parity: {jit: [], attention: []}", f"parity: {{{parity}}}"))
    command = [sys.executable, "-m", "validator", "run", "--config", str(config), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 1, done.stderr
    return load(done.stdout)


def cell_of(report: Report, cell: str) -> CellResult:
    return next(judged for model in report.models for judged in model.cells if judged.cell == cell)


def trials(cell: CellResult, kind: str) -> list[Trial]:
    return [finding.trial for finding in cell.findings if finding.kind == kind]


@pytest.fixture(scope="module")
def report(project: Path) -> Report:
    return run(project, "jit: [], attention: []")


@pytest.mark.environment
class TestRealRuns:
    def test_every_setting_that_restores_parity_was_run(self, report: Report) -> None:
        cell = cell_of(report, "fragile@keras-3.5.0")
        assert cell.verdict == "changed"
        restored = [
            (trial.setting, trial.verdict, trial.effect is not None and trial.effect.max_abs == 0)
            for trial in trials(cell, "workaround")
        ]
        assert restored == [
            ("STEADY=1", "identical", True),  # a cell of the matrix
            ("kind: steady", "identical", True),
            ("precision: float64", "identical", False),
        ]

    def test_what_was_run_in_vain_or_could_not_run_is_reported(self, report: Report) -> None:
        cell = cell_of(report, "fragile@keras-3.5.0")
        assert [trial.setting for trial in trials(cell, "workaround-failed")] == ["kind: useless"]
        (broken,) = trials(cell, "workaround-not-run")
        assert (broken.setting, broken.failed_side) == ("kind: broken", "baseline")
        assert broken.failure is not None
        assert (broken.failure.stage, "nobody builds it like this" in broken.failure.message) == (
            "build",
            True,
        )

    def test_a_variable_reaches_its_cells_alone(self, report: Report) -> None:
        assert cell_of(report, "fragile@keras-3.5.0+variable").verdict == "identical"
        assert cell_of(report, "steady@keras-3.5.0").verdict == "identical"

    def test_a_cell_that_agrees_is_not_searched(self, report: Report) -> None:
        for name in ("steady@keras-3.5.0", "fragile@keras-3.5.0+variable"):
            assert not [
                finding for finding in cell_of(report, name).findings if finding.check == "workarounds"
            ]

    def test_it_can_be_turned_off(self, project: Path) -> None:
        cell = cell_of(run(project, "search: false"), "fragile@keras-3.5.0")
        assert not [finding for finding in cell.findings if finding.check == "workarounds"]

    def test_it_ends_when_time_is_up(self, project: Path) -> None:
        cell = cell_of(run(project, "seconds: 0.01, jit: [], attention: []"), "fragile@keras-3.5.0")
        assert [trial.setting for trial in trials(cell, "workaround")] == ["STEADY=1"]  # costs no time
        late = {trial.setting: trial.failure for trial in trials(cell, "workaround-not-run")}
        failure = late["kind: steady"]
        assert failure is not None
        assert failure.stage == "timeout"

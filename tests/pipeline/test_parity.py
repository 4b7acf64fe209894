"""The search for a way out: what is tried in which order, and that what is reported was really run."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, share_environments
from validator.config.load import parse
from validator.config.settings import Parity, Settings
from validator.diagnose.parity import Moved, Tried, findings, placed, trials, ways_out
from validator.matrix import Cell, Plan, Variant, make_plan
from validator.pipeline.capture import Run
from validator.pipeline.parity import search_parity
from validator.pipeline.project import open_project
from validator.pipeline.run_folder import RunFolder
from validator.results import Accuracy, CellResult, CellVerdict, MetricResult, Report, WayOut

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


def plan_of(backend: str = "tensorflow") -> tuple[Plan, Settings]:
    settings = parse(TEXT.replace("BACKEND", backend), "validator.yml")
    return make_plan(settings, ()), settings


def moved(plan: Plan, settings: Settings, policy: str | None = "bfloat16", jit: bool = False) -> Moved:
    cell = next(cell for cell in plan.cells if cell.environment != plan.baseline and not cell.variant.name)
    return Moved(cell, settings.models[0], policy, jit)


def written(found: Moved, plan: Plan, parity: Parity, **verdicts: CellVerdict) -> list[str]:
    by_id = {f"m@{found.cell.environment}+{name}": verdict for name, verdict in verdicts.items()}
    return [trial.setting for trial in trials(found, parity, plan, by_id)]


class TestWhatIsTried:
    def test_the_matrix_first_then_the_cheap_then_the_wide(self) -> None:
        plan, settings = plan_of()
        assert written(moved(plan, settings), plan, Parity(), float32="changed") == [
            "precision: float32",
            "attention: causal",
            "jit: on",
            "precision: mixed_bfloat16",
            "precision: mixed_float16",
            "precision: float64",
        ]

    def test_an_axis_that_the_matrix_solves_is_not_searched(self) -> None:
        plan, settings = plan_of()
        found = written(moved(plan, settings), plan, Parity(), float32="identical")
        assert found == ["precision: float32", "attention: causal", "jit: on"]

    def test_what_changed_in_a_wide_precision_is_not_tried_in_a_narrow_one(self) -> None:
        plan, settings = plan_of()
        assert written(moved(plan, settings, "float32", jit=True), plan, Parity()) == [
            "attention: causal",
            "jit: off",
            "precision: float64",
        ]
        asked = Parity(precision=("bfloat16", "as-saved"), jit=(), attention=())
        assert written(moved(plan, settings, "float32"), plan, asked) == [
            "attention: causal",
            "precision: bfloat16",
        ]

    def test_what_either_side_cannot_run_is_not_tried(self) -> None:
        # flash attention: not in 3.3.3; float64: not on JAX
        plan, settings = plan_of("jax")
        assert written(moved(plan, settings, "float32"), plan, Parity()) == ["attention: causal", "jit: on"]
        plan, settings = plan_of("torch")
        assert written(moved(plan, settings, "mixed_bfloat16"), plan, Parity()) == [
            "precision: float32",
            "attention: causal",
            "precision: float64",
        ]

    def test_a_cell_keeps_its_other_axes(self) -> None:
        plan, settings = plan_of()
        cell = Cell("m", "keras-3.9.0", Variant("float32", "on", setting="causal"))
        found = trials(Moved(cell, settings.models[0], "float32", True), Parity(), plan, {})
        assert [trial.cell.variant.name for trial in found] == [
            "float32+jit-off+causal",
            "float64+jit-on+causal",
        ]


def result(verdict: CellVerdict, accuracy: float | None = None) -> CellResult:
    found = None
    if accuracy is not None:
        metric = MetricResult(
            metric="accuracy", output="o", samples=9, baseline=accuracy, candidate=0.5, delta=0.0
        )
        found = Accuracy(metrics=(metric,))
    return CellResult(cell="m@e", environment="e", variant="", verdict=verdict, message="", accuracy=found)


class TestWhatIsSaid:
    def tried(self, verdict: CellVerdict | None, reason: str = "") -> Tried:
        plan, settings = plan_of()
        trial = trials(moved(plan, settings), Parity(), plan, {})[0]
        return Tried(trial, None if verdict is None else result(verdict, 0.727), reason)

    @pytest.mark.parametrize(
        ("verdict", "word"),
        [("identical", "identical"), ("rounding", "rounding"), ("metric-only", "same predictions")],
    )
    def test_a_way_out_says_what_it_does_to_the_baseline(self, verdict: CellVerdict, word: str) -> None:
        (way,) = ways_out(result("changed", 0.723), [self.tried(verdict)])
        effect = "the baseline's accuracy 0.723 → 0.727"
        assert way.message == f"`precision: float32` (verified here: {word}; {effect})"
        assert (way.axis, way.value, way.cell) == ("precision", "float32", "m@keras-3.9.0+float32")

    @pytest.mark.parametrize("verdict", ["changed", "suspicious", "failed", "not-compared"])
    def test_what_does_not_agree_is_no_way_out(self, verdict: CellVerdict) -> None:
        tried = [self.tried(verdict)]
        assert ways_out(result("changed"), tried) == ()
        (finding,) = findings((), tried)
        assert finding.message == f"no way out: `precision: float32` ({verdict})"

    def test_what_was_not_run_is_said_too(self) -> None:
        (finding,) = findings((), [self.tried(None, "no time")])
        assert finding.message == "not tried to the end: `precision: float32` (no time)"
        assert findings((), []) == ()

    def test_a_way_out_of_one_environment_alone_names_it(self) -> None:
        way = WayOut(
            axis="jit", value="off", setting="jit: off", cell="x", verdict="identical", message="way"
        )
        here, there = Cell("m", "one", Variant()), Cell("m", "two", Variant())
        other = Cell("n", "one", Variant())
        assert placed({here: (way,), there: (way,), other: ()})[here] == (way,)
        (alone,) = placed({here: (way,), there: ()})[here]
        assert alone.message == "`jit: off` (verified in `one`: identical)"


CONFIG = """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
parity: {jit: [], attention: []}
models:
  - name: fragile
    builder: "parity_models:build"
    inputs: inputs.npz
    matrix: {setting: [as-saved, variable]}
    settings:
      broken: {builder_arguments: {kind: broken}}
      useless: {builder_arguments: {kind: useless}}
      argument: {builder_arguments: {kind: steady}}
      variable: {variables: {STEADY: "1"}}
  - {name: steady, builder: "parity_models:environment_is_untouched", inputs: inputs.npz}
"""


@dataclasses.dataclass(frozen=True)
class Finished:
    run: Run
    report: Report


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("project")
    (folder / "parity_models.py").write_text(Path(__file__).with_name("parity_models.py").read_text())
    np.savez(folder / "inputs.npz", x=np.linspace(0, 1, 40, dtype=np.float32).reshape(10, 4))
    config = folder / "validator.yml"
    config.write_text(CONFIG)
    share_environments(folder)
    command = [sys.executable, "-m", "validator", "run", "--config", str(config), "--json"]
    done = subprocess.run(
        [*command, "--output", str(folder / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    report = Report.model_validate(json.loads(done.stdout))
    output = RunFolder(folder / "run")
    written_by = json.loads(output.status("keras-3.3.3").read_text())["run"]
    return Finished(Run(open_project(config), output, written_by), report)


def cell_of(report: Report, cell: str) -> CellResult:
    return next(found for model in report.models for found in model.cells if found.cell == cell)


@pytest.mark.environment
class TestRealRuns:
    def test_every_setting_that_brings_parity_back_was_run(self, finished: Finished) -> None:
        cell = cell_of(finished.report, "fragile@keras-3.5.0")
        assert cell.verdict == "changed"
        assert [(way.setting, way.verdict, way.baseline_max_abs == 0) for way in cell.ways_out] == [
            ("STEADY=1", "identical", True),  # a cell of the matrix
            ("kind: steady", "identical", True),
            ("precision: float64", "identical", False),
        ]
        assert [found.message for found in cell.findings if found.kind == "way-out"] == [
            way.message for way in cell.ways_out
        ]
        assert cell.ways_out[1].message == (
            "`kind: steady` (verified here: identical; the baseline stays as it is)"
        )

    def test_what_was_tried_in_vain_is_said(self, finished: Finished) -> None:
        cell = cell_of(finished.report, "fragile@keras-3.5.0")
        (finding,) = [found for found in cell.findings if found.kind == "parity"]
        assert finding.message == (
            "no way out: `kind: useless` (changed); not tried to the end: `kind: broken` (in the baseline "
            "load failed: nobody builds it like this (parity_models:build))"
        )

    def test_a_variable_reaches_its_cells_alone(self, finished: Finished) -> None:
        assert cell_of(finished.report, "fragile@keras-3.5.0+variable").verdict == "identical"
        assert cell_of(finished.report, "steady@keras-3.5.0").verdict == "identical"

    def test_a_cell_that_agrees_is_not_searched(self, finished: Finished) -> None:
        for name in ("steady@keras-3.5.0", "fragile@keras-3.5.0+variable"):
            cell = cell_of(finished.report, name)
            assert cell.ways_out == ()
            assert not [found for found in cell.findings if found.kind in {"way-out", "parity"}]

    def test_it_can_be_turned_off(self, finished: Finished) -> None:
        bare = self.without_ways(finished.report)
        assert search_parity(self.with_parity(finished.run, Parity(search=False)), bare) == bare

    def test_it_ends_when_time_is_up(self, finished: Finished) -> None:
        bare = self.without_ways(finished.report)
        hurried = Parity(seconds=0.01, jit=(), attention=())
        cell = cell_of(search_parity(self.with_parity(finished.run, hurried), bare), "fragile@keras-3.5.0")
        assert [way.setting for way in cell.ways_out] == ["STEADY=1"]  # the matrix costs no time
        (finding,) = [found for found in cell.findings if found.kind == "parity"]
        assert "`kind: steady` (it ran out of time in the baseline" in finding.message

    @staticmethod
    def without_ways(report: Report) -> Report:
        models = [
            model.model_copy(
                update={
                    "cells": tuple(
                        cell.model_copy(update={"ways_out": (), "findings": ()}) for cell in model.cells
                    )
                }
            )
            for model in report.models
        ]
        return report.model_copy(update={"models": tuple(models)})

    @staticmethod
    def with_parity(run: Run, parity: Parity) -> Run:
        settings = run.project.settings.model_copy(update={"parity": parity})
        return dataclasses.replace(run, project=dataclasses.replace(run.project, settings=settings))

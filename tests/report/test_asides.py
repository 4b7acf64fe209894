"""Decoding and training that are not green: in the row, the counts, the headline, annotations and JUnit."""

from __future__ import annotations

import pytest

from validator.checks.accuracy.types import EvaluateFailedFinding
from validator.checks.decode.types import DecodeVerdict
from validator.checks.protocol import Finding
from validator.checks.training.types import TrainingVerdict
from validator.failure import Failure
from validator.github.annotations import annotations_of
from validator.github.edition import Edition
from validator.report import junit, markdown
from validator.report.content import Content, Row
from validator.report.lines import lines
from validator.report.phrases import unmarked
from validator.report.words import registered_words, run
from validator.report.words.cell import result
from validator.verdict.gate import judge_run
from validator.verdict.results import CellResult, ModelResult, Report
from validator.verdict.results import EnvironmentResult as Environment

MOVED = TrainingVerdict(verdict="changed", steps=10)


def cell(*findings: Finding, verdict: str = "identical", where: str = "keras-3.5.0") -> CellResult:
    return CellResult.model_validate(
        {"cell": f"m@{where}", "environment": where, "variant": "", "verdict": verdict, "findings": findings}
    )


def report(*cells: CellResult) -> Report:
    names = ("keras-3.3.3", *(each.environment for each in cells))
    return Report(
        verdict="warn",
        reasons=(),
        baseline="keras-3.3.3",
        environments=tuple(Environment(name=name) for name in names),
        models=(ModelResult(name="m", cells=cells),),
        tool="0",
    )


def content(*cells: CellResult) -> Content:
    return Content(report(*cells), registered_words())


@pytest.mark.parametrize(
    ("finding", "state", "words"),
    [
        (MOVED, "bad", "identical; training changes"),
        (TrainingVerdict(verdict="suspicious"), "warn", "identical; training drifts beyond noise"),
        (TrainingVerdict(verdict="metric-only"), "warn", "identical; training reports another metric"),
        (TrainingVerdict(verdict="not-compared"), "unknown", "identical; training was not compared"),
        (DecodeVerdict(verdict="failed"), "bad", "identical; decoding fails"),
        (DecodeVerdict(verdict="rounding"), "good", "identical"),
    ],
)
def test_a_row_is_green_only_where_all_of_it_is(finding: Finding, state: str, words: str) -> None:
    row = Row("m", cell(finding), registered_words())
    assert (row.state, row.green, unmarked(result(row))) == (state, state == "good", words)


def test_the_counts_tell_cells_apart_by_their_training() -> None:
    cells = (cell(MOVED), cell(MOVED, where="legacy"), cell(where="keras-3.8.0"), cell(verdict="rounding"))
    assert run.counted(content(*cells)) == "1 rounding, 2 identical (training changes), 1 identical"


def test_the_headline_names_what_moved_and_only_where_it_did() -> None:
    page = content(cell(MOVED), cell(where="keras-3.8.0"))
    assert run.headline(page) == "Training changes, predictions are identical"
    assert unmarked(run.compared(page)) == "keras-3.5.0 against keras-3.3.3"
    both = content(cell(MOVED, verdict="changed"))
    assert run.headline(both) == "Predictions change, training changes"


def test_where_nothing_differs_every_environment_is_named() -> None:
    page = content(cell(), cell(where="keras-3.8.0"))
    assert unmarked(run.compared(page)) == "keras-3.5.0 and keras-3.8.0 against keras-3.3.3"


def test_the_summary_says_that_predictions_hold_and_training_does_not() -> None:
    first, *_ = run.summary(content(cell(MOVED)))
    assert unmarked(first) == "m predicts the same in keras-3.5.0, but training changes."


def test_the_worst_of_a_cell_is_annotated_and_in_junit() -> None:
    moved = report(cell(MOVED), cell(where="legacy"))
    (annotation,) = annotations_of(Edition(moved, lambda *_: "", ""))
    assert annotation.title == "m in keras-3.5.0: changed"
    assert junit.dump(moved).count("<system-out>") == 1


def test_an_evaluate_that_raises_in_the_candidate_is_not_green() -> None:
    dead = Failure(stage="predict", error="ValueError", message="no")
    broken = EvaluateFailedFinding(side="candidate", failure=dead)
    assert Row("m", cell(broken), registered_words()).state == "bad"
    of_both = cell(broken, EvaluateFailedFinding(side="baseline", failure=dead))
    assert Row("m", of_both, registered_words()).state == "good"


def test_cells_with_another_training_are_no_line_of_those_that_hold() -> None:
    kept = lines(content(cell(MOVED), cell(where="legacy")).rows)
    assert [line.places for line in kept] == [("keras-3.5.0",), ("legacy",)]


@pytest.mark.parametrize("verdict", [TrainingVerdict, DecodeVerdict])
def test_what_was_not_reached_is_the_reason_and_no_cell_is_said_to_be_lost(
    verdict: type[TrainingVerdict | DecodeVerdict],
) -> None:
    late = Failure(stage="unreached", error="", message="the time limit of this run is over")
    whole = report(cell(verdict(verdict="not-compared", failure=late)))
    decided, reasons = judge_run(whole.models)
    inconclusive = whole.model_copy(update={"verdict": decided, "reasons": reasons})
    told = markdown.summary(inconclusive)
    assert "was not compared: the time limit of this run is over" in told
    assert "the baseline fails" not in told
    assert "says nothing about" not in told

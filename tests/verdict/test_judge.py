"""What a judged cell amounts to where a side's capture cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.checks.outputs.output_cases import OLD, capture, subject
from validator.checks.protocol import Evidence
from validator.config.settings import Gate
from validator.failure import Failure, Stage
from validator.verdict.gate import EXIT_CODES, apply_gate, baseline_failed, judge_run, with_restored
from validator.verdict.judge import judge_cell
from validator.verdict.results import CellResult, ModelResult, Report, Verdict


def judged(folder: Path) -> CellResult:
    about = subject()
    label = CellResult(
        cell="m@candidate", environment="candidate", variant="", verdict="not-compared", reproduce="run"
    )
    left, right = (
        Evidence(cell, capture(folder / side, {"output": OLD}))
        for cell, side in ((about.baseline, "baseline"), (about.cell, "candidate"))
    )
    for side in ("baseline", "candidate"):
        if (folder / f"torn-{side}").exists():
            array = folder / side / "output.npy"
            array.write_bytes(array.read_bytes()[:-4])
    return apply_gate(judge_cell(about, left, right, label).result, Gate())


def exit_code(cell: CellResult) -> int:
    verdict, _ = judge_run([ModelResult(name="m", cells=(cell,))])
    return int(EXIT_CODES[verdict])


def test_an_array_of_the_baseline_that_cannot_be_read_is_the_baselines_failure(tmp_path: Path) -> None:
    (tmp_path / "torn-baseline").touch()
    cell = judged(tmp_path)
    assert baseline_failed(cell)
    assert (cell.verdict, exit_code(cell)) == ("not-compared", 3)


def test_one_of_the_candidate_breaks_the_gate(tmp_path: Path) -> None:
    (tmp_path / "torn-candidate").touch()
    cell = judged(tmp_path)
    assert not baseline_failed(cell)
    assert (cell.verdict, exit_code(cell)) == ("not-compared", 1)


def test_arrays_that_can_be_read_are_compared(tmp_path: Path) -> None:
    assert np.isfinite(OLD).all()
    assert judged(tmp_path).verdict == "identical"


@pytest.mark.parametrize("stage", ["unreached", "tampered"])
def test_what_was_not_reached_or_changed_afterwards_says_nothing(tmp_path: Path, stage: Stage) -> None:
    """Neither is the upgrade's doing, so that the gate does not fail on it; but nothing is green either."""
    about = subject()
    label = CellResult(cell="m@candidate", environment="candidate", variant="", verdict="not-compared")
    baseline = Evidence(about.baseline, capture(tmp_path / "baseline", {"output": OLD}))
    lost = Failure(stage=stage, error="", message="the time limit of this run is over")
    cell = apply_gate(judge_cell(about, baseline, lost, label).result, Gate())
    fine = cell.model_copy(
        update={"cell": "n@candidate", "verdict": "identical", "failure": None, "findings": ()}
    )
    assert (cell.verdict, cell.gated, exit_code(cell)) == ("not-compared", (), 3)
    verdict, reasons = judge_run([ModelResult(name="m", cells=(cell, fine))])
    assert verdict == "inconclusive"
    assert [reason.cell for reason in reasons] == ["m@candidate"]


@pytest.mark.parametrize(
    ("before", "after"), [("pass", "inconclusive"), ("warn", "inconclusive"), ("fail", "fail")]
)
def test_a_run_in_which_something_wrote_to_the_jobs_files_is_not_green(before: Verdict, after: str) -> None:
    report = Report(verdict=before, reasons=(), baseline="b", environments=(), models=(), tool="1")
    assert with_restored(report, ()) == report
    restored = with_restored(report, ("GITHUB_OUTPUT",))
    assert restored.verdict == after
    assert [(reason.kind, reason.files) for reason in restored.reasons] == [
        ("step-files", ("GITHUB_OUTPUT",))
    ]

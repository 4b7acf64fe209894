"""What fails the gate, what only warns, and when nothing can be said about an upgrade."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from validator.checks.accuracy.types import AccuracyComparison, EvaluateFailedFinding, UnscoredFinding
from validator.checks.decode.types import DecodeVerdict
from validator.checks.loading.types import BaselineFailed, CellFailed, LeftoverFinding, NoteFinding
from validator.checks.outputs.types import NondeterministicFinding
from validator.checks.protocol import Finding
from validator.checks.training.types import TrainingVerdict
from validator.config.settings import Gate
from validator.failure import Failure, WeightsAccount
from validator.numbers.metrics import MetricResult
from validator.upgrade import ModelReason
from validator.verdict.gate import EXIT_CODES, apply_gate, judge_run, worst_first
from validator.verdict.results import CellResult, Comparisons, ModelResult, Reason

DEAD = Failure(stage="load", error="ValueError", message="dead")


def cell(verdict: str, name: str = "m@e", **more: object) -> CellResult:
    return CellResult.model_validate(
        {"cell": name, "environment": "e", "variant": "", "verdict": verdict, **more}
    )


def metric(value: float | None, *, worse: bool = False) -> Comparisons:
    scored = MetricResult(
        metric="auc", output="o", samples=1, baseline=value, candidate=value, delta=None, worse=worse
    )
    return Comparisons(accuracy=AccuracyComparison(metrics=(scored,)))


def run(*cells: CellResult, gate: Gate | None = None) -> tuple[str, int, tuple[Reason, ...]]:
    gated = tuple(apply_gate(judged, gate or Gate()) for judged in cells)
    verdict, reasons = judge_run([ModelResult(name="m", cells=gated)])
    return verdict, int(EXIT_CODES[verdict]), reasons


@pytest.mark.parametrize(
    ("verdict", "expected", "code"),
    [
        ("identical", "pass", 0),
        ("rounding", "pass", 0),
        ("suspicious", "warn", 0),
        ("metric-only", "warn", 0),
        ("changed", "fail", 1),
        ("failed", "fail", 1),
        ("not-compared", "fail", 1),
    ],
)
def test_the_default_gate(verdict: str, expected: str, code: int) -> None:
    assert run(cell(verdict))[:2] == (expected, code)


def test_a_gate_that_only_reports_warns() -> None:
    verdict, code, reasons = run(cell("changed"), gate=Gate(fail_on=()))
    assert (verdict, code) == ("warn", 0)
    assert reasons == (Reason(kind="cell", cell="m@e", rules=("changed",)),)


def test_an_unusable_baseline_is_inconclusive_and_no_pass_of_any_gate() -> None:
    baseless = cell("not-compared", findings=(BaselineFailed(failure=DEAD),))
    assert run(baseless, cell("identical"))[:2] == ("inconclusive", 3)
    assert run(baseless, gate=Gate(fail_on=()))[:2] == ("inconclusive", 3)
    assert run(baseless, cell("changed"))[:2] == ("fail", 1)


def test_what_fails_on_both_sides_is_not_the_upgrades_doing() -> None:
    findings = (CellFailed(failure=DEAD, verdict="failed"), BaselineFailed(failure=DEAD))
    assert run(cell("failed", findings=findings))[:2] == ("inconclusive", 3)


def test_nothing_compared_is_inconclusive_where_the_gate_lets_it_pass() -> None:
    assert run(cell("not-compared"), gate=Gate(fail_on=()))[:2] == ("inconclusive", 3)
    assert run() == ("inconclusive", 3, (Reason(kind="nothing-compared"),))


def test_worse_accuracy_fails_even_when_the_numbers_are_only_rounding() -> None:
    verdict, code, reasons = run(cell("rounding", checks=metric(0.5, worse=True)))
    assert (verdict, code) == ("fail", 1)
    assert reasons[0].rules == ("accuracy",)


def test_a_metric_that_was_asked_for_and_not_scored_is_no_plain_pass() -> None:
    unfit = cell("identical", findings=(UnscoredFinding(reason="labels fit no output"),))
    assert run(unfit)[:2] == ("fail", 1)
    single = cell("identical", findings=(UnscoredFinding(metric="auc", output="o", reason="one class"),))
    assert run(single)[:2] == ("warn", 0)


def test_nondeterminism_can_be_gated() -> None:
    shaky = cell("suspicious", findings=(NondeterministicFinding(side="candidate", outputs=()),))
    assert run(shaky)[:2] == ("warn", 0)
    assert run(shaky, gate=Gate(fail_on=("nondeterministic",)))[:2] == ("fail", 1)


def test_what_was_lost_beside_the_prediction_is_no_plain_pass() -> None:
    lost = NoteFinding(kind="tasks-lost", side="candidate", note="tasks", text="the noise was lost")
    account = WeightsAccount(file="w.weights.h5", variables=4, unused=("layers/a/vars/0",), unused_count=1)
    unused = LeftoverFinding(kind="tensors-not-used", side="both", weights=account)
    predict = NoteFinding(kind="own-predict", side="baseline", note="predict", text="it is not called")
    for finding in (lost, unused, predict):
        verdict, code, reasons = run(cell("rounding", findings=(finding,)))
        assert (verdict, code) == ("warn", 0)
        assert [reason.cell for reason in reasons] == ["m@e"]


def training(verdict: str, **facts: object) -> TrainingVerdict:
    return TrainingVerdict.model_validate({"verdict": verdict, **facts})


def decoding(verdict: str, **facts: object) -> DecodeVerdict:
    return DecodeVerdict.model_validate({"verdict": verdict, **facts})


@pytest.mark.parametrize(
    ("finding", "rules"),
    [
        (training("changed"), ("training",)),
        (training("failed", failure=DEAD), ("training",)),
        (decoding("changed"), ("decode",)),
        (decoding("failed", failure=DEAD), ("decode",)),
        (decoding("not-compared", obstacle="vocabulary", vocabularies=(8, 9)), ("not-compared",)),
        (training("not-compared", step_counts=(3, 2)), ("not-compared",)),
        (EvaluateFailedFinding(side="candidate", failure=DEAD), ("failed",)),
    ],
)
def test_green_predictions_hide_nothing_else_that_was_asked_for(
    finding: Finding, rules: tuple[str, ...]
) -> None:
    verdict, code, reasons = run(cell("identical", findings=(finding,)))
    assert (verdict, code) == ("fail", 1)
    assert [(reason.cell, reason.rules) for reason in reasons] == [("m@e", rules)]
    assert run(cell("identical", findings=(finding,)), gate=Gate(fail_on=()))[:2] == ("warn", 0)


@pytest.mark.parametrize("check", [training, decoding])
@pytest.mark.parametrize(
    ("verdict", "expected"), [("identical", "pass"), ("rounding", "pass"), ("suspicious", "warn")]
)
def test_training_and_decoding_are_judged_as_predictions_are(
    check: Callable[[str], Finding], verdict: str, expected: str
) -> None:
    aside = cell("identical", findings=(check(verdict),))
    assert run(aside)[0] == expected
    strict = run(aside, gate=Gate(fail_on=("suspicious",)))[0]
    assert strict == ("fail" if verdict == "suspicious" else expected)


def test_a_training_that_only_reports_another_metric_warns() -> None:
    reports = cell("identical", findings=(training("metric-only"),))
    assert run(reports)[:2] == ("warn", 0)
    assert run(reports, gate=Gate(fail_on=("metric-only",)))[:2] == ("fail", 1)


@pytest.mark.parametrize("finding", [training, decoding])
def test_a_training_or_decode_that_fails_in_the_baseline_is_not_the_upgrades_doing(
    finding: Callable[..., Finding],
) -> None:
    verdict, code, reasons = run(cell("identical", findings=(finding("not-compared", failure=DEAD),)))
    assert (verdict, code) == ("warn", 0)
    assert [(reason.cell, reason.rules) for reason in reasons] == [("m@e", ())]


@pytest.mark.parametrize("finding", [training, decoding])
def test_a_training_or_decode_that_was_not_reached_says_nothing(finding: Callable[..., Finding]) -> None:
    cut = finding("not-compared", failure=Failure(stage="unreached", error="", message="the time is over"))
    verdict, code, reasons = run(cell("identical", findings=(cut,)))
    assert (verdict, code) == ("inconclusive", 3)
    assert [reason.cell for reason in reasons] == ["m@e"]
    assert run(cell("changed", findings=(cut,)))[:2] == ("fail", 1)


def test_an_evaluate_that_fails_on_both_sides_is_not_the_upgrades_doing() -> None:
    both = tuple(EvaluateFailedFinding(side=side, failure=DEAD) for side in ("baseline", "candidate"))
    for findings in (both, both[:1]):  # what it would have reported was not compared: no plain pass
        assert run(cell("identical", findings=findings))[:2] == ("warn", 0)


def test_the_worst_cell_comes_first() -> None:
    cells = [cell("rounding", "m@a"), cell("changed", "m@b"), cell("changed", "m@c", gated=("changed",))]
    assert [judged.cell for judged in worst_first(cells)] == ["m@c", "m@b", "m@a"]


def test_the_models_own_change_may_warn_where_an_upgrade_fails() -> None:
    own, gate = cell("changed", effect="model"), Gate(model_changes="warn")
    assert run(own)[:2] == ("fail", 1)
    assert run(own, gate=gate)[:2] == ("warn", 0)
    for effect in ("packages", "both", None):
        assert run(own, cell("changed", effect=effect), gate=gate)[:2] == ("fail", 1)


@pytest.mark.parametrize(("state", "kind"), [("added", "model-added"), ("removed", "model-removed")])
def test_a_model_without_a_counterpart_is_no_plain_pass(state: str, kind: str) -> None:
    change = ModelReason.model_validate({"model": "m", "state": state})
    reason = Reason.model_validate({"kind": kind, "model": "m"})
    assert judge_run((), [change]) == ("warn", (reason,))
    held = ModelResult(name="n", cells=(cell("identical"),))
    assert judge_run([held], [change]) == ("warn", (reason,))
    assert judge_run([held], [ModelReason(model="n", state="changed")]) == ("pass", ())

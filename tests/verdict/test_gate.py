import pytest

from validator.config.settings import Gate
from validator.results import Accuracy, CellResult, Finding, MetricResult, ModelResult
from validator.verdict import apply_gate, judge_run
from validator.verdict.gate import BASELINE, EXIT_CODES, LOST, UNSCORED


def cell(verdict: str, **more: object) -> CellResult:
    return CellResult.model_validate(
        {"cell": "m@e", "environment": "e", "variant": "", "verdict": verdict, "message": "so it is", **more}
    )


def metric(value: float | None, *, worse: bool = False) -> Accuracy:
    scored = MetricResult(
        metric="auc",
        output="o",
        samples=1,
        baseline=value,
        candidate=value,
        delta=None,
        worse=worse,
        message="one class",
    )
    return Accuracy(metrics=(scored,))


def run(*cells: CellResult, gate: Gate | None = None) -> tuple[str, int, tuple[str, ...]]:
    gated = tuple(apply_gate(one, gate or Gate()) for one in cells)
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
    assert run(cell("changed"), gate=Gate(fail_on=()))[:2] == ("warn", 0)


def test_an_unusable_baseline_is_inconclusive_and_no_pass_of_any_gate() -> None:
    baseless = cell("not-compared", findings=(Finding(kind=BASELINE, message="dead"),))
    assert run(baseless, cell("identical"))[:2] == ("inconclusive", 3)
    assert run(baseless, gate=Gate(fail_on=()))[:2] == ("inconclusive", 3)
    assert run(baseless, cell("changed"))[:2] == ("fail", 1)


def test_nothing_compared_is_inconclusive_where_the_gate_lets_it_pass() -> None:
    assert run(cell("not-compared"), gate=Gate(fail_on=()))[:2] == ("inconclusive", 3)
    assert run()[:2] == ("inconclusive", 3)


def test_worse_accuracy_fails_even_when_the_numbers_are_only_rounding() -> None:
    assert run(cell("rounding", accuracy=metric(0.5, worse=True)))[:2] == ("fail", 1)


def test_a_metric_that_was_asked_for_and_not_scored_is_no_plain_pass() -> None:
    verdict, code, reasons = run(cell("identical", accuracy=metric(None)))
    assert (verdict, code) == ("warn", 0)
    assert reasons == ("m@e: `auc` was not scored: one class",)
    unfit = cell("identical", findings=(Finding(kind=UNSCORED, message="labels fit no output"),))
    assert run(unfit)[:2] == ("fail", 1)


def test_chance_can_be_gated() -> None:
    shaky = cell("suspicious", findings=(Finding(kind="nondeterministic", message="dropout"),))
    assert run(shaky)[:2] == ("warn", 0)
    assert run(shaky, gate=Gate(fail_on=("nondeterministic",)))[:2] == ("fail", 1)


def test_what_was_lost_beside_the_prediction_is_no_plain_pass() -> None:
    lost = cell("rounding", findings=(Finding(kind=LOST, message="the noise was lost"),))
    verdict, code, reasons = run(lost)
    assert (verdict, code, reasons) == ("warn", 0, ("m@e: the noise was lost",))

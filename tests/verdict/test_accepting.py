"""What an acceptance covers, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from tests.verdict.acceptance_cases import (
    AFTER,
    BEFORE,
    CHANGED,
    DEAD,
    TODAY,
    Case,
    accept,
    accuracy,
    cell,
    environment,
    first,
    output,
)
from validator.checks.accuracy.types import (
    EvaluateFailedFinding,
    MetricOnlyFinding,
    MetricResult,
    ReportedMetric,
    UnscoredFinding,
)
from validator.checks.decode.types import DecodeComparison, DecodeVerdict
from validator.checks.layers.types import Cause, FirstDifference, FurtherCause, MoreCauses
from validator.checks.loading.types import BaselineFailed, CellFailed, NoteFinding
from validator.checks.outputs.types import (
    NondeterministicFinding,
    ObstacleFinding,
    ReferenceFinding,
)
from validator.checks.protocol import Finding
from validator.checks.structure.types import LayerCall
from validator.checks.training.drift import LayerName
from validator.checks.training.types import DriftAmount, ForwardDiffers, TrainingVerdict
from validator.config.settings import Gate
from validator.verdict.acceptances import Acceptance, Proposal
from validator.verdict.accepting import Register, moves
from validator.verdict.bands import ACCEPTED_REPORT, ACCEPTED_TIMES
from validator.verdict.gate import apply_gate, judge_run
from validator.verdict.results import CellResult, ModelResult


def kinds(case: Case) -> list[str]:
    """Whether the cell is accepted, or why not, by the kinds of what is missed."""
    judged, notes = case.settled()
    if judged.accepted:
        return ["accepted"]
    return [each.kind for note in notes for each in note.misses] or [note.kind for note in notes]


def test_without_an_acceptance_a_change_fails() -> None:
    assert Case(CHANGED).verdict() == ("fail", 1)


def test_an_accepted_cell_keeps_its_verdict_and_the_run_warns() -> None:
    case = Case(CHANGED, (accept(),))
    judged, notes = case.settled()
    assert (judged.verdict, judged.gated, notes) == ("changed", (), ())
    assert judged.accepted is not None
    assert (judged.accepted.by, judged.accepted.reason) == ("Ada", "the new kernel is right")
    assert case.verdict() == ("warn", 0)


def test_the_gate_leaves_an_accepted_cell_alone_when_it_is_applied_again() -> None:
    judged, _ = Case(CHANGED, (accept(),)).settled()
    assert apply_gate(judged, Gate()) == judged


def test_it_never_makes_another_cell_green() -> None:
    other = CHANGED.model_copy(update={"cell": "m@head+float32"})
    gated = tuple(apply_gate(each, Gate()) for each in (CHANGED, other))
    (model,), _ = Register((accept(),)).settled(
        [ModelResult(name="m", cells=gated)], Case(CHANGED).environments, TODAY
    )
    assert [bool(each.accepted) for each in model.cells] == [True, False]
    assert judge_run([model])[0] == "fail"


FELL = (accuracy(-0.1, worse=True),)


def now(*findings: Finding, metrics: tuple[MetricResult, ...] = FELL) -> CellResult:
    """The accepted cell's drift and layers with something else beside them."""
    return cell("changed", output(100), first(), *findings, metrics=metrics)


def instead(*findings: Finding) -> CellResult:
    return cell("changed", *findings, metrics=FELL)


_ONE = FirstDifference(cause=Cause(layer="scaled", class_name="Scaled", differs="value"))
_CONFIRMS = ReferenceFinding(kind="reference-confirms", policy=None, change="semantic")
_MORE = MoreCauses(layers=(LayerCall(layer="x", class_name="Y"),))
_EMPTY = ObstacleFinding(verdict="not-compared", obstacles=())
RESULTS: dict[str, tuple[CellResult, list[str]]] = {
    "the same": (CHANGED, ["accepted"]),
    "within the margin": (instead(output(149), first()), ["accepted"]),
    "a metric within its margin": (now(metrics=(accuracy(-0.105, worse=True),)), ["accepted"]),
    "milder": (
        cell("suspicious", output(2, "suspicious"), first(), metrics=(accuracy(0.0),)),
        ["accepted"],
    ),
    "a layer less": (instead(output(100), _ONE), ["accepted"]),
    "more drift": (instead(output(151), first()), ["measure"]),
    "drift over no noise": (instead(output(float("inf")), first()), ["measure"]),
    "a metric that falls further": (now(metrics=(accuracy(-0.12, worse=True),)), ["metric"]),
    "a metric that vanished": (now(metrics=()), ["gone"]),
    "another metric that falls": (
        now(metrics=(*FELL, accuracy(-0.1, worse=True, name="auc"))),
        ["finding"],
    ),
    "another output": (now(output(3, name="mask")), ["finding"]),
    "another rule": (instead(output(100, rule="structure"), first()), ["finding"]),
    "another layer": (instead(output(100), first("top")), ["finding"]),
    "a further layer": (now(first("top", FurtherCause)), ["finding"]),
    "more layers": (now(_MORE), ["finding"]),
    "an unknown layer": (instead(output(100)), ["gone"]),
    "another kind of change": (now(_CONFIRMS), ["finding"]),
    "training that changes": (now(TrainingVerdict(verdict="changed")), ["finding"]),
    "randomness": (now(NondeterministicFinding(side="candidate", outputs=())), ["finding"]),
    "a failure": (cell("failed", CellFailed(failure=DEAD, verdict="failed")), ["refused"]),
    "nothing compared": (cell("not-compared", _EMPTY), ["refused"]),
    "a failing baseline": (
        cell("not-compared", BaselineFailed(failure=DEAD, verdict="not-compared")),
        ["refused"],
    ),
    "training that fails": (now(TrainingVerdict(verdict="failed", failure=DEAD)), ["refused"]),
    "an evaluate that fails": (now(EvaluateFailedFinding(side="candidate", failure=DEAD)), ["refused"]),
    "metrics that were not scored": (now(UnscoredFinding(reason="no labels fit")), ["refused"]),
    "a changed model": (CHANGED.model_copy(update={"effect": "both"}), ["refused"]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_is_covered_and_what_is_not(name: str) -> None:
    judged, expected = RESULTS[name]
    case = Case(judged, (accept(),))
    assert kinds(case) == expected
    covered = expected == ["accepted"]
    assert (case.settled()[0].accepted is not None) == covered
    if not covered:
        assert case.verdict()[1] in (1, 3)


def test_a_worse_class_of_verdict_is_not_covered() -> None:
    doubtful = cell("suspicious", output(2, "suspicious"))
    now = cell("changed", output(2.9, "changed"))
    assert kinds(Case(doubtful, (accept(doubtful),))) == ["accepted"]
    assert kinds(Case(now, (accept(doubtful),))) == ["verdict", "finding"]


def test_a_milder_verdict_does_not_hide_what_is_worse_beside_it() -> None:
    training = TrainingVerdict(verdict="suspicious")
    before = cell("changed", output(100), training)
    after = cell("changed", output(100), TrainingVerdict(verdict="changed"))
    assert kinds(Case(after, (accept(before),))) == ["finding"]


_OTHERS = {name: release for name, release in AFTER.items() if name != "tensorflow-cpu"}
OTHER_PACKAGES: dict[str, tuple[dict[str, str], bool]] = {
    "the same": (AFTER, True),
    "a build for another machine": ({**_OTHERS, "tensorflow": "2.17.1"}, True),
    "what cannot move numbers": (AFTER | {"rich": "15.0", "pytest": "9"}, True),
    "libraries of one platform": (AFTER | {"nvidia-cudnn-cu12": "9.1", "triton": "3.0"}, True),
    "the label of a build": (AFTER | {"numpy": "1.26.4+mkl"}, True),
    "another release": (AFTER | {"keras": "3.6.0"}, False),
    "one package more": (AFTER | {"numpy": "2.0.0"}, False),
    "a transitive package": (AFTER | {"ml-dtypes": "0.4.0"}, False),
    "one package less": ({k: v for k, v in AFTER.items() if k != "numpy"}, False),
    "nothing": (BEFORE, False),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_PACKAGES)
def test_it_holds_for_one_upgrade(name: str) -> None:
    packages, same = OTHER_PACKAGES[name]
    assert kinds(Case(CHANGED, (accept(),), packages=packages)) == ["accepted" if same else "other-upgrade"]


@pytest.mark.parametrize(
    ("more", "moved_to"),
    [
        ({}, {"keras": "3.3.3 -> 3.5.0"}),
        ({"python": "3.12.1"}, {"keras": "3.3.3 -> 3.5.0", "python": "3.11 -> 3.12"}),
        ({"python": "3.11.9"}, {"keras": "3.3.3 -> 3.5.0"}),
        ({"backend": "jax"}, {"backend": "tensorflow -> jax", "keras": "3.3.3 -> 3.5.0"}),
        ({"keras": "tf_keras 2.17.0"}, {"keras": "3.3.3 -> 3.5.0", "module": "keras -> tf_keras"}),
    ],
)
def test_what_identifies_an_upgrade(more: dict[str, str], moved_to: dict[str, str]) -> None:
    assert moves(environment("base", BEFORE), environment("head", AFTER, **more)) == moved_to


def test_packages_of_the_configuration_identify_it_too() -> None:
    sides = (
        environment("base", BEFORE | {"acme-layers": "1"}),
        environment("head", AFTER | {"acme-layers": "2"}),
    )
    assert "acme-layers" not in moves(*sides)
    assert moves(*sides, ("acme-*",))["acme-layers"] == "1 -> 2"


def test_libraries_of_a_platform_are_the_upgrade_where_nothing_else_is() -> None:
    cuda = [
        environment(name, BEFORE | {"nvidia-cudnn-cu12": release})
        for name, release in (("b", "8"), ("h", "9"))
    ]
    assert moves(*cuda) == {"nvidia-cudnn-cu12": "8 -> 9"}


def test_an_upgrade_of_a_group_is_accepted_whole() -> None:
    group = AFTER | {"numpy": "2.0.0"}
    proposal = Case(CHANGED, packages=group).proposal()
    assert isinstance(proposal, Proposal)
    entry = accept().model_copy(update={"packages": proposal.packages})
    assert kinds(Case(CHANGED, (entry,), packages=group)) == ["accepted"]
    assert kinds(Case(CHANGED, (entry,))) == ["other-upgrade"]


@pytest.mark.parametrize(
    ("until", "expected"),
    [(None, "accepted"), (date(2026, 11, 28), "accepted"), (date(2026, 11, 27), "expired")],
)
def test_it_holds_through_its_last_day(until: date | None, expected: str) -> None:
    case = Case(CHANGED, (accept(until=until),))
    assert kinds(case) == [expected]
    assert case.verdict() == (("warn", 0) if expected == "accepted" else ("fail", 1))


@pytest.mark.parametrize("until", [None, date(2026, 11, 27)])
def test_one_that_nothing_needs_is_reported(until: date | None) -> None:
    holds = cell("rounding", output(0.5, "rounding"))
    case = Case(holds, (accept(until=until),))
    assert kinds(case) == ["expired" if until else "unused"]
    assert case.verdict() == ("pass", 0)


def test_one_of_another_cell_or_an_upgrade_of_the_past_is_not_mentioned_where_all_holds() -> None:
    holds = cell("identical")
    past = accept(packages={"keras": "3.0.0 -> 3.3.3"})
    assert Case(holds, (past, accept().model_copy(update={"cell": "m@legacy"}))).settled()[1] == ()


def test_of_several_upgrades_the_latest_is_named() -> None:
    old = accept(packages={"keras": "3.0.0 -> 3.1.0"}, created=date(2025, 1, 1), by="Old")
    new = accept(packages={"keras": "3.1.0 -> 3.3.3"}, created=date(2026, 1, 1), by="New")
    _, notes = Case(CHANGED, (new, old)).settled()
    assert [(each.kind, each.by) for each in notes] == [("other-upgrade", "New")]


def test_another_model_is_not_covered() -> None:
    entry = accept()
    judged = CHANGED.model_copy(update={"cell": "other@head"})
    (model,), notes = Register((entry,)).settled(
        [ModelResult(name="other", cells=(apply_gate(judged, Gate()),))], Case(CHANGED).environments, TODAY
    )
    assert (model.cells[0].accepted, notes) == (None, ())


def test_a_model_that_is_gone_is_reported() -> None:
    assert kinds(Case(cell("identical"), (accept(),), unknown=frozenset({"m@head"})))[0] == "unknown-model"


@pytest.mark.parametrize(
    ("before", "adds"),
    [
        (None, None),
        (lambda entry: (entry,), None),
        (lambda _: (), "added"),
        (lambda entry: (entry.model_copy(update={"until": date(2030, 1, 1)}),), "changed"),
        (lambda entry: (entry.model_copy(update={"packages": {"keras": "1 -> 2"}}),), "added"),
    ],
)
def test_what_the_pull_request_itself_adds_is_marked(
    before: Callable[[Acceptance], tuple[Acceptance, ...]] | None, adds: str | None
) -> None:
    entry = accept()
    judged, _ = Case(CHANGED, (entry,), before(entry) if before else None).settled()
    assert judged.accepted is not None
    assert judged.accepted.adds == adds


REFUSED: dict[str, CellResult] = {
    "holds": cell("identical"),
    "failed": cell("failed", CellFailed(failure=DEAD, verdict="failed")),
    "not-compared": cell("not-compared"),
    "unscored": cell("identical", UnscoredFinding(reason="no labels fit")),
    "model": CHANGED.model_copy(update={"effect": "model"}),
    "no-finding": cell("changed"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_accepted(why: str) -> None:
    assert Case(REFUSED[why]).proposal() == why


def test_without_an_upgrade_there_is_nothing_to_hold_to() -> None:
    assert Case(CHANGED, packages=BEFORE).proposal() == "no-upgrade"


def test_what_was_lost_beside_an_accepted_result_still_warns() -> None:
    lost = NoteFinding(kind="tasks-lost", side="candidate", note="tasks", text="the noise was lost")
    judged = cell("changed", output(100), first(), lost)
    assert Case(judged, (accept(judged),)).verdict() == ("warn", 0)


def test_the_digest_has_names_and_bounds_and_nothing_of_the_machine() -> None:
    entry = accept()
    assert entry.packages == {"keras": "3.3.3 -> 3.5.0"}
    assert [(each.check, each.kind, each.of) for each in entry.findings] == [
        ("outputs", "noise", ("output",)),
        ("layers", "value", ("scaled (Scaled)", "scaled_1 (Scaled)")),
        ("accuracy", "metric-worse", ("accuracy", "output")),
    ]
    assert entry.findings[0].drift == pytest.approx(100 * ACCEPTED_TIMES)
    assert entry.metrics == {"accuracy": pytest.approx(0.11)}


MEASURED: dict[str, tuple[CellResult, dict[str, float]]] = {
    "drift": (cell("changed", output(100)), {"drift": 100 * ACCEPTED_TIMES}),
    "no noise": (cell("changed", output(float("inf"))), {"max_abs": 0.5 * ACCEPTED_TIMES}),
    "a tolerance": (cell("changed", output(9, rule="tolerance")), {"max_abs": 0.75, "elements": 18}),
    "a structure": (cell("changed", output(9, rule="structure")), {}),
    "a report": (
        cell("metric-only", MetricOnlyFinding(
            verdict="metric-only", reported=ReportedMetric(name="acc", baseline=0.6, candidate=0.1)
        )),
        {"difference": 0.5 * ACCEPTED_REPORT},
    ),
    "decoding": (
        cell("identical", DecodeVerdict(verdict="changed"),
             checks={"decode": DecodeComparison(noise_ratio=7.0)}),
        {"drift": 10.5},
    ),
    "training": (
        cell("identical", ForwardDiffers(
            verdict="changed", layer=LayerName(name="d", class_name="Dense"),
            amount=DriftAmount(finite=True, ratio=8.0),
        )),
        {"drift": 12.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_the_bound_is_on_the_number_that_the_verdict_uses(name: str) -> None:
    judged, expected = MEASURED[name]
    entry = accept(judged)
    assert entry.findings[0].measures == pytest.approx(expected)
    assert kinds(Case(judged, (entry,))) == ["accepted"]


@pytest.mark.parametrize(
    ("metric", "bound"),
    [
        (accuracy(-0.1, worse=True), 0.11),
        (accuracy(0.05), 0.01),
        (accuracy(0.3, worse=True, higher_is_better=False), 0.31),
        (accuracy(0.3, directed=False), 0.31),
    ],
)
def test_a_metric_may_be_worse_by_what_the_gate_does_not_call_a_loss(
    metric: MetricResult, bound: float
) -> None:
    entry = accept(cell("changed", output(100), metrics=(metric,)))
    assert entry.metrics == {"accuracy": pytest.approx(bound)}

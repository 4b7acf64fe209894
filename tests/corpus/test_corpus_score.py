"""The arithmetic of the printed table, and the fixed rules, on values that are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.corpus.case import Case, Change, Model, Pair
from bench.corpus.rules import RULES
from bench.corpus.score import OURS, Outcome, Share, misses, outcome, table
from validator.checks.bands import CellVerdict
from validator.checks.layers.types import Cause, FirstDifference
from validator.checks.outputs.types import ReferenceFinding
from validator.checks.protocol import Finding
from validator.checks.structure.types import StructuralDifference, StructureFinding
from validator.failure import Failure
from validator.verdict.results import CellResult

MODEL = Model("model", "networks:mlp", "vectors")
PAIR = Pair("keras-3.3.3", "keras-3.5.0")


def case(change: Change | None) -> Case:
    return Case(MODEL, PAIR, change, "a test")


def result(verdict: CellVerdict, **more: object) -> CellResult:
    label = CellResult(cell="model@keras-3.5.0", environment="keras-3.5.0", variant="", verdict=verdict)
    return label.model_copy(update=more)


def first(layer: str, differs: str = "value", change: str | None = None) -> tuple[Finding, ...]:
    cause = Cause.model_validate({"layer": layer, "class_name": "Dense", "differs": differs})
    reference = ReferenceFinding.model_validate(
        {"kind": "reference-confirms", "policy": None, "change": change}
    )
    return (FirstDifference(cause=cause), reference)


VALUE = Change("predictions", "dense", frozenset({"value"}), precision=False)


@pytest.mark.parametrize(
    ("layer", "right"),
    [
        ("dense", True),
        ("dense/inner", True),
        ("dense_1", False),
        ("other/dense", False),
    ],
)
def test_a_layer_is_right_where_it_is_the_one_or_inside_of_it(layer: str, right: bool) -> None:
    found = outcome(case(VALUE), result("changed", findings=first(layer, change="semantic")), {})
    assert found.layer is right
    assert found.kind is True


@pytest.mark.parametrize(
    ("kind", "change", "right"),
    [
        ("value", "semantic", True),
        ("value", "precision", False),
        ("value", None, False),
        ("mask", "semantic", False),
    ],
)
def test_a_kind_is_that_of_the_first_difference_and_that_of_the_change(
    kind: str, change: str | None, right: bool
) -> None:
    said = result("changed", findings=first("dense", kind, change))
    assert outcome(case(VALUE), said, {}).kind is right


def test_what_is_green_is_not_seen_and_names_nothing() -> None:
    found = outcome(case(VALUE), result("rounding"), {"other": True})
    assert (found.alarms, found.layer, found.kind) == ({OURS: False, "other": True}, False, False)
    assert misses([found]) == [f"{found.identity} – not seen, layer, kind: rounding"]


@pytest.mark.parametrize(
    ("verdict", "alarm"),
    [
        ("identical", False),
        ("rounding", False),
        ("suspicious", True),
        ("changed", True),
        ("not-compared", True),
    ],
)
def test_a_benign_pair_is_a_false_alarm_unless_it_is_green(verdict: CellVerdict, alarm: bool) -> None:
    found = outcome(case(None), result(verdict), {})
    assert found.alarms[OURS] is alarm
    assert (found.layer, found.kind) == (None, None)


def test_a_reported_metric_is_of_its_kind_only_with_its_verdict() -> None:
    told = case(Change("metric"))
    assert outcome(told, result("metric-only"), {}).kind is True
    changed = outcome(told, result("changed"), {})
    assert (changed.alarms[OURS], changed.kind, changed.layer) == (True, False, None)


@pytest.mark.parametrize(("stage", "right"), [("load", True), ("predict", True), ("crash", False)])
def test_a_failure_is_right_at_its_stage(stage: str, right: bool) -> None:
    failure = Failure.model_validate({"stage": stage, "error": "TypeError", "message": "no"})
    assert outcome(case(Change("failure")), result("failed", failure=failure), {}).kind is right


def test_structure_that_no_number_shows_is_seen_by_its_finding() -> None:
    hidden = case(Change("structure", "dense"))
    difference = StructuralDifference(
        layer="dense", class_name="Dense", kind="configuration", call=1, name="units", before=3, after=4
    )
    told = StructureFinding(difference=difference)
    found = outcome(hidden, result("identical", findings=(told,)), {})
    assert (found.alarms[OURS], found.layer, found.kind) == (True, True, True)
    silent = outcome(hidden, result("identical"), {})
    assert (silent.alarms[OURS], silent.layer, silent.kind) == (False, False, False)


def row(
    changed: bool, ours: bool, other: bool, layer: bool | None = None, kind: bool | None = None
) -> Outcome:
    return Outcome("case", "dev", changed, {OURS: ours, "other": other}, layer, kind, "said")


def test_the_table_counts_over_those_it_speaks_of() -> None:
    outcomes = [
        row(True, ours=True, other=False, layer=True, kind=True),
        row(True, ours=True, other=True, layer=False, kind=True),
        row(True, ours=False, other=False, kind=False),
        row(False, ours=False, other=True),
        row(False, ours=True, other=True),
    ]
    mine, other = table(outcomes)
    assert (mine.recall, mine.false_alarms) == (Share(2, 3), Share(1, 2))
    assert (mine.layer, mine.kind) == (Share(1, 2), Share(2, 3))
    assert (other.recall, other.false_alarms) == (Share(1, 3), Share(2, 2))
    assert (other.layer, other.kind) == (Share(0, 0), Share(0, 0))
    assert str(mine.recall) == "2/3 (67 %)"
    assert str(other.layer) == "–"


@given(st.lists(st.builds(row, st.booleans(), st.booleans(), st.booleans(), st.none(), st.none())))
def test_every_case_is_counted_once(outcomes: list[Outcome]) -> None:
    for line in table(outcomes):
        assert line.recall.whole + line.false_alarms.whole == len(outcomes)
        wrong = sum(one.alarms[line.who] != one.changed for one in outcomes)
        assert line.recall.whole - line.recall.part + line.false_alarms.part == wrong


def passing(baseline: float, candidate: float, dtype: str = "float32") -> set[str]:
    sides = np.array([baseline]), np.array([candidate])
    return {name for name, rule in RULES.items() if rule(*sides, dtype)}


NUMPY, TORCH, LOOSE, KERAS, POLYGRAPHY = RULES


@pytest.mark.parametrize(
    ("baseline", "candidate", "dtype", "expected"),
    [
        (1.0, 1.0, "float32", set(RULES)),
        (1.0, 1.0 + 1.9e-6, "float32", set(RULES)),
        (1.0, 1.0 + 2.1e-6, "float32", set(RULES) - {KERAS}),
        (1.0, 1.0 + 1.2e-5, "float32", {LOOSE}),
        (1000.0, 1000.0 + 9e-3, "float32", {NUMPY, LOOSE, POLYGRAPHY}),
        (1e-7, 9e-7, "float32", {TORCH, LOOSE, KERAS, POLYGRAPHY}),
        (1.0, 1.01, "bfloat16", {TORCH}),
        (1.0, 1.0021, "float32", set()),
        (np.nan, np.nan, "float32", set(RULES)),
        (np.inf, np.inf, "float32", set(RULES)),
        (0.0, np.nan, "float32", set()),
        (3.0, 4.0, "int32", set()),
    ],
)
def test_the_fixed_rules_are_those_of_their_tools(
    baseline: float, candidate: float, dtype: str, expected: set[str]
) -> None:
    assert passing(baseline, candidate, dtype) == expected

"""Cells, environments, entries and reports of runs in which something is accepted. Numbers are invented."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.report.cases import moved
from validator.checks.accuracy.types import (
    AccuracyComparison,
    MetricResult,
    MetricWorseFinding,
)
from validator.checks.bands import CellVerdict
from validator.checks.layers.types import Cause, FirstDifference, FurtherCause
from validator.checks.outputs.types import (
    OutputFinding,
    OutputNumbers,
    OutputRule,
    OutputsComparison,
)
from validator.checks.protocol import Finding
from validator.checks.structure.types import LayerCall
from validator.config.settings import Gate, Tolerance
from validator.failure import Failure
from validator.numbers.distance import PairProblem, TensorComparison
from validator.upgrade.types import PackageChange, Upgrade
from validator.verdict.acceptances import Acceptance, AcceptanceNote, Proposal
from validator.verdict.accepting import Register, propose, with_moves
from validator.verdict.gate import EXIT_CODES, apply_gate, judge_run
from validator.verdict.results import CellResult, Comparisons, EnvironmentResult, ModelResult, Report

TODAY = date(2026, 11, 28)
DEAD = Failure(stage="load", error="ValueError", message="dead")
BEFORE = {"keras": "3.3.3", "tensorflow-cpu": "2.17.1", "numpy": "1.26.4", "rich": "13.0"}
AFTER = BEFORE | {"keras": "3.5.0", "rich": "14.0"}


def environment(name: str, packages: dict[str, str] | None = None, **more: Any) -> EnvironmentResult:
    known = {"python": "3.11.7", "backend": "tensorflow", "keras": "keras 3.5.0"} | more
    return EnvironmentResult(name=name, packages=AFTER if packages is None else packages, **known)


def output(
    times: float, verdict: CellVerdict = "changed", name: str = "output", rule: OutputRule = "noise"
) -> OutputFinding:
    pair = TensorComparison(
        name=name,
        baseline_dtype="float32",
        candidate_dtype="float32",
        baseline_shape=(9, 3),
        candidate_shape=(9, 3),
        compared=True,
        size=27,
        mismatched=12,
        tolerance=Tolerance(rtol=1e-5, atol=1e-6),
        max_abs=0.5,
        problems=(PairProblem(kind="dtype"),) if rule == "structure" else (),
    )
    drift = moved(times) if rule in ("noise", "units", "chaos") else None
    numbers = OutputNumbers(name=name, comparison=pair, drift=drift)
    return OutputFinding(verdict=verdict, output=name, rule=rule, numbers=numbers)


def first(layer: str = "scaled", kind: type[FirstDifference | FurtherCause] = FirstDifference) -> Finding:
    cause = Cause(layer=layer, class_name="Scaled", differs="value", ratio=90.0)
    return kind(cause=cause, alike=(LayerCall(layer=f"{layer}_1", class_name="Scaled"),))


def accuracy(delta: float, *, worse: bool = False, name: str = "accuracy", **more: Any) -> MetricResult:
    return MetricResult(
        metric=name, output="output", baseline=0.9, candidate=0.9 + delta, delta=delta, worse=worse,
        margin=0.01, **more,
    )  # fmt: skip


def cell(
    verdict: CellVerdict, *findings: Finding, metrics: tuple[MetricResult, ...] = (), **more: Any
) -> CellResult:
    worse = tuple(MetricWorseFinding(result=each) for each in metrics if each.worse)
    outputs = tuple(each.numbers for each in findings if isinstance(each, OutputFinding))
    checks = {"outputs": OutputsComparison(outputs=outputs), "accuracy": AccuracyComparison(metrics=metrics)}
    values: dict[str, Any] = {"cell": "m@head", "environment": "head", "variant": "", "verdict": verdict}
    values |= {"findings": (*findings, *worse), "checks": Comparisons(**checks | more.pop("checks", {}))}
    return CellResult.model_validate(values | more)


CHANGED = cell("changed", output(100), first(), metrics=(accuracy(-0.1, worse=True),))


@dataclass(frozen=True)
class Case:
    """A run of one cell with a register."""

    judged: CellResult
    entries: tuple[Acceptance, ...] = ()
    before: tuple[Acceptance, ...] | None = None
    packages: dict[str, str] = field(default_factory=lambda: AFTER)
    today: date = TODAY
    unknown: frozenset[str] = frozenset()

    @property
    def environments(self) -> tuple[EnvironmentResult, ...]:
        sides = environment("base", BEFORE, role="baseline"), environment("head", self.packages)
        return with_moves(sides, "base", ())

    def settled(self) -> tuple[CellResult, tuple[AcceptanceNote, ...]]:
        gated = apply_gate(self.judged, Gate())
        register = Register(self.entries, self.before, self.unknown)
        (model,), notes = register.settled(
            [ModelResult(name="m", cells=(gated,))], self.environments, self.today
        )
        return model.cells[0], notes

    def verdict(self) -> tuple[str, int]:
        judged, _ = self.settled()
        verdict, _ = judge_run([ModelResult(name="m", cells=(judged,))])
        return verdict, int(EXIT_CODES[verdict])

    def proposal(self) -> Proposal | str:
        report = Report(
            verdict="fail", reasons=(), baseline="base", environments=self.environments, models=(), tool=""
        )
        return propose(report, "m", self.judged)


def accept(judged: CellResult = CHANGED, **more: Any) -> Acceptance:
    proposal = Case(judged).proposal()
    assert isinstance(proposal, Proposal), proposal
    people = {"reason": "the new kernel is right", "by": "Ada", "created": TODAY}
    return Acceptance(**dict(proposal) | people | more)


def report(
    *entries: Acceptance,
    judged: CellResult = CHANGED,
    before: tuple[Acceptance, ...] | None = None,
    names: tuple[str, ...] = ("m",),
) -> Report:
    """A run of models that all came to the same, with a register of these entries."""
    sides = with_moves((environment("base", BEFORE, role="baseline"), environment("head")), "base", ())
    cells = [judged.model_copy(update={"cell": f"{name}@head"}) for name in names]
    made = [
        ModelResult(name=name, cells=(apply_gate(each, Gate()),))
        for name, each in zip(names, cells, strict=True)
    ]
    settled, notes = Register(entries, before).settled(made, sides, TODAY)
    verdict, reasons = judge_run(settled)
    change = PackageChange(name="keras", old="3.3.3", new="3.5.0")
    return Report(
        verdict=verdict, reasons=reasons, baseline="base", environments=sides, models=settled,
        upgrade=Upgrade(changes=(change,), relevant=True), tool="1", configuration="validator.yml",
        started="2026-11-28T11:00:00+00:00", acceptances=notes, acceptance_file="keras-acceptances.yml",
    )  # fmt: skip

"""Whether a cell's result is what somebody has accepted: never a worse one, another finding or upgrade."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from validator.checks.accuracy.types import AccuracyComparison, UnscoredFinding
from validator.checks.bands import CellVerdict
from validator.numbers.metrics import MetricResult
from validator.upgrade.relevant import PREFIXES, Relevance
from validator.verdict.acceptances import (
    Acceptance,
    AcceptanceNote,
    Accepted,
    AcceptedFinding,
    Miss,
    Proposal,
)
from validator.verdict.bands import ACCEPTED_REPORT, ACCEPTED_TIMES, ASIDE, GREEN, SEVERITY
from validator.verdict.digest import digest
from validator.verdict.gate import baseline_failed, broken_rules, check_verdict, evaluate_broken, overall
from validator.verdict.results import CellResult, EnvironmentResult, ModelResult, Report

#: Why a cell cannot be accepted. `holds`: there is nothing to accept. `failed`, `not-compared`, `unscored`:
#: nothing was measured. `model`: the model itself changed. `no-upgrade`: nothing that can move numbers did.
Refusal = Literal["holds", "failed", "not-compared", "unscored", "model", "no-upgrade", "no-finding"]
#: The check that says where a difference starts.
_LOCATES = "layers"
#: Builds of one package for several platforms: an acceptance holds for all of them.
_BUILDS = {
    **dict.fromkeys(
        (
            *("tensorflow-cpu", "tensorflow-gpu", "tensorflow-intel", "tensorflow-macos", "tensorflow-rocm"),
            *("tensorflow-cpu-aws", "intel-tensorflow"),
        ),
        "tensorflow",
    ),
    "tf-nightly-cpu": "tf-nightly",
}
#: What one platform installs beside its build. It counts where nothing else moves.
_PLATFORM = frozenset(
    {"triton", "pytorch-triton", "intel-openmp", "mkl", "tbb", "libclang", "tensorflow-io-gcs-filesystem"}
)


def moves(
    baseline: EnvironmentResult, candidate: EnvironmentResult, relevant: Sequence[str] = ()
) -> dict[str, str]:
    """What an environment has otherwise than its baseline, of all that can move numbers: `old -> new`.

    What is installed counts, so a lock and a manifest that lead to the same packages are the same upgrade.
    """
    relevance = Relevance.of(tuple(relevant))
    before, after = _identity(baseline, relevance), _identity(candidate, relevance)
    names = sorted(before.keys() | after.keys())
    moved = {
        name: f"{before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in names
        if before.get(name) != after.get(name)
    }
    own = {name: move for name, move in moved.items() if not _of_platform(name)}
    return own or moved


def _identity(environment: EnvironmentResult, relevance: Relevance) -> dict[str, str]:
    """What an environment computes with; versions without the label of a build (`2.3.0+cpu`)."""
    packages = {
        _BUILDS.get(name, name): version.partition("+")[0]
        for name, version in environment.packages.items()
        if name in relevance
    }
    facts = {
        "python": ".".join(environment.python.split(".")[:2]),
        "backend": environment.backend,
        "module": environment.keras.partition(" ")[0],
    }
    return packages | {name: fact for name, fact in facts.items() if fact}


def _of_platform(name: str) -> bool:
    return name in _PLATFORM or name.startswith(PREFIXES)


def with_moves(
    environments: Sequence[EnvironmentResult], baseline: str, relevant: Sequence[str]
) -> tuple[EnvironmentResult, ...]:
    """The environments, each with what it has otherwise than the baseline."""
    before = next((each for each in environments if each.name == baseline and each.packages), None)
    if before is None:
        return tuple(environments)
    return tuple(
        each.model_copy(update={"moved": moves(before, each, relevant)}) if each.packages else each
        for each in environments
    )


def propose(report: Report, model: str, cell: CellResult) -> Proposal | Refusal:
    """What an acceptance of a cell of a report would hold to, or why there can be none."""
    return _propose(model, cell, _moved(report.environments).get(cell.environment, {}))


def _moved(environments: Sequence[EnvironmentResult]) -> dict[str, dict[str, str]]:
    return {each.name: each.moved for each in environments}


def _propose(model: str, cell: CellResult, packages: Mapping[str, str]) -> Proposal | Refusal:
    why = _refusal(cell)
    if why is None and not packages:
        why = "no-upgrade"
    if why is not None:
        return why
    findings = digest(cell)
    if not findings:
        return "no-finding"
    return Proposal(
        cell=cell.cell,
        model=model,
        packages=dict(packages),
        verdict=overall(cell),
        findings=tuple(_widened(each) for each in findings),
        metrics={name: _rounded_up(max(loss, 0.0) + margin) for name, loss, margin in _losses(cell)},
    )


def _refusal(cell: CellResult) -> Refusal | None:
    """Why a cell cannot be accepted whatever the packages. What was not measured can never be."""
    asides = {check_verdict(cell, check) for check in ASIDE}
    if cell.verdict == "failed" or "failed" in asides or evaluate_broken(cell):
        return "failed"
    if cell.verdict == "not-compared" or "not-compared" in asides or baseline_failed(cell):
        return "not-compared"
    if any(isinstance(each, UnscoredFinding) and not each.metric for each in cell.findings):
        return "unscored"
    if cell.effect in ("model", "both"):
        return "model"
    return "holds" if overall(cell) in GREEN and not broken_rules(cell) else None


def _widened(finding: AcceptedFinding) -> AcceptedFinding:
    """A finding with room above what was measured: another machine's noise is not quite the same."""
    room: dict[str, float | int] = {}
    for measure, value in finding.measures.items():
        if measure == "elements":
            room[measure] = math.ceil(value * ACCEPTED_TIMES)
        else:
            room[measure] = _rounded_up(
                value * (ACCEPTED_REPORT if measure == "difference" else ACCEPTED_TIMES)
            )
    return finding.model_copy(update=room)


def _rounded_up(value: float) -> float:
    """Three digits, upwards."""
    if value == 0 or not math.isfinite(value):
        return value
    digits = 2 - math.floor(math.log10(abs(value)))
    step = 10.0**-digits
    return float(f"{math.ceil(value / step - 1e-9) * step:.3g}")


def _losses(cell: CellResult) -> Iterator[tuple[str, float, float]]:
    """Each metric with values on both sides: its name, by how much it is worse, and what the gate allows."""
    for name, metric in _metrics(cell).items():
        if metric.delta is not None and math.isfinite(metric.delta):
            yield name, _loss(metric), metric.margin if math.isfinite(metric.margin) else 0.0


def _metrics(cell: CellResult) -> dict[str, MetricResult]:
    comparison = cell.comparison(AccuracyComparison)
    metrics = comparison.metrics if comparison else ()
    alone = {each.metric for each in metrics if sum(other.metric == each.metric for other in metrics) == 1}
    return {
        each.metric if each.metric in alone else f"{each.metric} of {each.output}": each for each in metrics
    }


def _loss(metric: MetricResult) -> float:
    """By how much a metric is worse; where nobody knows which way is better, by how much it moved."""
    delta = metric.delta or 0.0
    if not metric.directed:
        return abs(delta)
    return -delta if metric.higher_is_better else delta


def misses(acceptance: Acceptance, cell: CellResult) -> Iterator[Miss]:
    """In what a result is not the accepted one; nothing where it is covered. Packages are not looked at."""
    why = _refusal(cell)
    if why is not None:
        yield Miss(kind="refused", what=why)
        return
    if _severity(overall(cell)) > _severity(acceptance.verdict):
        yield Miss(kind="verdict", what=overall(cell))
    measured = digest(cell)
    for finding in measured:
        yield from _beyond(acceptance, finding)
    # A difference whose layers were accepted, and are not known this time, may start at another layer.
    if _LOCATES in {each.check for each in acceptance.findings} - {each.check for each in measured}:
        yield Miss(kind="gone", what=_LOCATES)
    losses = {name: loss for name, loss, _ in _losses(cell)}
    for name, bound in acceptance.metrics.items():
        if name not in losses:
            yield Miss(kind="gone", what=name)
        elif losses[name] > bound:
            yield Miss(kind="metric", what=name, measured=losses[name], bound=bound)


def _beyond(acceptance: Acceptance, measured: AcceptedFinding) -> Iterator[Miss]:
    """What of a finding was not accepted."""
    alike = [
        each for each in acceptance.findings if (each.check, each.kind) == (measured.check, measured.kind)
    ]
    accepted = next((each for each in alike if {*measured.of} <= {*each.of}), None)
    if accepted is None:
        known = {name for each in alike for name in each.of}
        others = tuple(name for name in measured.of if name not in known) or measured.of
        yield Miss(kind="finding", what=_named(measured, others))
        return
    if _severity(measured.verdict) > _severity(accepted.verdict):
        yield Miss(kind="finding", what=_named(measured, (*measured.of, measured.verdict or "")))
    for measure, value in measured.measures.items():
        bound = accepted.measures.get(measure)
        if bound is None or value > bound:
            what = ", ".join(measured.of) or measured.check
            yield Miss(kind="measure", what=what, measure=measure, measured=value, bound=bound)


def _named(finding: AcceptedFinding, names: Sequence[str]) -> str:
    """`layers: value of attention_1`."""
    return f"{finding.check}: {finding.kind}{f' of {chr(44).join(names)}' if names else ''}"


def _severity(verdict: CellVerdict | None) -> int:
    return SEVERITY.index(verdict or "identical")


@dataclass(frozen=True)
class Register:
    """The acceptances that count for a run.

    Attributes:
        entries: of the file.
        before: those of the file at the base; None where no commits are compared.
        unknown: ids of entries whose model validator.yml does not have.
        relevant: packages that can move numbers beside the known ones, as `upgrade.relevant` has them.
    """

    entries: tuple[Acceptance, ...] = ()
    before: tuple[Acceptance, ...] | None = None
    unknown: frozenset[str] = frozenset()
    relevant: tuple[str, ...] = ()

    def settled(
        self, models: Sequence[ModelResult], environments: Sequence[EnvironmentResult], today: date
    ) -> tuple[tuple[ModelResult, ...], tuple[AcceptanceNote, ...]]:
        """The models with what is accepted of their cells, and what became of all other acceptances.

        A cell keeps its verdict; the gate does not fail for one that is accepted. `today`: in UTC.
        """
        moved = _moved(environments)
        notes = [_note("unknown-model", each) for each in self.entries if each.cell in self.unknown]
        settled = []
        for model in models:
            cells = []
            for cell in model.cells:
                case = _Case(model.name, cell, moved.get(cell.environment, {}), today)
                accepted, more = self._cell(case)
                cells.append(
                    cell.model_copy(update={"gated": (), "accepted": accepted}) if accepted else cell
                )
                notes += more
            settled.append(model.model_copy(update={"cells": tuple(cells)}))
        return tuple(settled), tuple(notes)

    def _cell(self, case: _Case) -> tuple[Accepted | None, list[AcceptanceNote]]:
        own = [each for each in self.entries if (each.model, each.cell) == (case.model, case.cell.cell)]
        entry = next((each for each in own if each.packages == dict(case.packages)), None)
        if entry is None:
            latest = max(own, key=lambda each: each.created, default=None)
            return None, [_note("other-upgrade", latest)] if latest and not case.holds else []
        if entry.until is not None and entry.until < case.today:
            return None, [_note("expired", entry)]
        if case.holds:
            return None, [_note("unused", entry)]
        missed = tuple(misses(entry, case.cell))
        if missed:
            return None, [_note("exceeded", entry, missed)]
        return self._accepted(entry), []

    def _accepted(self, entry: Acceptance) -> Accepted:
        adds: Literal["added", "changed"] | None = None
        if self.before is not None and entry not in self.before:
            adds = "changed" if entry.target in {each.target for each in self.before} else "added"
        return Accepted(reason=entry.reason, by=entry.by, created=entry.created, until=entry.until, adds=adds)


@dataclass(frozen=True)
class _Case:
    """A judged cell, what its environment has otherwise, and the day."""

    model: str
    cell: CellResult
    packages: Mapping[str, str]
    today: date

    @property
    def holds(self) -> bool:
        return _refusal(self.cell) == "holds"


def _note(
    kind: Literal["expired", "exceeded", "other-upgrade", "unused", "unknown-model"],
    entry: Acceptance,
    missed: tuple[Miss, ...] = (),
) -> AcceptanceNote:
    return AcceptanceNote(
        kind=kind, cell=entry.cell, packages=entry.packages, by=entry.by, until=entry.until, misses=missed
    )

"""The digest of a cell's findings: what differs, by names and rules, with the numbers that have bounds.

What depends on the machine is left out: noise, samples, times, paths, positions, texts of errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

from validator.checks.accuracy.types import MetricOnlyFinding, MetricWorseFinding
from validator.checks.decode.types import DecodeComparison, DecodeVerdict
from validator.checks.layers.types import Cause, FirstDifference, FurtherCause, MoreCauses
from validator.checks.outputs.types import (
    NondeterministicFinding,
    OutputFinding,
    OutputNumbers,
    ReferenceFinding,
)
from validator.checks.protocol import Finding
from validator.checks.structure.types import LayerCall
from validator.checks.training.types import TrainingCause
from validator.text import plain
from validator.verdict.acceptances import AcceptedFinding
from validator.verdict.bands import GREEN
from validator.verdict.results import CellResult

_LONGEST = 200  # characters of a name
#: Rules that decide by drift ÷ noise; of all others the values that differ are counted.
_BY_DRIFT = frozenset({"noise", "units", "chaos"})
#: Rules that no number belongs to: they say all themselves.
_WITHOUT_NUMBERS = frozenset({"missing", "extra", "renamed", "structure"})
#: What float64 says of a change: the same computation in another precision, or another computation.
_CHANGES = {"semantic": "another-computation", "precision": "another-precision"}


def digest(cell: CellResult) -> tuple[AcceptedFinding, ...]:
    """Everything that differs in a cell, with what was measured; the layers that differ alike together."""
    findings = [each for finding in cell.findings for each in _digest(finding, cell)]
    grouped: dict[tuple[str, str, str], AcceptedFinding] = {}
    for finding in findings:
        # Outputs and metrics have bounds of their own; layers are many.
        apart = "" if finding.check == "layers" else ", ".join(finding.of)
        key = finding.check, finding.kind, apart
        before = grouped.get(key)
        names = dict.fromkeys((*before.of, *finding.of) if before else finding.of)
        grouped[key] = finding.model_copy(update={"of": tuple(names)})
    return tuple(grouped.values())


def _digest(finding: Finding, cell: CellResult) -> Iterator[AcceptedFinding]:
    for kind, read in _READERS:
        if isinstance(finding, kind):
            yield from read(finding, cell)
            return
    if finding.verdict is not None and finding.verdict not in GREEN:
        yield _plain(finding)


class _Numbers(TypedDict, total=False):
    """What is measured of a finding."""

    drift: float
    max_abs: float
    elements: int
    difference: float


def _drift(ratio: float | None) -> _Numbers:
    return {"drift": ratio} if ratio is not None and math.isfinite(ratio) else {}


def _plain(finding: Finding, *names: str, kind: str = "", numbers: _Numbers | None = None) -> AcceptedFinding:
    side = getattr(finding, "side", "")
    of = tuple(plain(name, _LONGEST) for name in (*names, side) if name)
    return AcceptedFinding(
        check=finding.check, kind=kind or finding.kind, of=of, verdict=finding.verdict, **(numbers or {})
    )


def _output(finding: OutputFinding, _: CellResult) -> Iterator[AcceptedFinding]:
    if finding.verdict in GREEN:
        return
    own, numbers = finding.numbers, _Numbers()
    problems = own.comparison.problems if finding.rule == "structure" and own.comparison is not None else ()
    if finding.rule not in _WITHOUT_NUMBERS:
        numbers = _output_numbers(own, finding.rule)
    yield _plain(
        finding, finding.output, *(each.kind for each in problems), kind=finding.rule, numbers=numbers
    )


def _output_numbers(own: OutputNumbers, rule: str) -> _Numbers:
    numbers = _Numbers()
    drift = own.drift.ratio if own.drift is not None and not own.unsized else None
    if drift is not None and math.isfinite(drift):
        numbers["drift"] = drift
    elif own.comparison is not None and own.comparison.max_abs is not None:
        numbers["max_abs"] = own.comparison.max_abs
    if rule not in _BY_DRIFT and own.comparison is not None:
        numbers["elements"] = own.places.moved if own.places is not None else own.comparison.mismatched
    return numbers


def _reference(finding: ReferenceFinding, _: CellResult) -> Iterator[AcceptedFinding]:
    if finding.change in _CHANGES:
        yield _plain(finding, kind=_CHANGES[finding.change])


def _metric_worse(finding: MetricWorseFinding, _: CellResult) -> Iterator[AcceptedFinding]:
    yield _plain(finding, finding.result.metric, finding.result.output)


def _metric_only(finding: MetricOnlyFinding, _: CellResult) -> Iterator[AcceptedFinding]:
    own, numbers = finding.reported, _Numbers()
    if own.baseline is not None and own.candidate is not None:
        numbers["difference"] = abs(own.candidate - own.baseline)
    yield _plain(finding, own.name, *finding.others, kind=f"reported-{finding.change}", numbers=numbers)


def _first(finding: FirstDifference | FurtherCause, _: CellResult) -> Iterator[AcceptedFinding]:
    layers = tuple(_layer(each) for each in (finding.cause, *finding.alike))
    yield _plain(finding, *layers, kind=_differs(finding.cause))


def _differs(cause: Cause) -> str:
    return cause.difference.kind if cause.difference is not None else cause.differs


def _layer(call: LayerCall) -> str:
    return f"{call.layer or 'model'} ({call.class_name})"


def _more(finding: MoreCauses, _: CellResult) -> Iterator[AcceptedFinding]:
    yield _plain(finding, *(_layer(each) for each in finding.layers))


def _nondeterministic(finding: NondeterministicFinding, _: CellResult) -> Iterator[AcceptedFinding]:
    yield _plain(finding)


def _decode(finding: DecodeVerdict, cell: CellResult) -> Iterator[AcceptedFinding]:
    comparison = cell.comparison(DecodeComparison)
    ratio = comparison.noise_ratio if comparison is not None else None
    if finding.verdict not in GREEN:
        yield _plain(finding, numbers=_drift(ratio))


def _training(finding: TrainingCause, _: CellResult) -> Iterator[AcceptedFinding]:
    if finding.verdict is None or finding.verdict in GREEN:
        return
    layer = finding.layer.name if finding.layer is not None else ""
    ratio = finding.amount.ratio if finding.amount is not None else None
    yield _plain(finding, *([layer] if layer else finding.variables[:1]), numbers=_drift(ratio))


_Reader = Callable[[Any, CellResult], Iterator[AcceptedFinding]]
_READERS: tuple[tuple[type[Finding] | tuple[type[Finding], ...], _Reader], ...] = (
    (OutputFinding, _output),
    (ReferenceFinding, _reference),
    (MetricWorseFinding, _metric_worse),
    (MetricOnlyFinding, _metric_only),
    ((FirstDifference, FurtherCause), _first),
    (MoreCauses, _more),
    (NondeterministicFinding, _nondeterministic),
    (DecodeVerdict, _decode),
    (TrainingCause, _training),
)

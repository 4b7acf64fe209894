"""From what was recorded, drifted and fed: the layer where it starts, those that inherit, what kind it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from validator.compare.alignment import Alignment, is_operation
from validator.compare.architecture import Difference, shown
from validator.compare.layers import LayerDrift
from validator.compare.signatures import ancestors, visible
from validator.diagnose.suspects import BY_ITSELF, Alone, alone, innermost, same_inputs
from validator.results import Finding, FirstDifference, LayerResult
from validator.runner.layers import FedCall

_SHOWN = 50  # layers in a result
_TOLD = 3  # causes in words
_DRIFTED = 2.0  # free-running drift over noise below which a layer counts as not reached


@dataclass(frozen=True)
class Evidence:
    """What is known of one cell's layers. `fed` is None where nothing was fed: no layer is cleared then."""

    alignment: Alignment
    differences: Sequence[Difference]
    drifts: Sequence[LayerDrift]
    fed: Sequence[FedCall] | None = None


@dataclass(frozen=True)
class Diagnosis:
    """Where it starts, in a form that a report shows."""

    first: FirstDifference | None
    findings: tuple[Finding, ...]
    layers: tuple[LayerResult, ...]


@dataclass(frozen=True)
class _Cause:
    """Something that differs by itself at one call of the baseline."""

    call: int
    first: FirstDifference


def localise(evidence: Evidence) -> Diagnosis:
    """Separate the layers that differ by themselves from those that inherit, and name the first."""
    view = _View(evidence)
    causes = view.causes
    first = _first(view, causes)
    ordered = [first, *(cause for cause in causes if cause is not first)] if first else []
    findings = [Finding(kind="cause", message=message) for message in _sentences(ordered)]
    counted = view.counted()
    if counted and ordered:
        findings.append(Finding(kind="layers", message=counted))
    return Diagnosis(first.first if first else None, tuple(findings), tuple(view.table(first)))


@dataclass(frozen=True)
class _View:
    """The evidence by call of the baseline."""

    evidence: Evidence

    @cached_property
    def drifts(self) -> dict[int, LayerDrift]:
        return {drift.baseline: drift for drift in self.evidence.drifts}

    @cached_property
    def fed(self) -> dict[int, Alone]:
        there = self.evidence.alignment.to_baseline
        return {there[one.call]: alone(one) for one in self.evidence.fed or () if one.call in there}

    @cached_property
    def structural(self) -> dict[int, Difference]:
        """The first difference of structure at each call that is its own."""
        found: dict[int, Difference] = {}
        for difference in self.evidence.differences:
            if difference.cause:
                found.setdefault(self._place(difference), difference)
        return found

    @cached_property
    def causes(self) -> list[_Cause]:
        """Everything that differs by itself, in the baseline's order."""
        layers = self.evidence.alignment.baseline
        values = {call for call in self.drifts if self._by_itself(call)}
        calls = innermost(layers, values | set(self.structural))
        calls |= set(self.structural)
        found = [_Cause(call, self._told(call, call in values)) for call in sorted(calls)]
        if not found and self.evidence.fed is not None and 0 in self.drifts and self.reached(0):
            message = (
                "no layer differs by itself: the difference is made by the model's own code between them"
            )
            found = [
                _Cause(
                    0,
                    FirstDifference(
                        layer="the model",
                        class_name=layers.layer_of(0).class_name,
                        kind="value",
                        message=message,
                    ),
                )
            ]
        return found

    def _by_itself(self, call: int) -> bool:
        layers = self.evidence.alignment.baseline
        if layers.calls[call].parent is None or not visible(layers, call):
            return False
        tried = self.fed.get(call)
        if tried is not None and not tried.why and tried.differs:
            return True
        # The same bytes in and other values out say as much, also where the layer could not be fed, or does
        # not differ when it is: alone, and not in the graph of the whole model, other kernels may run.
        drift = self.drifts[call]
        strong = drift.broken or drift.ratio is None or drift.ratio > BY_ITSELF
        return drift.differs and strong and same_inputs(self.evidence.alignment, call, drift.candidate)

    def _told(self, call: int, moved: bool) -> FirstDifference:
        layers = self.evidence.alignment.baseline
        difference = self.structural.get(call)
        name, class_name = shown(layers, call), layers.layer_of(call).class_name
        # Fed with the same masks it gives other values: then a mask on its result is not the reason.
        if difference is not None and (difference.kind == "dtype" or not moved):
            name, class_name = difference.layer or name, difference.class_name
            return FirstDifference(
                layer=name, class_name=class_name, kind=difference.kind, message=difference.message
            )
        tried = self.fed.get(call)
        message = f"`{name}` ({class_name}) gives other values for the same inputs"
        ratio = tried.ratio if tried is not None and tried.differs else self.drifts[call].ratio
        if ratio is not None and math.isfinite(ratio):
            message += f", {ratio:.3g} times its noise"
        message += f"; {difference.message}" if difference is not None else ""
        return FirstDifference(layer=name, class_name=class_name, kind="value", message=message)

    def _place(self, difference: Difference) -> int:
        """The baseline's call where a difference is; of what is new, the call that follows it."""
        if not difference.extra:
            return difference.call
        aligned = self.evidence.alignment.to_baseline
        after = [call for call in aligned if call > difference.call]
        return aligned[min(after)] if after else max(aligned.values(), default=0)

    def reached(self, call: int) -> bool:
        """Whether a difference has arrived at the result of a call."""
        drift = self.drifts.get(call)
        if drift is None or not drift.differs:
            return False
        return drift.broken or drift.ratio is None or drift.ratio >= _DRIFTED

    @cached_property
    def onset(self) -> int | None:
        """The first call, other than one around others, whose result has moved."""
        layers = self.evidence.alignment.baseline
        around = {outer for call in range(len(layers.calls)) for outer in ancestors(layers, call)}
        return next((call for call in sorted(self.drifts) if call not in around and self.reached(call)), None)

    @cached_property
    def outer(self) -> list[int]:
        """The layers that a person counts: those that stand directly in a model."""
        layers = self.evidence.alignment.baseline
        return [
            call
            for call in sorted(self.drifts)
            if layers.calls[call].parent is not None
            and not layers.layer_of(call).container
            and not is_operation(layers.calls[call], layers.layer_of(call))
            and all(layers.layer_of(around).container for around in ancestors(layers, call))
        ]

    def counted(self) -> str:
        """How many layers differ by themselves, how many inherit."""
        own = {
            call
            for cause in self.causes
            for call in (cause.call, *ancestors(self.evidence.alignment.baseline, cause.call))
        }
        alone = sum(call in own for call in self.outer)
        inherit = sum(call not in own and self.reached(call) for call in self.outer)
        verb = "differs by itself" if alone == 1 else "differ by themselves"
        return f"{alone} of {len(self.outer)} layers {verb}, {inherit} inherit" if self.outer else ""

    def table(self, first: _Cause | None) -> Iterator[LayerResult]:
        """The layers that matter: all that differ by themselves, and of the others as many as fit."""
        own = {cause.call: cause for cause in self.causes}
        others = [call for call in self.outer if call not in own]
        start = first.call if first else (self.onset or 0)
        others.sort(key=lambda call: (not self.reached(call), call < start, call))
        chosen = [*list(own)[:_SHOWN], *others]
        for call in sorted(chosen[:_SHOWN]):
            yield self._row(call, own.get(call))

    def _row(self, call: int, cause: _Cause | None) -> LayerResult:
        layers, drift, tried = self.evidence.alignment.baseline, self.drifts.get(call), self.fed.get(call)
        free = drift.ratio if drift else None
        by_itself = tried.ratio if tried else (0.0 if drift and drift.identical else None)
        return LayerResult(
            layer=cause.first.layer if cause else shown(layers, call),
            class_name=cause.first.class_name if cause else layers.layer_of(call).class_name,
            by_itself=_finite(by_itself),
            inherited=_finite(free),
            valid=_finite(drift.valid if drift else None),
            padded=_finite(drift.padded if drift else None),
            kind=cause.first.kind if cause else ("inherited" if self.reached(call) else "same"),
            message=cause.first.message
            if cause
            else (f"not fed: {tried.why}" if tried and tried.why else ""),
        )


def _first(view: _View, causes: Sequence[_Cause]) -> _Cause | None:
    """The first cause; one of structure only where the numbers moved no earlier, or did not move at all."""
    if not causes:
        return None
    if view.onset is None:
        return causes[0]
    values = [cause for cause in causes if cause.first.kind == "value"]
    before = [cause for cause in causes if cause.call <= view.onset and cause.first.kind != "value"]
    if values and (values[0].call <= view.onset or not before):
        # A structural difference at the very place explains the value better than the value itself.
        same = [cause for cause in before if cause.call == values[0].call]
        return same[0] if same else values[0]
    return before[0] if before else causes[0]


def _sentences(causes: Sequence[_Cause]) -> Iterator[str]:
    """The causes in words; those that only another layer's name tells apart in one sentence."""
    alike: dict[str, list[FirstDifference]] = {}
    for cause in causes:
        text = cause.first.message.replace(f"`{cause.first.layer}`", "`")
        alike.setdefault(re.sub(r"[\d.e+]+ times", "times", text), []).append(cause.first)
    for first, *others in list(alike.values())[:_TOLD]:
        names = ", ".join(f"`{other.layer}`" for other in others[:_TOLD])
        more = " …" if len(others) > _TOLD else ""
        yield first.message + (f"; likewise {names}{more}" if others else "")
    rest = [first.layer for alike_ones in list(alike.values())[_TOLD:] for first in alike_ones]
    if rest:
        names = ", ".join(f"`{name}`" for name in rest[:_TOLD])
        yield f"{len(rest)} more differ by themselves: {names}{' …' if len(rest) > _TOLD else ''}"


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None

"""Numbers of every call → the layer where it starts, those that only propagate it, and what kind it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from validator.base import finite
from validator.checks.bands import LayerBands
from validator.checks.layers.types import (
    CallNumbers,
    Cause,
    Differs,
    FirstDifference,
    FurtherCause,
    LayerDrift,
    LayerRow,
    LayersComparison,
    LayerTable,
    MoreCauses,
    NoLayerDiffers,
)
from validator.checks.protocol import Finding
from validator.checks.structure.types import LayerCall, StructuralDifference

_ROWS = 50  # layers in the table
_CAUSES = 3  # causes in full


def localise(comparison: LayersComparison, bands: LayerBands) -> Iterator[Finding]:
    """Separate the layers that diverge on identical input from those that propagate, and name the first."""
    view = _View(comparison, bands)
    first = view.first
    if first is not None:
        yield from _grouped([first, *(call for call in view.causes if call != first)], view.causes)
    yield view.table()
    if first is None and not any(call.drift and call.drift.differs for call in view.calls):
        yield NoLayerDiffers(samples=len(comparison.samples))


def _grouped(ordered: Sequence[int], causes: dict[int, Cause]) -> Iterator[Finding]:
    """The causes, first the first; those that differ only in their layer together."""
    alike: dict[tuple[object, ...], list[Cause]] = {}
    for call in ordered:
        alike.setdefault(_likeness(causes[call]), []).append(causes[call])
    groups = list(alike.values())
    for kind, group in zip((FirstDifference, *[FurtherCause] * (_CAUSES - 1)), groups, strict=False):
        yield kind(cause=group[0], alike=tuple(LayerCall(**cause.place) for cause in group[1:]))
    rest = tuple(LayerCall(**cause.place) for group in groups[_CAUSES:] for cause in group)
    if rest:
        yield MoreCauses(layers=rest)


def _likeness(cause: Cause) -> tuple[object, ...]:
    """What two causes have in common that differ only in their layer."""
    difference = cause.difference and cause.difference.anywhere()
    return cause.differs, cause.class_name if cause.differs == "value" else "", repr(difference)


@dataclass(frozen=True)
class _View:
    """The numbers of one cell's calls, with what the thresholds make of them."""

    comparison: LayersComparison
    bands: LayerBands

    @property
    def calls(self) -> tuple[CallNumbers, ...]:
        return self.comparison.calls

    @cached_property
    def structural(self) -> dict[int, StructuralDifference]:
        """The first difference of structure at each call that is its own."""
        differences: dict[int, StructuralDifference] = {}
        for difference in self.comparison.differences:
            if difference.cause:
                differences.setdefault(self._place(difference), difference)
        return differences

    def _place(self, difference: StructuralDifference) -> int:
        """The baseline's call where a difference is; of what is new, the call that follows it."""
        if difference.kind != "added":
            return difference.call
        aligned = {call.candidate: call.call for call in self.calls if call.candidate is not None}
        after = [candidate for candidate in aligned if candidate > difference.call]
        return aligned[min(after)] if after else max(aligned.values(), default=0)

    @cached_property
    def causes(self) -> dict[int, Cause]:
        """Everything that differs by its own doing, by the baseline's call, in its order."""
        values = {call.call for call in self.calls if self._diverges(call)}
        inside = {outer for call in values | self.structural.keys() for outer in self._around(call)}
        calls = (values - inside) | self.structural.keys()  # the blame belongs to the innermost
        causes = {call: self._cause(call, diverges=call in values) for call in sorted(calls)}
        if not causes and self.comparison.replayed and self.calls and self.reached(self.calls[0]):
            # No layer diverges, and still the results differ: the model's own code does it, between them.
            onset = self.calls[self.onset] if self.onset is not None else None
            before = LayerCall(**onset.place) if onset else None
            return {0: Cause(**self.calls[0].place, differs="value", before=before)}
        return causes

    def _around(self, call: int) -> Iterator[int]:
        parent = self.calls[call].parent
        while parent is not None:
            yield parent
            parent = self.calls[parent].parent

    def _diverges(self, call: CallNumbers) -> bool:
        if call.parent is None or not call.visible or call.drift is None:
            return False
        if call.replay is not None and call.replay.diverges(self.bands.diverges):
            return True
        # The same bytes in and other values out say as much, also where the layer could not be replayed, or
        # does not differ when it is: alone, and not in the graph of the whole model, other kernels may run.
        drift = call.drift
        strong = drift.broken or drift.ratio is None or drift.ratio > self.bands.diverges
        return drift.differs and strong and call.same_inputs

    def _cause(self, number: int, *, diverges: bool) -> Cause:
        call, difference = self.calls[number], self.structural.get(number)
        # What it receives, and its weights, explain what it returns. A mask on its result does not: it was
        # replayed with the same masks, and returns other values.
        if difference is not None and (difference.explains or not diverges):
            return Cause(**difference.place, differs=difference.aspect, difference=difference)
        replayed = call.replay if call.replay and call.replay.diverges(self.bands.diverges) else call.drift
        drift = call.drift or LayerDrift(identical=None)
        return Cause(
            **call.place,
            differs="value",
            ratio=finite(replayed.ratio) if replayed else None,
            difference=difference,
            nonfinite=drift.lost,
            unequal=drift.unequal,
            size=drift.size,
            example=drift.example if call.same_inputs else None,
            samples=self._some(drift.rows),
        )

    def _some(self, rows: tuple[int, ...] | None) -> tuple[int, ...]:
        """The recorded samples that moved, where others did not."""
        samples = self.comparison.samples
        if not rows or len(rows) >= len(samples) or rows[-1] >= len(samples):
            return ()
        return tuple(samples[row] for row in rows)

    def reached(self, call: CallNumbers) -> bool:
        """Whether a difference has arrived at the result of a call."""
        drift = call.drift
        if drift is None or not drift.differs:
            return False
        return drift.broken or drift.ratio is None or drift.ratio >= self.bands.reached

    @cached_property
    def onset(self) -> int | None:
        """The first call, other than a call around others, whose result has moved."""
        return next((call.call for call in self.calls if not call.encloses and self.reached(call)), None)

    @cached_property
    def first(self) -> int | None:
        """The first cause; one of structure only where no number moved before it, or at all."""
        if self.onset is None or not self.causes:
            return next(iter(self.causes), None)
        values = [call for call, cause in self.causes.items() if cause.differs == "value"]
        before = [call for call in self.causes if call <= self.onset and call not in values]
        # At one call a difference of structure and a value are one cause: `_cause` chose already.
        if values and (values[0] <= self.onset or not before):
            return values[0]
        return before[0] if before else next(iter(self.causes))

    def table(self) -> LayerTable:
        """The layers that matter: every cause, and of the others as many as fit."""
        counted = [call for call in self.calls if call.counted]
        own = {outer for call in self.causes for outer in (call, *self._around(call))}
        start = self.first if self.first is not None else (self.onset or 0)
        others = [call for call in counted if call.call not in self.causes]
        others.sort(key=lambda call: (not self.reached(call), call.call < start, call.call))
        chosen = [*list(self.causes)[:_ROWS], *(call.call for call in others)][:_ROWS]
        return LayerTable(
            rows=tuple(self._row(self.calls[call], self.causes.get(call)) for call in sorted(chosen)),
            layers=len(counted),
            diverging=sum(call.call in own for call in counted),
            propagating=sum(call.call not in own and self.reached(call) for call in counted),
            kinds=self._kinds(counted),
        )

    def _kinds(self, counted: Sequence[CallNumbers]) -> dict[int, Literal["propagated"] | Differs]:
        """What differs at each layer that a person counts: its own doing, or that of what is inside."""
        inside = {outer: cause for call, cause in self.causes.items() for outer in self._around(call)}
        causes = {**inside, **self.causes}
        kinds: dict[int, Literal["propagated"] | Differs] = {}
        for call in counted:
            if call.call in causes:
                kinds[call.call] = causes[call.call].differs
            elif self.reached(call):
                kinds[call.call] = "propagated"
        return kinds

    def _row(self, call: CallNumbers, cause: Cause | None) -> LayerRow:
        drift, replay = call.drift, call.replay
        unchanged = 0.0 if drift and drift.identical else None
        return LayerRow(
            **(cause or call).place,
            kind=cause.differs if cause else ("propagated" if self.reached(call) else "same"),
            replayed=finite(replay.ratio if replay else unchanged),
            full_pass=finite(drift.ratio) if drift else None,
            valid=finite(drift.valid) if drift else None,
            padded=finite(drift.padded) if drift else None,
            difference=cause.difference if cause else None,
            replay_failure=replay.failure if replay and not cause else "",
        )

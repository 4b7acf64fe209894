"""Both recordings and the worker's replay → the numbers of every call of the baseline.

In the full forward pass whatever comes after a layer that differs differs as well: it says where a difference
has arrived. A layer that is replayed on the baseline's inputs says whether the difference is made in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.base import Frozen
from validator.checks.layers.types import CallNumbers, LayerDrift, Replay
from validator.checks.structure.alignment import Alignment, is_operation
from validator.checks.structure.architecture import layer_call
from validator.checks.structure.graph import CallGraph, CallsAnswer, Leaf
from validator.checks.structure.signatures import visible
from validator.numbers.distance import TensorComparison, compare_tensors
from validator.numbers.tolerances import UNIT_ROUNDOFF
from validator.numbers.values import Decoder, Element, kind_of
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

_NUMBERS = frozenset({"single", "double", "integer"})


def ratio(drift: float, noise: float | None, unit: float) -> float:
    """Drift ÷ noise; `unit` is the least that counts as noise. Nothing over nothing is nothing."""
    floor = max(noise or 0.0, unit)
    if floor > 0:
        return drift / floor
    return float("inf") if drift > 0 else 0.0


def worst(ratios: Iterable[float | None]) -> float | None:
    """The largest that is known."""
    return max((value for value in ratios if value is not None), default=None)


class ReplayedOutput(Frozen, extra="ignore"):
    """One result of a layer on the baseline's inputs, against the baseline's recorded result.

    `rms` is None where the two could not be paired, `noise_rms` where the layer has no weights to move.
    """

    dtype: str | None
    same: bool
    rms: float | None
    nonfinite: int
    rms_baseline: float | None
    noise_rms: float | None

    @property
    def ratio(self) -> float | None:
        """Drift ÷ noise; None where it is no number."""
        if self.same:
            return 0.0
        if self.rms is None or self.dtype is None or self.dtype not in UNIT_ROUNDOFF:
            return None
        return ratio(self.rms, self.noise_rms, 2 * UNIT_ROUNDOFF[self.dtype] * (self.rms_baseline or 0.0))


class ReplayedCall(Frozen):
    """One replayed call of the candidate; `failure` says why it could not be made alone."""

    call: int
    failure: str | None
    outputs: tuple[ReplayedOutput, ...] = ()


class ReplayAnswer(Frozen):
    """All replayed calls. `left`: calls for which there was no time."""

    left: int = 0
    calls: tuple[ReplayedCall, ...] = ()


class LayersAnswer(CallsAnswer):
    """What the task `layers` answered. `replay` is None where the task named no baseline."""

    replay: ReplayAnswer | None = None


def replay_of(call: ReplayedCall) -> Replay:
    """What replaying a layer showed: the worst of its results."""
    if call.failure is not None:
        return Replay(failure=call.failure)
    broken = any(output.nonfinite or output.ratio is None for output in call.outputs)
    return Replay(ratio=worst(output.ratio for output in call.outputs), broken=broken)


@dataclass(frozen=True)
class FullPass:
    """Both recordings, and the folders that the paths in them start from."""

    alignment: Alignment
    baseline: Path
    candidate: Path

    def drift(self, baseline: int, candidate: int) -> LayerDrift:
        """One pair of calls.

        Raises:
            ConfigurationError: a recorded tensor is gone from its folder.
        """
        old, new = self.alignment.baseline.results(baseline), self.alignment.candidate.results(candidate)
        parts = [self._result(old[path], new[path]) for path in old if path in new]
        if not parts:
            return LayerDrift(identical=None)
        known = [part for part in parts if part.identical is not None]
        farthest = max(parts, key=lambda part: -1.0 if part.ratio is None else part.ratio)
        return LayerDrift(
            identical=all(part.identical for part in known) if known else None,
            ratio=worst(part.ratio for part in parts),
            rms=farthest.rms,
            noise=farthest.noise,
            valid=worst(part.valid for part in parts),
            padded=worst(part.padded for part in parts),
            broken=any(part.broken for part in parts) or old.keys() != new.keys(),
            **_counts(next((part for part in parts if part.lost or part.unequal or part.example), None)),
            rows=_joined([part.rows for part in known]),
        )

    def _result(self, leaf: Leaf, other: Leaf) -> LayerDrift:
        old, new = (
            self.alignment.baseline.tensors[leaf.tensor],
            self.alignment.candidate.tensors[other.tensor],
        )
        if old.summary is None or new.summary is None:
            return LayerDrift(identical=None)
        if old.summary.hash == new.summary.hash:
            return LayerDrift(identical=True, ratio=0.0, rows=())
        if old.stored is None or new.stored is None:
            return LayerDrift(identical=False)
        before, after = _stored(old.stored, self.baseline), _stored(new.stored, self.candidate)
        total, count = compare_tensors(before, after), len(self.alignment.baseline.rows)
        lost = None
        if total.nonfinite_mismatched:
            lost = (total.nan_baseline + total.inf_baseline, total.nan_candidate + total.inf_candidate)
        broken = not total.compared or lost is not None
        example = _example(total)
        drift = LayerDrift(identical=False, broken=broken, lost=lost, size=total.size, example=example)
        if not total.compared or old.dtype not in UNIT_ROUNDOFF or total.rms is None:
            rows = moved_rows(before, after, 0.0, count)
            unequal = total.mismatched if total.compared and old.dtype not in UNIT_ROUNDOFF else 0
            return drift.model_copy(update={"rows": rows, "unequal": unequal})
        # What a layer without weights may move by.
        unit = 2 * UNIT_ROUNDOFF[old.dtype] * (total.rms_baseline or 0.0)

        def masked(kept: NDArray[np.bool_] | None) -> float | None:
            if kept is None or not kept.any():
                return None
            part = compare_tensors(before, after, mask=kept)
            return ratio(part.rms or 0.0, old.noise_rms, unit) if part.compared else None

        mask = self._mask(leaf, before.shape)
        numbers = {
            "ratio": ratio(total.rms, old.noise_rms, unit),
            "rms": total.rms,
            "noise": max(old.noise_rms or 0.0, unit),
            "valid": masked(mask),
            "padded": masked(None if mask is None else ~mask),
            "rows": moved_rows(before, after, max(old.noise_rms or 0.0, unit), count),
        }
        return drift.model_copy(update=numbers)

    def _mask(self, leaf: Leaf, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """The baseline's mask of a result, where it was kept and fits the leading axes."""
        entry = None if leaf.mask is None else self.alignment.baseline.tensors[leaf.mask].stored
        if entry is None or entry.dtype != "bool" or entry.shape != shape[: len(entry.shape)]:
            return None
        values: NDArray[np.bool_] = _stored(entry, self.baseline).open().values
        return values.reshape(entry.shape).astype(np.bool_)


def moved_rows(
    baseline: StoredTensor, candidate: StoredTensor, floor: float, samples: int
) -> tuple[int, ...] | None:
    """Which of so many recorded samples moved: by a root mean square of more than twice a floor, or NaN at
    other places. None where the first axis of both is not theirs.
    """
    if baseline.ragged or candidate.ragged or baseline.shape != candidate.shape or not baseline.size:
        return None
    if baseline.shape[:1] != (samples,) or not {kind_of(baseline), kind_of(candidate)} <= _NUMBERS:
        return None
    old, new = (
        Decoder(side.dtype, kind_of(side), max(1, side.size))(side.open().values)
        .astype(np.float64)
        .reshape(side.shape[0], -1)
        for side in (baseline, candidate)
    )
    with np.errstate(all="ignore"):
        distance = np.where(np.isfinite(old) & np.isfinite(new), new - old, 0.0)
        moved = np.sqrt(np.mean(np.square(distance), axis=1)) > 2 * floor
    moved |= (np.isfinite(old) != np.isfinite(new)).any(axis=1)
    return tuple(int(row) for row in np.flatnonzero(moved))


def _counts(part: LayerDrift | None) -> dict[str, Any]:
    """What there is to count or show of a result that differs."""
    if part is None:
        return {}
    return part.model_dump(include={"lost", "unequal", "size", "example"})


def _example(total: TensorComparison) -> tuple[Element, Element] | None:
    """The largest difference; None where it is one of NaN or infinity, which are counted."""
    worst = total.worst
    if worst is None or total.nonfinite_mismatched:
        return None
    return worst.baseline, worst.candidate


def _joined(rows: Sequence[tuple[int, ...] | None]) -> tuple[int, ...] | None:
    known = [part for part in rows if part is not None]
    return tuple(sorted({row for part in known for row in part})) if known else None


def _stored(entry: TensorEntry, folder: Path) -> StoredTensor:
    return open_tensors([entry], folder)[0]


def call_numbers(sides: FullPass, replays: Mapping[int, Replay]) -> Iterator[CallNumbers]:
    """Every call of the baseline in its order. `replays`: by call of the candidate.

    Raises:
        ConfigurationError: a recorded tensor is gone from its folder.
    """
    graph = sides.alignment.baseline
    parents = {call.parent for call in graph.calls}
    for call, facts in enumerate(graph.calls):
        numbers = CallNumbers(
            **layer_call(graph, call).place,
            call=call,
            parent=facts.parent,
            visible=visible(graph, call),
            encloses=call in parents,
        )
        candidate = sides.alignment.to_candidate.get(call)
        if candidate is not None:
            of_pair = {
                "candidate": candidate,
                "counted": _counted(graph, call),
                "same_inputs": _same_inputs(sides.alignment, call, candidate),
                "drift": sides.drift(call, candidate),
                "replay": replays.get(candidate),
            }
            numbers = numbers.model_copy(update=of_pair)
        yield numbers


def _counted(graph: CallGraph, call: int) -> bool:
    """Whether this is a layer that stands directly in a model."""
    facts, layer = graph.calls[call], graph.layer_of(call)
    if facts.parent is None or layer.container or is_operation(facts, layer):
        return False
    return all(graph.layer_of(around).container for around in graph.around(call))


def _same_inputs(alignment: Alignment, baseline: int, candidate: int) -> bool:
    """Whether a call received the same bytes on both sides: then what differs after it is its own doing."""
    old, new = (
        _inputs(graph, call)
        for graph, call in ((alignment.baseline, baseline), (alignment.candidate, candidate))
    )
    return bool(old) and None not in old and old == new


def _inputs(graph: CallGraph, call: int) -> list[str | None]:
    """Digests of every tensor and mask of a call's arguments, and of what its own code is given."""
    facts = graph.calls[call]
    received = [leaf for _, tree in sorted(facts.received.items()) for leaf in tree.leaves()]
    numbers = [number for leaf in [*facts.inputs, *received] for number in leaf[1:]]
    return [graph.hash_of(number) for number in numbers if number is not None]

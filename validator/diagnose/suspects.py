"""Which layers of a candidate are worth feeding with what the baseline recorded, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from validator.compare.alignment import Alignment
from validator.compare.layers import UNITS, LayerDrift, ratio
from validator.compare.signatures import ancestors, visible
from validator.layers import Layers, Tree
from validator.runner.layers import FedCall, FedOutput

#: Above this a fed layer differs by itself. Measured: 0.99 to 1.01 for others, 317 for one that did.
BY_ITSELF = 4.0
_MOST = 400  # layers fed in one job


def suspects(alignment: Alignment, drifts: Sequence[LayerDrift]) -> tuple[tuple[int, int, str], ...]:
    """Calls to feed, as (candidate's call, baseline's call, candidate's path): all whose result differs.

    Not the model itself, whose inputs are the same anyway; nothing inside Keras' own layers, which are blamed
    as a whole; and no call whose arguments were not kept.
    """
    found = [
        (drift.candidate, drift.baseline, alignment.candidate.calls[drift.candidate].path)
        for drift in drifts
        if drift.differs
        and alignment.baseline.calls[drift.baseline].parent is not None
        and visible(alignment.baseline, drift.baseline)
        and _kept(alignment.baseline, drift.baseline)
    ]
    return tuple(found[:_MOST])


def _kept(layers: Layers, call: int) -> bool:
    facts = layers.calls[call]
    trees = [argument.value for argument in facts.arguments]
    leaves = [leaf for tree in trees for _, leaf in tree.leaves()]
    tensors = [number for leaf in leaves for number in (leaf.tensor, leaf.mask) if number is not None]
    results = [leaf.tensor for leaf in layers.results(call).values() if leaf.tensor is not None]
    return all(layers.tensors[number].stored is not None for number in (*tensors, *results))


@dataclass(frozen=True)
class Alone:
    """How a layer did by itself. `ratio` is None where it was not fed (`why` says why) or is no number."""

    ratio: float | None
    differs: bool
    why: str = ""


def alone(fed: FedCall) -> Alone:
    """What feeding a layer showed: the worst of its outputs."""
    if fed.failure is not None:
        return Alone(None, False, fed.failure)
    ratios = [_ratio(output) for output in fed.outputs]
    known = [one for one in ratios if one is not None]
    broken = any(
        output.nonfinite or (one is None and not output.same)
        for output, one in zip(fed.outputs, ratios, strict=True)
    )
    worst = max(known, default=None)
    return Alone(worst, broken or (worst is not None and worst > BY_ITSELF))


def _ratio(output: FedOutput) -> float | None:
    if output.same:
        return 0.0
    if output.rms is None or output.dtype not in UNITS:
        return None
    return ratio(output.rms, output.noise_rms, UNITS[output.dtype] * (output.rms_baseline or 0.0))


def same_inputs(alignment: Alignment, here: int, there: int) -> bool:
    """Whether a call got the same bytes on both sides: then what differs after it is its own doing."""
    old, new = (
        list(_inputs(layers, call))
        for layers, call in ((alignment.baseline, here), (alignment.candidate, there))
    )
    return bool(old) and None not in old and old == new


def _inputs(layers: Layers, call: int) -> Iterator[str | None]:
    for argument in layers.calls[call].arguments:
        for _, leaf in argument.value.leaves():
            yield from (_hash(layers, number) for number in _numbers(leaf))


def _numbers(leaf: Tree) -> Iterator[int]:
    yield from (number for number in (leaf.tensor, leaf.mask) if number is not None)


def _hash(layers: Layers, number: int) -> str | None:
    summary = layers.tensors[number].summary
    return summary.hash if summary else None


def innermost(layers: Layers, calls: set[int]) -> set[int]:
    """Without those that have another one inside them: the blame belongs there."""
    outer = {around for call in calls for around in ancestors(layers, call)}
    return calls - outer

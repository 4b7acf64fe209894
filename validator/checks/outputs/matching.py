"""Which outputs of two captures belong together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from validator.numbers.distance import compare_tensors
from validator.storage.tensors import StoredTensor

_MOST = 16  # outputs that are held against each other


class OutputPair(NamedTuple):
    """The same output on both sides."""

    baseline: StoredTensor
    candidate: StoredTensor


@dataclass(frozen=True)
class OutputMatch:
    """Every output of both sides, once. `renamed` pairs look alike (dtype and shape) under another name.

    An output under another name is never the same output: its values are not compared.
    """

    pairs: tuple[OutputPair, ...]
    missing: tuple[StoredTensor, ...]
    extra: tuple[StoredTensor, ...]
    renamed: tuple[OutputPair, ...]

    @property
    def complete(self) -> bool:
        """Whether every output has its partner, and there is one."""
        return bool(self.pairs) and not (self.missing or self.extra or self.renamed)


def match_outputs(baseline: Sequence[StoredTensor], candidate: Sequence[StoredTensor]) -> OutputMatch:
    """Match by name; what is left over is `renamed` where exactly one partner on each side fits."""
    left = {tensor.name: tensor for tensor in candidate}
    pairs = tuple(OutputPair(tensor, left.pop(tensor.name)) for tensor in baseline if tensor.name in left)
    paired = {pair.baseline.name for pair in pairs}
    missing = [tensor for tensor in baseline if tensor.name not in paired]
    extra = list(left.values())
    renamed = []
    for tensor in missing:
        partners = [other for other in extra if _alike(tensor, other)]
        rivals = [other for other in missing if _alike(tensor, other)]
        if len(partners) == len(rivals) == 1:
            renamed.append(OutputPair(tensor, partners[0]))
    again = {tensor.name for pair in renamed for tensor in pair}
    return OutputMatch(
        pairs,
        tuple(tensor for tensor in missing if tensor.name not in again),
        tuple(tensor for tensor in extra if tensor.name not in again),
        tuple(renamed),
    )


def moved_names(
    baseline: Sequence[StoredTensor], candidate: Sequence[StoredTensor], apart: Collection[str]
) -> dict[str, str]:
    """Outputs that the candidate returns under the name of another: baseline's name → candidate's.

    `apart`: outputs that differ, or that one side alone has. Values are the same within the tolerance of
    their dtype. Empty where an output could be any of several.
    """
    old, new = ([tensor for tensor in side if tensor.name in apart] for side in (baseline, candidate))
    if max(len(old), len(new)) > _MOST:
        return {}
    partners = {tensor.name: [other.name for other in new if _equal(tensor, other)] for tensor in old}
    names = {name: others[0] for name, others in partners.items() if others}
    single = all(len(others) <= 1 for others in partners.values())
    return names if single and len({*names.values()}) == len(names) else {}


def _equal(old: StoredTensor, new: StoredTensor) -> bool:
    """Whether two outputs of other names hold the same numbers, not all of them 0."""
    if old.name == new.name or not _alike(old, new):
        return False
    comparison = compare_tensors(old, new)
    return comparison.compared and not comparison.mismatched and bool(comparison.rms_baseline)


def _alike(a: StoredTensor, b: StoredTensor) -> bool:
    return (a.dtype, a.shape, a.batched, len(a.ragged)) == (b.dtype, b.shape, b.batched, len(b.ragged))

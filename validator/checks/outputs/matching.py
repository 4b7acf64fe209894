"""Which outputs of two captures belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from validator.storage.tensors import StoredTensor


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


def _alike(a: StoredTensor, b: StoredTensor) -> bool:
    return (a.dtype, a.shape, a.batched, len(a.ragged)) == (b.dtype, b.shape, b.batched, len(b.ragged))

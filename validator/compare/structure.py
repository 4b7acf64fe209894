"""Which outputs of two captures belong together, and what else about them differs before any number does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from validator.tensors import StoredTensor


@dataclass(frozen=True)
class OutputPair:
    """The same output on both sides."""

    baseline: StoredTensor
    candidate: StoredTensor


@dataclass(frozen=True)
class OutputMatch:
    """Every output of both sides, once. `renamed` pairs look alike (dtype and shape) under another name.

    Their values may be compared to help a reader, but an output under another name is never the same output.
    """

    pairs: tuple[OutputPair, ...]
    missing: tuple[StoredTensor, ...]
    extra: tuple[StoredTensor, ...]
    renamed: tuple[OutputPair, ...]

    @property
    def complete(self) -> bool:
        """Whether every output has its partner, and there is one."""
        return bool(self.pairs) and not (self.missing or self.extra or self.renamed)


@dataclass(frozen=True)
class SideFacts:
    """What a capture says about itself that decides whether two may be compared; None where unknown."""

    samples: int | None
    batch_size: int | None
    inputs_digest: str | None
    outputs: tuple[StoredTensor, ...]


@dataclass(frozen=True)
class StructureComparison:
    """The outputs of both sides, and one sentence for each thing that stands against comparing them."""

    outputs: OutputMatch
    problems: tuple[str, ...]


def match_outputs(baseline: Sequence[StoredTensor], candidate: Sequence[StoredTensor]) -> OutputMatch:
    """Match by name; what is left over is `renamed` where exactly one partner on each side fits."""
    theirs = {tensor.name: tensor for tensor in candidate}
    ours = {tensor.name for tensor in baseline}
    pairs = tuple(OutputPair(tensor, theirs[tensor.name]) for tensor in baseline if tensor.name in theirs)
    missing = [tensor for tensor in baseline if tensor.name not in theirs]
    extra = [tensor for tensor in candidate if tensor.name not in ours]
    renamed = []
    for tensor in missing:
        partners = [other for other in extra if _alike(tensor, other)]
        rivals = [other for other in missing if _alike(tensor, other)]
        if len(partners) == len(rivals) == 1:
            renamed.append(OutputPair(tensor, partners[0]))
    left = {pair.baseline.name for pair in renamed}
    right = {pair.candidate.name for pair in renamed}
    return OutputMatch(
        pairs,
        tuple(tensor for tensor in missing if tensor.name not in left),
        tuple(tensor for tensor in extra if tensor.name not in right),
        tuple(renamed),
    )


def compare_structure(baseline: SideFacts, candidate: SideFacts) -> StructureComparison:
    """Match the outputs, and say what else differs: the inputs themselves, samples, batches, outputs."""
    problems = []
    if baseline.inputs_digest != candidate.inputs_digest:
        problems.append("the two sides were fed different inputs (their digests differ)")
    if baseline.samples != candidate.samples:
        problems.append(f"{baseline.samples} samples became {candidate.samples}")
    if baseline.batch_size != candidate.batch_size:
        problems.append(f"batches of {baseline.batch_size} became batches of {candidate.batch_size}")
    match = match_outputs(baseline.outputs, candidate.outputs)
    problems += [f"output {tensor.name!r} is missing" for tensor in match.missing]
    problems += [f"output {tensor.name!r} is new" for tensor in match.extra]
    problems += [
        f"output {pair.baseline.name!r} is missing; {pair.candidate.name!r} has its shape and dtype and "
        "looks like it under a new name"
        for pair in match.renamed
    ]
    if not (baseline.outputs or candidate.outputs):
        problems.append("neither side has an output")
    return StructureComparison(match, tuple(problems))


def _alike(a: StoredTensor, b: StoredTensor) -> bool:
    return (a.dtype, a.shape, a.batched, len(a.ragged)) == (b.dtype, b.shape, b.batched, len(b.ragged))

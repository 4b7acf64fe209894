"""Word and character error rate, and exact matches of texts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from validator.compare.metrics.pairing import Index, Pairing, Rows, bounds, match_samples
from validator.compare.metrics.request import Task, UnscorableError
from validator.compare.metrics.tally import Tally, Turned, Turns
from validator.compare.resampling import Values
from validator.tensors import StoredTensor

Unit = Literal["word", "character", "text"]
_BATCH = 256  # samples at a time


class Texts:
    """Edits by the reference's length ("word", "character"), or the share of equal texts ("text").

    Predictions and labels are strings, or tokens: whole numbers, or scores whose arg max is the token. Tokens
    that are `ignore_label` are dropped on both sides, and lengths may differ. A token counts as a word.
    """

    def __init__(self, task: Task, unit: Unit) -> None:
        if not (task.baseline.batched and task.candidate.batched):
            raise UnscorableError(
                f"output {task.baseline.name!r} gives one value a batch, and labels belong to samples"
            )
        sides = tuple(_Sequences(tensor, task, unit) for tensor in (task.baseline, task.candidate))
        self._sides = sides
        self._labels = _Sequences(task.labels, task, unit)
        if sides[0].text != self._labels.text or sides[0].samples != sides[1].samples:
            raise UnscorableError(
                f"labels ({task.labels.dtype} {task.labels.shape}) and predictions ({task.baseline.dtype} "
                f"{task.baseline.shape}, candidate {task.candidate.shape}) must be both text or both tokens"
            )
        if unit == "character" and not self._labels.text:
            raise UnscorableError("tokens have no characters; record strings, or ask for `wer`")
        sample, labelled = match_samples(task.request, sides[0].samples, self._labels.samples)
        limits = np.arange(sample.size + 1, dtype=np.int64)
        self.pairing = Pairing("elements", 1, 1, sample, sample, labelled, labelled, limits, False)
        self._unit = unit
        self.tally = Tally(self.pairing, 2)
        self.turns: Turns | None = Turns(1)
        self.share = unit == "text"
        self.equal_weights = True
        self.lost = 0
        self.left_out = 0
        self.notes: tuple[str, ...] = ()

    def score(self, task: Task) -> None:
        """Add every sample."""
        weights = _weights(task)
        for start in range(0, self.pairing.sample.size, _BATCH):
            chosen = np.arange(start, min(start + _BATCH, self.pairing.sample.size), dtype=np.int64)
            own = weights[self.pairing.label_sample[chosen]]
            if np.any(own > 0):
                self._add(chosen[own > 0], own[own > 0])
        self.equal_weights = np.unique(weights[weights > 0]).size <= 1

    def _add(self, chosen: Index, weights: NDArray[np.float64]) -> None:
        references = self._labels.read(self.pairing.labelled[chosen])
        found = [side.read(self.pairing.predicted[chosen]) for side in self._sides]
        edits = [
            np.array([distance(a, b) for a, b in zip(references, side, strict=True)], float) for side in found
        ]
        right = edits[0] == 0, edits[1] == 0
        lengths = np.array([len(reference) for reference in references], float)
        if self._unit == "text":
            edits = [(side == 0).astype(float) for side in edits]
            lengths = np.ones(chosen.size)
        group = self.tally.count(chosen)
        for side, values in enumerate(edits):
            self.tally.add(side, group, 0, values * weights)
            self.tally.add(side, group, 1, lengths * weights)
        flips = np.flatnonzero(right[0] != right[1])
        sign = np.where(right[1][flips], 1, -1).astype(np.int8)
        zero = np.zeros(flips.size, np.int64)
        assert self.turns is not None  # noqa: S101  # set above
        self.turns.count(np.zeros(chosen.size, np.int64), right)
        self.turns.add(Turned(chosen[flips], zero, zero, sign, zero.astype(np.bool_)))

    def formula(self, sums: Values) -> Values:
        """Edits by the length of all references; exact matches by texts."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan))


class _Sequences:
    """A tensor as one sequence a sample: words, characters, one text, or tokens."""

    def __init__(self, tensor: StoredTensor, task: Task, unit: Unit) -> None:
        self.text = tensor.storage == "utf8"
        self._unit = unit
        self._tensor = tensor
        self._ignored = task.request.ignore_label
        self._rows: Rows | None = None
        self._width = 1
        if self.text:
            self._limits = bounds(tensor, tensor.size // max(tensor.shape[0], 1) if tensor.shape else 1)
            if self._limits[-1] != self._limits.size - 1:
                raise UnscorableError(f"{tensor.name!r} of shape {tensor.shape} holds several texts a sample")
            self._data = tensor.open()
        else:
            self._open_tokens(tensor)
        self.samples = self._limits.size - 1

    def _open_tokens(self, tensor: StoredTensor) -> None:
        integer = Rows(tensor).integer
        inner = tensor.shape if tensor.ragged else tensor.shape[1:]
        scores = not integer and len(inner) == 2 and inner[1] > 1
        if len(inner) != 1 + scores:
            raise UnscorableError(
                f"{tensor.name!r} of shape {tensor.shape} holds no sequences: (samples, tokens), or "
                "(samples, tokens, classes) of scores, are needed"
            )
        self._width = inner[1] if scores else 1
        self._rows = Rows(tensor, self._width)
        self._limits = bounds(tensor, 1 if tensor.ragged else inner[0])

    def read(self, samples: Index) -> list[Sequence[Hashable]]:
        """The sequences of some samples."""
        if self._rows is None:
            texts = [
                self._data.strings(index, index + 1)[0].decode(errors="replace") for index in samples.tolist()
            ]
            if self._unit == "word":
                return [text.split() for text in texts]
            return [(text,) for text in texts] if self._unit == "text" else list(texts)
        sequences: list[Sequence[Hashable]] = []
        for index in samples.tolist():
            values = self._rows.take(np.arange(self._limits[index], self._limits[index + 1], dtype=np.int64))
            if self._width > 1:
                best = values.argmax(axis=1)
                broken = np.isnan(values[np.arange(best.size), best])
                values = np.where(broken, -1, best)
            values = values.reshape(-1)
            if values.dtype.kind == "f":  # a missing label; a broken prediction is another token than any
                values = values[np.isfinite(values)]
            sequences.append(tuple(values[values != self._ignored].tolist()))
        return sequences


def distance(reference: Sequence[Hashable], found: Sequence[Hashable]) -> int:
    """Levenshtein's distance: the fewest insertions, deletions and substitutions."""
    if reference == found:
        return 0
    numbers: dict[Hashable, int] = {}
    first = np.array([numbers.setdefault(item, len(numbers)) for item in reference], np.int64)
    second = np.array([numbers.setdefault(item, len(numbers)) for item in found], np.int64)
    places = np.arange(second.size + 1)
    row = places.copy()
    for item in first:
        best = row + 1  # delete
        best[1:] = np.minimum(best[1:], row[:-1] + (second != item))
        row = np.minimum.accumulate(best - places) + places  # insert any number
    return int(row[-1])


def _weights(task: Task) -> NDArray[np.float64]:
    """One weight a labelled sample."""
    samples = task.labels.samples
    if task.weights is None:
        return np.ones(samples)
    rows = Rows(task.weights)
    if rows.count != samples:
        raise UnscorableError("texts need one weight a sample; drop tokens by `ignore_label`")
    values = rows.take(np.arange(samples, dtype=np.int64))[:, 0].astype(np.float64)
    if not np.all(values >= 0) or not np.all(np.isfinite(values)):
        raise UnscorableError("the weights hold negative numbers or NaN; record 0 for what does not count")
    return values

"""Word and character error rate, and exact matches of texts."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from validator.numbers.metrics.pairing import (
    Index,
    Pairing,
    TensorRows,
    bounds,
    read_weights,
    refuse_batches,
    same_samples,
)
from validator.numbers.metrics.request import Scoring, UnscorableError
from validator.numbers.metrics.scorers import Scorer
from validator.numbers.metrics.tally import Turned
from validator.numbers.resampling import Values
from validator.storage.tensors import StoredTensor

Unit = Literal["word", "character", "text"]
_BATCH = 256  # samples at a time


class TextEdits(Scorer):
    """Edits by the reference's length ("word", "character"), or the share of equal texts ("text").

    Predictions and labels are strings, or tokens: whole numbers, or scores whose arg max is the token. Tokens
    that are `ignore_label` are dropped on both sides, and lengths may differ. A token counts as a word.
    """

    def __init__(self, task: Scoring, unit: Unit) -> None:
        refuse_batches(task)
        self._sides = tuple(_Sequences(tensor, task, unit) for tensor in (task.baseline, task.candidate))
        self._labels = _Sequences(task.labels, task, unit)
        samples = self._sides[0].samples
        if self._sides[0].text != self._labels.text or samples != self._sides[1].samples:
            raise UnscorableError(
                f"labels ({task.labels.dtype} {task.labels.shape}) and predictions ({task.baseline.dtype} "
                f"{task.baseline.shape}, candidate {task.candidate.shape}) must be both text or both tokens"
            )
        if unit == "character" and not self._labels.text:
            raise UnscorableError("tokens have no characters; record strings, or ask for `wer`")
        same_samples(samples, self._labels.samples)
        limits = np.arange(samples + 1, dtype=np.int64)
        super().__init__(Pairing("elements", 1, 1, limits[:-1], limits[:-1], limits, False), kinds=1)
        self.share = unit == "text"

    def score(self, task: Scoring) -> None:
        """Add every sample, a few at a time."""
        weights = _weights(task)
        for chosen in np.split(np.flatnonzero(weights > 0), np.arange(_BATCH, weights.size, _BATCH)):
            self._add(chosen, weights[chosen])

    def _add(self, chosen: Index, weights: Values) -> None:
        references = self._labels.read(chosen)
        edits = [
            np.array([distance(*pair) for pair in zip(references, side.read(chosen), strict=True)], float)
            for side in self._sides
        ]
        right = edits[0] == 0, edits[1] == 0
        group = self.tally.count(chosen, weights)
        if self.share:
            self.add_ratio(group, right, weights)
        else:
            self.add_ratio(group, edits, weights, np.array([len(words) for words in references], float))
        flips = np.flatnonzero(right[0] != right[1])
        sign = np.where(right[1][flips], 1, -1).astype(np.int8)
        zero = np.zeros(chosen.size, np.int64)
        none = zero[flips]
        turned = Turned(chosen[flips], none, none, sign, none.astype(np.bool_), none, none, none)
        self.turns.add(zero, right, turned)


class _Sequences:
    """A tensor as one sequence a sample: words, characters, one text, or tokens."""

    def __init__(self, tensor: StoredTensor, task: Scoring, unit: Unit) -> None:
        self.text = tensor.storage == "utf8"
        self._unit = unit
        self._ignored = task.request.ignore_label
        if self.text:
            self._data = tensor.open()
            self._limits = bounds(tensor, tensor.size // max(tensor.shape[0], 1) if tensor.shape else 1)
            if self._limits[-1] != self._limits.size - 1:
                raise UnscorableError(f"{tensor.name!r} of shape {tensor.shape} holds several texts a sample")
        else:
            self._open_tokens(tensor)
        self.samples = self._limits.size - 1

    def _open_tokens(self, tensor: StoredTensor) -> None:
        inner = tensor.shape if tensor.ragged else tensor.shape[1:]
        scores = TensorRows(tensor).kind != "integer" and len(inner) == 2 and inner[1] > 1
        if len(inner) != 1 + scores:
            raise UnscorableError(
                f"{tensor.name!r} of shape {tensor.shape} holds no sequences: (samples, tokens), or "
                "(samples, tokens, classes) of scores, are needed"
            )
        self._rows = TensorRows(tensor, inner[1] if scores else 1)
        self._limits = bounds(tensor, 1 if tensor.ragged else inner[0])

    def read(self, samples: Index) -> list[Sequence[Hashable]]:
        """The sequences of some samples."""
        read = self._read_text if self.text else self._read_tokens
        return [read(index) for index in samples.tolist()]

    def _read_text(self, index: int) -> Sequence[Hashable]:
        text = self._data.strings(index, index + 1)[0].decode(errors="replace")
        if self._unit == "word":
            return text.split()
        return text if self._unit == "character" else (text,)

    def _read_tokens(self, index: int) -> Sequence[Hashable]:
        values = self._rows.take(np.arange(self._limits[index], self._limits[index + 1], dtype=np.int64))
        if values.shape[1] > 1:
            best = values.argmax(axis=1)
            broken = np.isnan(values[np.arange(best.size), best])
            values = np.where(broken, -1, best)  # another token than any
        values = values[np.isfinite(values)]  # NaN is a missing label
        return tuple(values[values != self._ignored].tolist())


def distance(reference: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Levenshtein's distance: the fewest insertions, deletions and substitutions."""
    if reference == other:
        return 0
    numbers: dict[Hashable, int] = {}
    first = np.array([numbers.setdefault(item, len(numbers)) for item in reference], np.int64)
    second = np.array([numbers.setdefault(item, len(numbers)) for item in other], np.int64)
    places = np.arange(second.size + 1)
    row = places.copy()
    for item in first:
        best = row + 1  # delete
        best[1:] = np.minimum(best[1:], row[:-1] + (second != item))
        row = np.minimum.accumulate(best - places) + places  # insert any number
    return int(row[-1])


def _weights(task: Scoring) -> Values:
    """One weight a labelled sample."""
    samples = task.labels.samples
    if task.weights is None:
        return np.ones(samples)
    rows = TensorRows(task.weights)
    if rows.count != samples:
        raise UnscorableError("texts need one weight a sample; drop tokens by `ignore_label`")
    return read_weights(rows, np.arange(samples, dtype=np.int64))

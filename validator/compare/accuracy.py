"""Task metrics from predictions and labels, alone (`score`) and paired (`paired`); streaming.

A prediction with a NaN counts as wrong; in an error metric what is not finite leaves no number. Both are
counted. An infinity alone is no fault: masked logits are minus infinity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from validator.compare.scores import METRICS, Chunk, Rule, Scoring, rule_for, scored_chunks
from validator.errors import ConfigurationError
from validator.tensors import StoredTensor

__all__ = [
    "LabelledOutput",
    "MetricValue",
    "PairedScores",
    "Scoring",
    "item_scores",
    "pair_labels",
    "paired",
    "score",
]

_LISTED = 100  # ids of flipped items kept of each kind


@dataclass(frozen=True)
class LabelledOutput:
    """An output with its labels."""

    output: StoredTensor
    labels: StoredTensor
    weights: StoredTensor | None


@dataclass(frozen=True)
class MetricValue:
    """One metric of one output. `samples`: items (rows, or tokens) left after the mask; None without any.

    `invalid`: how many of them have an unusable prediction (see above). `better` says which way is up.
    `masked`: items left out by ignore_label or a sample weight of 0.
    """

    metric: str
    output: str
    samples: int
    value: float | None
    invalid: int
    masked: int
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class PairedScores:
    """Two sides on the same items. `negative_flips`: right before, wrong after; `positive_flips`: reversed.

    Both are None for metrics that are not right-or-wrong. The ids are flat item indices, the first ones.
    """

    baseline: MetricValue
    candidate: MetricValue
    negative_flips: int | None
    positive_flips: int | None
    negative_ids: tuple[int, ...] = ()
    positive_ids: tuple[int, ...] = ()


def pair_labels(
    outputs: Sequence[StoredTensor], labels: Sequence[StoredTensor]
) -> tuple[LabelledOutput, ...]:
    """Find the outputs that have labels: by name, or the only one (docs/protocol.md, "A recording").

    ConfigurationError when labels fit no output.
    """
    by_name = {tensor.name: tensor for tensor in outputs}
    weights = {
        tensor.name: tensor
        for tensor in labels
        if tensor.name == "sample_weight" or tensor.name.endswith("/sample_weight")
    }
    true = [tensor for tensor in labels if tensor.name not in weights]
    found = []
    for tensor in true:
        output = by_name.get(tensor.name)
        if output is None and len(true) == len(outputs) == 1:
            output = outputs[0]
        if output is None:
            near = get_close_matches(tensor.name, by_name, 1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigurationError(
                f"labels {tensor.name!r} fit no output{meant}; the outputs are "
                f"{', '.join(map(repr, by_name)) or 'none'}; name each label array as its output"
            )
        weight = weights.get(f"{output.name}/sample_weight", weights.get("sample_weight"))
        found.append(LabelledOutput(output, tensor, weight))
    if not found:
        raise ConfigurationError("the labels hold no array but sample weights; add the labels themselves")
    return tuple(found)


def score(
    metric: str, prediction: StoredTensor, labels: StoredTensor, options: Scoring | None = None
) -> MetricValue:
    """One metric: `accuracy`, `top_K_accuracy`, `mae` or `mse`.

    `accuracy` is what the shapes say: class ids or one-hot labels against the arg max of the last axis; one
    sigmoid unit against `threshold`; equality for predictions that are integers, booleans or strings.
    ConfigurationError for an unknown metric, labels of another length, and labels that fit nothing.
    """
    options = options or Scoring()
    rule = rule_for(metric, prediction, labels, options)
    total = _Total()
    for chunk in scored_chunks(rule, prediction, labels, options):
        total.add(chunk)
    return total.value(rule, prediction.name)


def item_scores(
    metric: str, prediction: StoredTensor, labels: StoredTensor, options: Scoring | None = None
) -> Iterator[Chunk]:
    """The score of every item, in order, a bounded chunk at a time: 1 or 0, or the error."""
    options = options or Scoring()
    rule = rule_for(metric, prediction, labels, options)
    return scored_chunks(rule, prediction, labels, options)


def paired(
    metric: str,
    baseline: StoredTensor,
    candidate: StoredTensor,
    labels: StoredTensor,
    options: Scoring | None = None,
) -> PairedScores:
    """The same metric on both sides, and which items changed; both sides must have the same shape."""
    options = options or Scoring()
    if baseline.shape != candidate.shape:
        raise ConfigurationError(
            f"output {baseline.name!r}: predictions of {baseline.shape} and {candidate.shape} are no pairs"
        )
    rules = (
        rule_for(metric, baseline, labels, options),
        rule_for(metric, candidate, labels, options),
    )
    if rules[0] != rules[1]:
        raise ConfigurationError(
            f"output {baseline.name!r}: {baseline.dtype} became {candidate.dtype}, which has another {metric}"
        )
    totals = _Total(), _Total()
    flips: tuple[list[int], list[int]] = [], []
    counts = [0, 0]
    sides = (
        scored_chunks(rules[0], baseline, labels, options),
        scored_chunks(rules[1], candidate, labels, options),
    )
    for before, after in zip(*sides, strict=True):
        totals[0].add(before)
        totals[1].add(after)
        if rules[0].binary:
            lost = before.counted & (before.scores > after.scores)
            won = before.counted & (before.scores < after.scores)
            for at, which in enumerate((lost, won)):
                counts[at] += int(np.count_nonzero(which))
                room = _LISTED - len(flips[at])
                flips[at].extend((before.start + np.flatnonzero(which)[:room]).tolist())
    return PairedScores(
        totals[0].value(rules[0], baseline.name),
        totals[1].value(rules[1], candidate.name),
        counts[0] if rules[0].binary else None,
        counts[1] if rules[0].binary else None,
        tuple(flips[0]),
        tuple(flips[1]),
    )


class _Total:
    """The weighted mean of item scores."""

    def __init__(self) -> None:
        self._samples = self._invalid = self._masked = 0
        self._weighted = self._weight = 0.0

    def add(self, chunk: Chunk) -> None:
        counted = chunk.counted
        kept = int(np.count_nonzero(counted))
        self._samples += kept
        self._masked += counted.size - kept
        self._invalid += int(np.count_nonzero(chunk.invalid & counted))
        scores: NDArray[np.float64] = chunk.scores[counted]
        weights: NDArray[np.float64] = chunk.weights[counted]
        self._weighted += float(np.dot(scores, weights))
        self._weight += float(weights.sum())

    def value(self, rule: Rule, output: str) -> MetricValue:
        value = self._weighted / self._weight if self._weight > 0 else None
        if value is not None and not np.isfinite(value):
            value = None
        higher = METRICS.get(rule.metric, "higher")
        return MetricValue(rule.metric, output, self._samples, value, self._invalid, self._masked, higher)

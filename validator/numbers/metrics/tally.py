"""Running sums of what a metric is a function of, and the items that flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validator.numbers.metrics.pairing import Flags, Index, Numbers, Pairing
from validator.numbers.metrics.request import ClassResult
from validator.numbers.resampling import Values
from validator.numbers.statistics import holm, mcnemar_midp

_MOST_GROUPS = 4096  # their spread gives the standard error to 1 / sqrt(2 · 4096), about 1 %
_MOST_SUMS = 2**22
_WORST = 5  # how many classes are named


class Tally:
    """Sums of `width` components a side and group of samples.

    A group is one sample or, of more than 4096, a run of neighbours. The bootstrap resamples groups, which is
    valid for any grouping, and memory does not grow with the samples.
    """

    def __init__(self, pairing: Pairing, width: int, sides: int) -> None:
        self._samples = max(pairing.samples, 1)
        groups = min(self._samples, max(min(_MOST_GROUPS, _MOST_SUMS // (sides * width)), 64))
        self.sums = np.zeros((sides, groups, width))
        self.items = 0
        self.units = 0
        self._counts = np.zeros(groups, np.int64)
        self._last = -1
        self._weight = 0.0
        self._equal_weights = True

    def count(self, sample: Index, weights: Numbers) -> Index:
        """Count scored items, which come in the order of their samples; returns their groups."""
        group: Index = sample * self._counts.size // self._samples
        self._counts += np.bincount(group, minlength=self._counts.size)
        self.items += sample.size
        self.units += int(np.count_nonzero(np.diff(sample, prepend=self._last)))
        self._last = int(sample.max(initial=self._last))
        self._weight = self._weight or float(weights.max(initial=0))
        self._equal_weights &= bool(np.all(weights == self._weight))
        return group

    def add(self, side: int, group: Index, component: int | Index, values: Numbers) -> None:
        """Add one component of each item, which may differ between the items."""
        sums = self.sums[side]
        added = np.bincount(group * sums.shape[1] + component, weights=values, minlength=sums.size)
        sums += added.reshape(sums.shape)

    @property
    def independent(self) -> bool:
        """No sample has more than one scored item, and all weigh the same."""
        return self.items == self.units and self._equal_weights

    def components(self, side: int) -> Values:
        """A side's sums (groups, width), of the groups that have an item."""
        return np.asarray(self.sums[side, self._counts > 0])


@dataclass(frozen=True)
class Turned:
    """The items one of the sides has right and the other wrong; `sign` is 1 where that is the candidate.

    `label`: the class that an item is counted under. `before`, `after`, `truth`: what the baseline and the
    candidate predict, and the label itself.
    """

    sample: Index
    position: Index
    label: Index
    sign: NDArray[np.int8]
    tie: Flags
    before: Index
    after: Index
    truth: Index

    def part(self, chosen: Flags | Index) -> Turned:
        """Some of them, by flag or index."""
        return Turned(*(values[chosen] for values in vars(self).values()))

    def samples(self) -> tuple[int, int]:
        """How many samples lost and how many gained, on balance: items of a sample are not independent."""
        _, place = np.unique(self.sample, return_inverse=True)
        balance = np.bincount(place, weights=self.sign)
        return int(np.count_nonzero(balance < 0)), int(np.count_nonzero(balance > 0))


class Turns:
    """Collects flips, and how many items of each class there are and which side has right."""

    def __init__(self, classes: int) -> None:
        none = np.empty(0, np.int64)
        self._parts = [
            Turned(none, none, none, none.astype(np.int8), none.astype(np.bool_), none, none, none)
        ]
        self.items = np.zeros(classes, np.int64)
        self.right = np.zeros((2, classes), np.int64)

    def add(self, label: Index, right: tuple[Flags, Flags], turned: Turned) -> None:
        """Add a block: the class that each item is counted under, the sides that are right, and the flips."""
        self._parts.append(turned)
        self.items += np.bincount(label, minlength=self.items.size)
        for side in (0, 1):
            self.right[side] += np.bincount(label[right[side]], minlength=self.items.size)

    def all(self) -> Turned:
        """Every flip, in order."""
        columns = zip(*(vars(part).values() for part in self._parts), strict=True)
        return Turned(*(np.concatenate(column) for column in columns))

    def worst_classes(self, turned: Turned, alpha: float) -> tuple[ClassResult, ...]:
        """The classes that lost most by these flips; none where there is but one.

        Only classes with a flip are tests: without a flip none can be significantly worse, so it costs
        nothing (Tarone 1990, https://doi.org/10.2307/2531456).
        """
        if self.items.size == 1:
            return ()
        ordered = turned.part(np.argsort(turned.label, kind="stable"))
        labels, starts = np.unique(ordered.label, return_index=True)
        parts = np.split(np.arange(ordered.label.size), starts[1:])
        p_values = [mcnemar_midp(*ordered.part(part).samples()) for part in parts if part.size]
        results = []
        for label, p_adjusted in zip(labels.tolist(), holm(p_values), strict=True):
            items = int(self.items[label])
            before, after = (float(side[label]) / items for side in self.right)
            worse = p_adjusted < alpha
            if after < before:
                results.append(
                    ClassResult(label=label, samples=items, baseline=before, candidate=after, worse=worse)
                )
        results.sort(key=lambda row: (not row.worse, row.candidate - row.baseline, row.label))
        return tuple(results[:_WORST])

"""Running sums of what a metric is a function of, and the items that flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validator.compare.metrics.pairing import Index, Numbers, Pairing
from validator.compare.metrics.request import SHOWN, WORST, ClassDelta, FlipList, MetricRequest
from validator.compare.resampling import Values
from validator.compare.statistics import holm, mcnemar_midp

_MOST_GROUPS = 4096  # their spread gives the standard error to 1 / sqrt(2 · 4096), about 1 %
_MOST_SUMS = 2**22


class Tally:
    """Sums of `width` components a side and group of samples.

    A group is one sample or, of more than 4096, a run of neighbours. The bootstrap resamples groups, which is
    valid for any grouping, and memory does not grow with the samples.
    """

    def __init__(self, pairing: Pairing, width: int, sides: int = 2) -> None:
        samples = max(pairing.sample.size, 1)
        self.groups = min(samples, max(min(_MOST_GROUPS, _MOST_SUMS // (sides * width)), 64))
        self._samples = samples
        self.sums = np.zeros((sides, self.groups, width))
        self.counts = np.zeros(self.groups, np.int64)
        self.items = 0
        self.units = 0
        self._last = -1

    def group_of(self, sample: Index) -> Index:
        """The group of each sample."""
        return sample if self.groups == self._samples else sample * self.groups // self._samples

    def count(self, sample: Index) -> Index:
        """Count scored items, which come in the order of their samples; returns their groups."""
        group = self.group_of(sample)
        self.counts += np.bincount(group, minlength=self.groups)
        self.items += sample.size
        self.units += int(np.count_nonzero(np.diff(sample))) + int(sample[0] != self._last)
        self._last = int(sample[-1])
        return group

    def add(self, side: int, group: Index, component: int, values: Numbers) -> None:
        """Add one component of each item."""
        self.sums[side, :, component] += np.bincount(group, weights=values, minlength=self.groups)

    def add_at(self, side: int, group: Index, component: Index, values: Numbers) -> None:
        """Add to a component that differs between the items."""
        width = self.sums.shape[2]
        added = np.bincount(group * width + component, weights=values, minlength=self.groups * width)
        self.sums[side] += added.reshape(self.groups, width)

    @property
    def independent(self) -> bool:
        """No sample has more than one scored item."""
        return self.items == self.units

    def totals(self) -> Values:
        """Sums over all samples, (sides, width)."""
        return np.asarray(self.sums.sum(axis=1))

    def components(self, side: int) -> Values:
        """A side's sums (groups, width), of the groups that have an item."""
        return np.asarray(self.sums[side, self.counts > 0])


@dataclass(frozen=True)
class Turned:
    """The items one of the sides has right and the other wrong."""

    sample: Index
    position: Index
    label: Index
    sign: NDArray[np.int8]
    tie: NDArray[np.bool_]

    def part(self, chosen: NDArray[np.bool_] | Index) -> Turned:
        """Some of them, by flag or index."""
        return Turned(
            self.sample[chosen],
            self.position[chosen],
            self.label[chosen],
            self.sign[chosen],
            self.tie[chosen],
        )


class Turns:
    """Collects flips, and how many items of each class there are and which side has right."""

    def __init__(self, classes: int) -> None:
        self._parts: list[Turned] = []
        self.items = np.zeros(classes, np.int64)
        self.right = np.zeros((2, classes), np.int64)

    def add(self, turned: Turned) -> None:
        """Add the flips of a block."""
        if turned.sample.size:
            self._parts.append(turned)

    def count(self, label: Index, right: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> None:
        """Count a block's items by class."""
        classes = self.items.size
        self.items += np.bincount(label, minlength=classes)
        for side in (0, 1):
            self.right[side] += np.bincount(label[right[side]], minlength=classes)

    def all(self) -> Turned:
        """Every flip, in order."""
        if not self._parts:
            none = np.empty(0, np.int64)
            return Turned(none, none, none, np.empty(0, np.int8), np.empty(0, np.bool_))
        return Turned(
            np.concatenate([part.sample for part in self._parts]),
            np.concatenate([part.position for part in self._parts]),
            np.concatenate([part.label for part in self._parts]),
            np.concatenate([part.sign for part in self._parts]),
            np.concatenate([part.tie for part in self._parts]),
        )


def samples_turned(turned: Turned) -> tuple[int, int]:
    """How many samples lost and how many gained, on balance: items of one sample are not independent."""
    if turned.sample.size == 0:
        return 0, 0
    starts = np.flatnonzero(np.concatenate(([True], np.diff(turned.sample) != 0)))
    balance = np.add.reduceat(turned.sign.astype(np.int64), starts)
    return int(np.count_nonzero(balance < 0)), int(np.count_nonzero(balance > 0))


def flip_list(turned: Turned, pairing: Pairing, request: MetricRequest) -> FlipList:
    """Count flips and name the first."""
    first = zip(turned.sample[:SHOWN].tolist(), turned.position[:SHOWN].tolist(), strict=True)
    names = tuple(pairing.name_of(request, sample, position) for sample, position in first)
    return FlipList(int(turned.sample.size), names)


def worst_classes(turns: Turns, turned: Turned, alpha: float) -> tuple[tuple[ClassDelta, ...], int]:
    """The classes that lost most, and how many were tested.

    Only classes with a flip are tests: one without can never be found worse, so it costs nothing
    (Tarone 1990, https://doi.org/10.2307/2531456).
    """
    ordered = turned.part(np.argsort(turned.label, kind="stable"))
    labels, starts = np.unique(ordered.label, return_index=True)
    ends = np.append(starts[1:], ordered.label.size)
    rows, p_values = [], []
    for label, start, end in zip(labels.tolist(), starts.tolist(), ends[: labels.size].tolist(), strict=True):
        own = ordered.part(np.arange(start, end))
        negative = int(np.count_nonzero(own.sign < 0))
        rows.append((label, negative, end - start - negative))
        p_values.append(mcnemar_midp(*samples_turned(own)))
    deltas = []
    for (label, negative, positive), p_adjusted in zip(rows, holm(p_values), strict=True):
        items = int(turns.items[label])
        before, after = (float(turns.right[side, label]) / items for side in (0, 1))
        worse = p_adjusted < alpha and after < before
        deltas.append(
            ClassDelta(label, items, before, after, after - before, negative, positive, p_adjusted, worse)
        )
    deltas.sort(key=lambda row: (not row.worse, row.delta, row.label))
    return tuple(row for row in deltas if row.delta < 0)[:WORST], len(deltas)

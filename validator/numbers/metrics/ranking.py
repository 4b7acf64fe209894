"""Area under the ROC curve. Every positive is compared with every negative: all scores are held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from validator.numbers.metrics.pairing import Flags, Index, ItemBlock, Numbers, Pairing, pair
from validator.numbers.metrics.request import MetricNote, Scored, Scoring, UnscorableError
from validator.numbers.metrics.scorers import is_distribution
from validator.numbers.resampling import Values, index_bootstrap, influence_estimate

_RESAMPLES = 500


@dataclass(frozen=True)
class _Column:
    """One question of yes or no, (items,) each: a score that is NaN ranks on the wrong side."""

    sample: Index
    positive: Flags
    weights: Values
    sides: tuple[Values, Values]

    @classmethod
    def of(cls, items: ItemBlock, positive: Flags, sides: Sequence[Values]) -> _Column:
        worst = np.where(positive, -np.inf, np.inf)
        before, after = (np.where(np.isnan(side), worst, side) for side in sides)
        return cls(items.sample, positive, items.weights, (before, after))


def score_areas(task: Scoring) -> Scored:
    """AUC of binary labels; of several columns of labels, or of one class against the rest, the mean.

    Columns with labels of one kind only are left out.
    """
    pairing = pair(task, elementwise=False)
    blocks = [vars(block).values() for block in pairing.blocks(task)]
    if not blocks:
        raise UnscorableError("no label counts: all are missing, ignored or weigh 0")
    items = ItemBlock(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
    columns = _columns(items, pairing)
    usable = [column for column in columns if column.positive.any() and not column.positive.all()]
    if not usable:
        raise UnscorableError("the labels are all of one class: AUC is undefined")
    notes = pairing.notes
    if len(usable) < len(columns):
        absent = len(columns) - len(usable)
        notes = (*notes, MetricNote(kind="one-kind", count=absent, total=len(columns)))
    areas = [[_area(column, side, column.weights) for side in column.sides] for column in usable]
    before, after = np.mean(areas, axis=0).tolist()
    samples = np.concatenate([column.sample for column in usable])
    influence = np.concatenate([_influence(column, 1) - _influence(column, 0) for column in usable])
    units, inverse = np.unique(samples, return_inverse=True)
    summed = np.bincount(inverse, weights=influence) * units.size / len(usable)
    estimate = influence_estimate(after - before, summed, task.request.criterion.alpha)
    if estimate.p_worse is None:  # too few for the normal law, or both sides separate perfectly
        plan = replace(task.resampling, resamples=_RESAMPLES)
        estimate = index_bootstrap(units.size, _Resampled(usable, units).difference, plan)
    return Scored(before, after, items.sample.size, estimate, estimate.interval, notes)


def _columns(items: ItemBlock, pairing: Pairing) -> list[_Column]:
    if pairing.layout == "scores":
        before, after = (_probabilities(side) for side in (items.baseline, items.candidate))
        classes = [1] if pairing.width == 2 else range(pairing.width)
        return [
            _Column.of(items, items.labels == kind, (before[:, kind], after[:, kind])) for kind in classes
        ]
    if not np.isin(items.labels, (0, 1)).all():
        raise UnscorableError("AUC of one score an item needs labels 0 and 1")
    which = items.position % pairing.columns
    parts = [items.part(which == column) for column in range(pairing.columns)]
    return [_Column.of(part, part.labels == 1, (part.baseline[:, 0], part.candidate[:, 0])) for part in parts]


def _probabilities(scores: Numbers) -> Values:
    """Scores of one sample become comparable with those of another."""
    from scipy import special

    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return wide if is_distribution(wide) else np.asarray(special.softmax(wide, axis=1))


class _Resampled:
    """The difference of both AUCs when samples are drawn again, or their sides swapped."""

    def __init__(self, columns: list[_Column], units: Index) -> None:
        self._columns = [(column, np.searchsorted(units, column.sample)) for column in columns]
        self._units = units.size

    def difference(self, rows: Index, swapped: Flags) -> float:
        """Of the drawn samples; ValueError if a column's labels are all of one kind."""
        drawn = np.bincount(rows, minlength=self._units)
        turned = np.zeros(self._units, np.bool_)
        turned[rows[swapped]] = True
        gains = []
        for column, place in self._columns:
            weights = column.weights * drawn[place]
            before, after = column.sides
            swap = turned[place]
            first, second = np.where(swap, after, before), np.where(swap, before, after)
            gains.append(_area(column, second, weights) - _area(column, first, weights))
        return float(np.mean(gains))


def _area(column: _Column, scores: Values, weights: Values) -> float:
    own, other = (column.positive & (weights > 0), ~column.positive & (weights > 0))
    if not own.any() or not other.any():
        raise ValueError("labels of one kind only")
    return float(np.average(_share_below(scores[own], scores[other], weights[other]), weights=weights[own]))


def _influence(column: _Column, side: int) -> Values:
    """What each item adds to the AUC's deviation: DeLong's components (Biometrics 44:837, 1988), weighted."""
    scores, positive, weights = column.sides[side], column.positive, column.weights
    won = np.empty(scores.size)
    won[positive] = _share_below(scores[positive], scores[~positive], weights[~positive])
    won[~positive] = 1 - _share_below(scores[~positive], scores[positive], weights[positive])
    area = float(np.average(won[positive], weights=weights[positive]))
    totals = np.where(positive, weights[positive].sum(), weights[~positive].sum())
    return np.asarray((won - area) * weights / totals)


def _share_below(scores: Values, others: Values, weights: Values) -> Values:
    """The weight of the others below each score, equal ones by half."""
    order = np.argsort(others)
    ranked = others[order]
    summed = np.concatenate(([0.0], np.cumsum(weights[order])))
    both = summed[np.searchsorted(ranked, scores, "left")] + summed[np.searchsorted(ranked, scores, "right")]
    return np.asarray(both / (2 * summed[-1]))

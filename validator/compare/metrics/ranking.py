"""Area under the ROC curve. Every positive is compared with every negative: all scores are held."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from validator.compare.metrics.pairing import Block, Index, Numbers, Pairing
from validator.compare.metrics.request import Task, UnscorableError
from validator.compare.metrics.scorers import is_distribution
from validator.compare.resampling import Values, index_bootstrap, influence_estimate
from validator.compare.statistics import Estimate

Flags = NDArray[np.bool_]

_RESAMPLES = 500


@dataclass(frozen=True)
class Areas:
    """Both AUCs, and the estimate of their difference."""

    samples: int
    baseline: float
    candidate: float
    estimate: Estimate
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    """One question of yes or no: the scores of both sides, (items,) each."""

    name: int
    sample: Index
    positive: Flags
    scores: tuple[Values, Values]
    weights: Values


def areas(task: Task, pairing: Pairing, alpha: float) -> Areas:
    """AUC of binary labels; of several columns of labels, or of one class against the rest, the mean.

    Columns with labels of one kind only are left out. A score that is NaN ranks on the wrong side.
    """
    blocks = [_kept(block) for block in pairing.blocks(task)]
    if not blocks:
        raise UnscorableError("no label counts: all are missing, ignored or weigh 0")
    columns = _by_class(blocks, pairing.width) if pairing.layout == "scores" else _by_column(blocks, pairing)
    usable = [column for column in columns if column.positive.any() and not column.positive.all()]
    if not usable:
        raise UnscorableError("the labels are all of one class: AUC is undefined")
    notes = pairing.notes
    if len(usable) < len(columns):
        absent = len(columns) - len(usable)
        notes = (*notes, f"{absent} of {len(columns)} classes have labels of one kind only and are left out")
    values = np.array([[_area(column, side) for side in (0, 1)] for column in usable]).mean(axis=0)
    samples = np.concatenate([column.sample for column in usable])
    influence = np.concatenate([_influence(column, 1) - _influence(column, 0) for column in usable])
    units, inverse = np.unique(samples, return_inverse=True)
    summed = np.bincount(inverse, weights=influence) * units.size / len(usable)
    estimate = influence_estimate(float(values[1] - values[0]), summed, alpha)
    if estimate.p_worse is None:  # too few for the normal law, or both sides separate perfectly
        plan = replace(task.request.resampling, alpha=alpha, resamples=_RESAMPLES)
        estimate = index_bootstrap(units.size, _Resampled(usable, units).difference, plan)
    items = sum(block.sample.size for block in blocks)
    return Areas(items, float(values[0]), float(values[1]), estimate, notes)


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
            before, after = column.scores
            swap = turned[place]
            first, second = np.where(swap, after, before), np.where(swap, before, after)
            gains.append(_weighted_area(column, second, weights) - _weighted_area(column, first, weights))
        return float(np.mean(gains))


def _weighted_area(column: _Column, scores: Values, weights: Values) -> float:
    own, other = (column.positive & (weights > 0), ~column.positive & (weights > 0))
    if not own.any() or not other.any():
        raise ValueError("labels of one kind only")
    return float(np.average(_share_below(scores[own], scores[other], weights[other]), weights=weights[own]))


def _kept(block: Block) -> Block:
    """A block whose arrays outlive the next one."""
    return Block(
        block.sample,
        block.position,
        np.array(block.baseline, np.float64),
        np.array(block.candidate, np.float64),
        np.array(block.labels),
        block.weights,
    )


def _by_class(blocks: list[Block], width: int) -> list[_Column]:
    sample = np.concatenate([block.sample for block in blocks])
    labels = np.concatenate([block.labels for block in blocks]).astype(np.int64)
    weights = np.concatenate([block.weights for block in blocks])
    before = _probabilities(np.concatenate([block.baseline for block in blocks]))
    after = _probabilities(np.concatenate([block.candidate for block in blocks]))
    asked = [1] if width == 2 else range(width)
    return [
        _column(kind, (sample, labels == kind, weights), (before[:, kind], after[:, kind])) for kind in asked
    ]


def _by_column(blocks: list[Block], pairing: Pairing) -> list[_Column]:
    labels = np.concatenate([block.labels for block in blocks])
    if not np.isin(labels, (0, 1)).all():
        raise UnscorableError("AUC of one score an item needs labels 0 and 1")
    sample = np.concatenate([block.sample for block in blocks])
    weights = np.concatenate([block.weights for block in blocks])
    before = np.concatenate([block.baseline[:, 0] for block in blocks])
    after = np.concatenate([block.candidate[:, 0] for block in blocks])
    which = np.concatenate([block.position for block in blocks]) % pairing.columns
    columns = []
    for name in range(pairing.columns):
        own = which == name
        columns.append(
            _column(name, (sample[own], labels[own] == 1, weights[own]), (before[own], after[own]))
        )
    return columns


def _column(name: int, items: tuple[Index, Flags, Values], sides: tuple[Values, Values]) -> _Column:
    sample, positive, weights = items
    worst = np.where(positive, -np.inf, np.inf)
    first, second = (np.where(np.isnan(side), worst, side) for side in sides)
    return _Column(name, sample, positive, (first, second), weights)


def _probabilities(scores: Numbers) -> Values:
    """Scores of one sample become comparable with those of another."""
    if is_distribution(scores):
        return scores
    with np.errstate(invalid="ignore"):
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _area(column: _Column, side: int) -> float:
    from sklearn.metrics import roc_auc_score

    _, ranks = np.unique(
        column.scores[side], return_inverse=True
    )  # the order is all that counts; no infinity
    return float(roc_auc_score(column.positive, ranks, sample_weight=column.weights))


def _influence(column: _Column, side: int) -> Values:
    """What each item adds to the AUC's deviation: DeLong's components (Biometrics 44:837, 1988), weighted."""
    scores, positive, weights = column.scores[side], column.positive, column.weights
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

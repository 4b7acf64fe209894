"""Trainings whose random layers draw anew, on both sides: are they drawn from the same distribution?

Random generators differ between releases, so single draws say nothing. The energy distance of two samples
(Székely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018) is zero where their distributions are
the same, and grows with any difference: of the mean, of the spread, of the dependence between values. How
large it is by chance is known from other ways to split the draws of both sides into two halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from validator.checks.training.answers import Trained

Values = NDArray[np.float64]
Quantity = Literal["outputs", "loss"]
_SPLITS = 19_999


@dataclass(frozen=True)
class DrawnDifference:
    """One quantity over the draws of both sides. `spreads`: standard deviation over draws, root mean square.

    `p`: how likely chance alone makes the sides as different.
    """

    quantity: Quantity
    draws: int
    p: float
    means: tuple[float, float]
    spreads: tuple[float, float]


def drawn_differences(baseline: Trained, candidate: Trained) -> tuple[DrawnDifference, ...]:
    """Of the outputs of the first step, and of the losses of all; none where a side draws nothing."""
    old, new = baseline.answer.draws, candidate.answer.draws
    if old is None or new is None:
        return ()
    forward = (_rows(baseline.values(old.forward)), _rows(candidate.values(new.forward)))
    losses = tuple(np.array(draws.losses, np.float64) for draws in (old, new))
    quantities: dict[Quantity, tuple[Values, Values]] = {"outputs": forward, "loss": (losses[0], losses[1])}
    return tuple(
        _difference(quantity, *sides)
        for quantity, sides in quantities.items()
        if sides[0].shape == sides[1].shape and sides[0].size and np.isfinite(sides).all()
    )


def _rows(values: list[Values]) -> Values:
    return np.stack(values) if values and len({len(value) for value in values}) == 1 else np.zeros((0, 0))


def _difference(quantity: Quantity, baseline: Values, candidate: Values) -> DrawnDifference:
    sides = (baseline, candidate)
    spreads = tuple(float(np.sqrt(side.var(axis=0, ddof=1).mean())) for side in sides)
    return DrawnDifference(
        quantity,
        len(baseline),
        permutation_p(baseline, candidate),
        (float(baseline.mean()), float(candidate.mean())),
        (spreads[0], spreads[1]),
    )


def permutation_p(baseline: Values, candidate: Values) -> float:
    """How likely chance alone makes two samples of as many draws (draws, n) as different as they are.

    Twice the smaller p of two permutation tests: of the energy distance, and of the ratio of the mean
    distances within each side, since few draws in many dimensions show another spread in the second first.
    """
    count = len(baseline)
    draws = np.concatenate([baseline, candidate])
    squares = np.square(draws).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * draws @ draws.T, 0))
    shuffled = np.random.RandomState(0).rand(_SPLITS, 2 * count).argsort(axis=1)
    first = np.concatenate(
        [np.arange(count)[None], shuffled[:, :count]]
    )  # the first split is the one observed
    sides = np.zeros((2, len(first), 2 * count))
    np.put_along_axis(sides[0], first, 1.0, axis=1)
    sides[1] = 1 - sides[0]
    within = (sides @ distances * sides).sum(axis=2)
    energy = distances.sum() - 2 * within.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(np.abs(np.log(within[0] / within[1])))
    return min(1.0, 2 * min(_share(energy), _share(ratio)))


def _share(statistics: Values) -> float:
    """Of the splits, those with at least the statistic of the first."""
    return float(np.mean(statistics >= statistics[0] - 1e-9 * np.abs(statistics).max()))

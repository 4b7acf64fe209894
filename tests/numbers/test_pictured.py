"""What is drawn of an output: bins of differences, the worst row, points, and top-1 changes by class."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from validator.numbers.ensembles import Ensemble
from validator.numbers.pictured import histogram, moved_points, top1_pairs, worst_row
from validator.storage.tensors import StoredTensor

RANDOM = np.random.default_rng(3)
OLD = RANDOM.normal(0, 1, (40, 30)).astype(np.float32)


def stored(values: np.ndarray) -> StoredTensor:
    return StoredTensor.from_array("output", values)


def test_bins_hold_every_difference_once_beside_the_noise() -> None:
    new = OLD.copy()
    new[3, 4] += 1.0
    new[5, :] += 1e-3
    member = OLD.copy()
    member[0, 0] += 1e-5
    ensemble = Ensemble("operations", np.arange(40), (stored(member),))
    drawn = histogram(stored(OLD), stored(new), ensemble)
    assert drawn is not None
    assert sum(drawn.drift) == 31
    assert sum(drawn.noise) == 1
    assert drawn.drift_equal == OLD.size - 31
    assert drawn.elements == OLD.size
    edges = 10 ** ((drawn.first + np.arange(len(drawn.drift))) / drawn.per_decade)
    [largest] = edges[-1:]
    assert largest <= 1.0 < largest * 10 ** (1 / drawn.per_decade) * 1.001


def test_nothing_that_moved_has_no_bins() -> None:
    assert histogram(stored(OLD), stored(OLD), Ensemble.nothing(stored(OLD))) is None


def test_what_is_not_finite_is_no_warning_and_no_point_that_moved() -> None:
    old, new = OLD.copy(), OLD.copy()
    old[0, :2] = new[0, :2] = np.inf
    new[1, 0] = np.nan
    new[2, 0] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = histogram(stored(old), stored(new), Ensemble.nothing(stored(old)))
        assert drawn is not None
        assert sum(drawn.drift) == 1
        assert worst_row(stored(old), stored(new), (0, 1), ranked=False) is not None
        points = moved_points(stored(old), stored(new))
    assert points[0] == pytest.approx((old[2, 0], new[2, 0]))


def test_the_worst_row_has_the_columns_that_say_most() -> None:
    new = OLD.copy()
    new[7, 29] += 50
    ranked = worst_row(stored(OLD), stored(new), (7, 29), ranked=True)
    plain = worst_row(stored(OLD), stored(new), (7, 29), ranked=False)
    assert ranked is not None
    assert plain is not None
    assert (ranked.index, ranked.width) == ((7,), 30)
    assert {int(OLD[7].argmax()), 29} <= set(ranked.columns)
    assert 29 in plain.columns
    assert plain.candidate[plain.columns.index(29)] == pytest.approx(float(new[7, 29]))


def test_top1_changes_are_counted_by_their_two_classes() -> None:
    new = OLD.copy()
    for row in (1, 2, 3):
        new[row, 5] = 100
    pairs = top1_pairs(stored(OLD), stored(new))
    assert sum(pair.count for pair in pairs) == sum(int(OLD[row].argmax()) != 5 for row in (1, 2, 3))
    assert all(pair.candidate == 5 for pair in pairs)


def test_points_are_those_that_moved_most_and_an_even_choice() -> None:
    new = OLD.copy()
    new[9, 9] += 3
    points = moved_points(stored(OLD), stored(new))
    assert points[0] == (float(OLD[9, 9]), float(new[9, 9]))
    assert len(points) > 200

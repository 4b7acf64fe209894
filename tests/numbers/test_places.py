"""Discrete outputs, the samples that moved most, and float64 against float64."""

from __future__ import annotations

import numpy as np
import pytest

from validator.numbers.ensembles import Ensemble, read_codes, read_patterns
from validator.numbers.moved import chosen_batches, most_moved
from validator.numbers.places import compare_places
from validator.numbers.reference import measure_reference
from validator.storage.tensors import StoredTensor

EVERY = np.arange(10)


def stored(values: object) -> StoredTensor:
    return StoredTensor.from_array("output", np.asarray(values))


def labels(**flips: int) -> np.ndarray:
    """Ten labels, 0 but where flipped: `r3=1` is label 1 in row 3."""
    drawn = np.zeros(10, np.int64)
    for row, label in flips.items():
        drawn[int(row[1:])] = label
    return drawn


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("new", "members", "expected"),
    [
        (labels(r3=1), [labels(r3=1), labels()], (1, 0, 1)),  # a tie that a member flips too
        (labels(r3=1), [labels(), labels()], (1, 1, 0)),
        (labels(r3=2), [labels(r3=1), labels(r3=1)], (1, 1, 0)),  # flipped, but to another label
        (labels(r3=1, r4=1, r5=1), [labels(r3=1), labels(r4=1, r7=1, r8=1)], (3, 1, 3)),
        (labels(), [labels(r3=1), labels()], (0, 0, 1)),
        (labels(r3=1), [], (1, 1, 0)),
    ],
)
def test_places_are_held_against_those_of_members(
    new: np.ndarray, members: list[np.ndarray], expected: tuple[int, int, int], as_text: bool
) -> None:
    def taken(values: np.ndarray) -> StoredTensor:
        return stored(np.array(["cat", "dog", "owl"])[values] if as_text else values)

    moved = Ensemble("operations", EVERY, tuple(map(taken, members)))
    places = compare_places(taken(labels()), taken(new), moved, read_codes)
    assert (places.moved, places.novel, places.reach) == expected
    assert places.size == 10
    assert places.flips == max((np.count_nonzero(member) for member in members), default=0)


@pytest.mark.parametrize(("flips", "novel"), [(0, 2), (1, 1), (3, 0)])
def test_places_without_members_count_beyond_the_rate_of_flips(flips: int, novel: int) -> None:
    member = labels(**{f"r{row}": 1 for row in range(flips)})[:5]
    moved = Ensemble("operations", np.arange(5), (stored(member), stored(labels()[:5])))
    places = compare_places(stored(labels()), stored(labels(r7=1, r8=1)), moved, read_codes)
    assert (places.moved, places.novel) == (2, novel)


def test_the_pattern_of_what_is_not_finite() -> None:
    old = np.ones((10, 1), np.float32)
    new, other = old.copy(), old.copy()
    new[2], new[4], other[2] = np.nan, np.inf, -np.nan
    moved = Ensemble("operations", EVERY, (stored(other), stored(old)))
    places = compare_places(stored(old), stored(new), moved, read_patterns)
    assert (places.moved, places.novel, places.reach) == (2, 1, 1)  # the sign of a NaN is none


class TestMoved:
    def test_samples_come_first_by_each_measure(self) -> None:
        old = np.tile(np.float32([[1e6, 1.0, 0.0]]), (10, 1))
        new = old.copy()
        new[4, 0] += 64  # the largest
        new[7, 1] += 0.5  # the largest of its column
        new[2, 2] = np.nan
        new[8] *= np.float32(1 + 1e-6)
        assert set(most_moved([(stored(old), stored(new))], 10)) == {2, 4, 7, 8}
        assert set(most_moved([(stored(old), stored(new))], 10)[:3]) == {2, 4, 7}

    def test_a_column_of_zeros_that_moves(self) -> None:
        old = np.zeros((10, 2), np.float32)
        new = old.copy()
        new[6, 1] = 1e-6
        assert most_moved([(stored(old), stored(new))], 10) == (6,)

    def test_labels_and_what_has_no_samples(self) -> None:
        scalar = StoredTensor.from_array("loss", np.ones(3, np.float32), batched=False)
        assert most_moved([(stored(labels()), stored(labels(r3=1))), (scalar, scalar)], 10) == (3,)

    def test_batches_by_turns_moved_and_evenly(self) -> None:
        assert chosen_batches([5], 100, 10, 10) is None
        assert chosen_batches([95, 94, 33], 100, 10, 4) == (9, 0, 3, 6)
        assert chosen_batches([], 1000, 10, 3) == (0, 50, 99)
        assert chosen_batches([995], 1000, 10, 1) == (99,)


class TestReference:
    def test_the_whole_a_row_and_a_column(self) -> None:
        exact = np.random.default_rng(0).standard_normal((20, 5)) * np.array([1e6, 1, 1, 1, 1])
        new = exact.copy()
        new[:, 3] *= 1 + 1e-4
        distance = measure_reference(
            (stored(exact.astype(np.float32)),) * 2, (stored(exact), stored(new)), np.arange(20)
        )
        assert distance.delta < 1e-9
        assert distance.column_delta == pytest.approx(1e-4, rel=1e-3)
        assert distance.index == (3,)

    def test_a_small_part_counts_beside_one_that_is_a_billion_times_as_large(self) -> None:
        """Of columns, and of samples: the whole says nothing about a part that is right to many digits."""
        exact = np.random.default_rng(0).standard_normal((20, 5))
        for huge in (np.s_[:, 0], np.s_[3]):
            old = exact.copy()
            old[huge] *= 1e14
            new = np.where(old == exact, 1.2 * old, old)
            recorded = stored(old.astype(np.float32)), stored(new.astype(np.float32))
            distance = measure_reference(recorded, (stored(old), stored(new)), np.arange(20))
            assert distance.delta < 1e-12
            assert max(distance.row_delta, distance.column_delta) == pytest.approx(0.2)

    def test_what_cancels_in_float64_is_no_other_function(self) -> None:
        exact = np.random.default_rng(0).standard_normal((20, 2))
        exact[:, 1] *= 1e-17
        recorded = exact.astype(np.float32)
        recorded[:, 1] = 1e-8
        new = exact.copy()
        new[:, 1] *= -1
        distance = measure_reference((stored(recorded),) * 2, (stored(exact), stored(new)), np.arange(20))
        assert max(distance.delta, distance.column_delta) < 1e-7

    def test_another_pattern_of_nan_leaves_no_number(self) -> None:
        exact = np.ones((4, 2))
        new = exact.copy()
        new[1, 1] = np.nan
        recorded = stored(exact.astype(np.float32))
        distance = measure_reference((recorded, recorded), (stored(exact), stored(new)), np.arange(4))
        assert np.isnan(distance.delta)

    def test_rows_are_those_that_ran(self) -> None:
        exact = np.arange(1.0, 11).reshape(10, 1)
        recorded = stored((exact * (1 + 1e-3)).astype(np.float32))
        rows = np.array([8, 9, 0])
        distance = measure_reference((recorded, recorded), (stored(exact[rows]),) * 2, rows)
        assert distance.delta == 0
        assert distance.baseline == pytest.approx(1e-3 * distance.reference, rel=1e-3)


def test_some_rows_of_a_text_output_are_read_in_their_order() -> None:
    texts = np.array([["a", "b"], ["c", "dd"], ["", "é"], ["x", "y"]], object)
    output = StoredTensor.from_array("output", texts.astype(str))
    assert read_codes(output).tolist() == [text.encode() for text in texts.ravel()]
    every = read_codes(output).reshape(4, 2)
    for rows in ([3], [0, 1], [2, 0, 1, 3], []):
        place = np.asarray(rows, np.intp)
        assert read_codes(output, place).tolist() == every[place].reshape(-1).tolist()


def test_rows_without_members_are_all_the_others() -> None:
    output = stored(np.arange(50.0).reshape(25, 2))
    ensemble = Ensemble("weights", np.asarray([3, 4, 9, 24]))
    pieces = list(ensemble.unmeasured(output, 1 << 14))
    assert len(pieces) > 1
    assert all(0 < len(piece) <= 4 for piece in pieces)
    assert np.concatenate(pieces).tolist() == [row for row in range(25) if row not in (3, 4, 9, 24)]

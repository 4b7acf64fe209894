"""Drift over noise: against the definition, and what no grain may hide. Members are drawn, no model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validator.checks.outputs.find import judge_output
from validator.checks.outputs.types import OutputNumbers
from validator.numbers import drift as drifts
from validator.numbers.distance import compare_tensors
from validator.numbers.drift import Drift, measure_drift
from validator.numbers.ensembles import Ensemble
from validator.numbers.floor import GRAINS, Values, chaos_of, least_variance, measure_floor, unit_floor
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors
from validator.verdict.bands import BANDS

EIGHT = 8
UNIT = 2.0**-24


def rounded(
    exact: np.ndarray, seed: int, noise: float | np.ndarray = 1e-7, dtype: Any = np.float32
) -> np.ndarray:
    """Another rounding of the same numbers."""
    rng = np.random.default_rng(seed)
    return (exact * (1 + noise * rng.standard_normal(exact.shape))).astype(dtype)


def stored(values: np.ndarray) -> StoredTensor:
    return StoredTensor.from_array("output", values)


def ensemble(exact: np.ndarray, rows: np.ndarray | None = None, **more: Any) -> Ensemble:
    rows = np.arange(len(exact)) if rows is None else rows
    return Ensemble(
        "operations", rows, tuple(stored(rounded(exact, 100 + k, **more)[rows]) for k in range(EIGHT))
    )


def measured(exact: np.ndarray, new: np.ndarray, members: Ensemble, **more: Any) -> Drift:
    return measure_drift(stored(rounded(exact, 1, **more)), stored(new), members, BANDS.outputs.units).drift


def verdict(
    exact: np.ndarray, new: np.ndarray, members: Ensemble | None = None, **more: Any
) -> tuple[str, str]:
    old = stored(rounded(exact, 1, **more))
    taken = members or ensemble(exact, **more)
    drift = measure_drift(old, stored(new), taken, BANDS.outputs.units).drift
    numbers = OutputNumbers(name="output", comparison=compare_tensors(old, stored(new)), drift=drift)
    result = judge_output(numbers, BANDS)
    return str(result.verdict), result.grain.grain if result.grain else ""


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape) + 3.0


def by_definition(old: np.ndarray, new: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four grains and their reach, written down as docs/verdicts.md has them, in loops."""

    def sigma(noise: np.ndarray) -> np.ndarray:
        least = np.maximum((UNIT * np.abs(old)) ** 2, 2.0**-252)
        moved = (noise**2).mean(0)
        fit, rows = np.maximum(moved, least), np.ones((len(old), 1))
        for _ in range(6):
            columns = (fit / rows).mean(0, keepdims=True)
            rows = (fit / columns).mean(1, keepdims=True)
        return np.maximum.reduce([moved, rows * columns, least])

    def grains(difference: np.ndarray, variance: np.ndarray) -> np.ndarray:
        squares = difference**2 / variance
        weights = np.array(
            [[1 / (old[:, j] == old[i, j]).sum() for j in range(old.shape[1])] for i in range(len(old))]
        )
        varied = [len(set(column)) >= min(4, len(old)) for column in old.T]
        columns = np.where(varied, squares.mean(0), 0)
        return np.sqrt(
            [(weights * squares).sum() / weights.sum(), squares.mean(1).max(), columns.max(), squares.max()]
        )

    noise = members - old
    reach = [grains(own, sigma(np.delete(noise, k, 0))) for k, own in enumerate(noise)]
    return grains(new - old, sigma(noise)), np.maximum(np.max(reach, 0), [1, 1, 1, 2])


def test_the_grains_are_those_of_the_definition() -> None:
    exact = values(12, 5) * np.array([1, 1e6, 1e-5, 1, 1])
    exact[:9, 3] = 0.25
    exact[4] *= 300
    members = ensemble(exact)
    old, new = rounded(exact, 1), rounded(exact, 2, 3e-7)
    wide = [np.asarray(member.open().values, np.float64).reshape(exact.shape) for member in members.members]
    times, reach = by_definition(old.astype(np.float64), new.astype(np.float64), np.array(wide))
    drift = measured(exact, new, members)
    assert [grain.grain for grain in drift.grains] == [*GRAINS]
    assert [grain.times for grain in drift.grains] == pytest.approx(times, rel=1e-3)
    assert [grain.reach for grain in drift.grains] == pytest.approx(reach, rel=1e-2)
    assert drift.ratio == pytest.approx(max(times / reach), rel=1e-2)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", [(40, 1), (3, 50), (200, 10), (30, 8, 6)])
def test_another_rounding_is_rounding(shape: tuple[int, ...], seed: int) -> None:
    exact = values(*shape, seed=seed)
    members = Ensemble(
        "operations",
        np.arange(len(exact)),
        tuple(stored(rounded(exact, 1000 * seed + k + 10)) for k in range(EIGHT)),
    )
    # half of the ensemble's noise, as sums in another order have it
    assert verdict(exact, rounded(exact, 500 + seed, 0.45e-7), members)[0] == "rounding"


def change(exact: np.ndarray, where: Any, by: float) -> np.ndarray:
    new = rounded(exact, 2).astype(np.float64)
    new[where] *= 1 + by
    return new.astype(np.float32)


WILD, PRICED, PADDED = values(300, 3), values(300, 2), values(300, 40)
WILD[0] *= 1e6
PRICED[:, 0] *= 1e6
PADDED[:, 1:] = 0.5


@pytest.mark.parametrize(
    ("exact", "where", "by", "grain"),
    [
        (PRICED, (slice(None), 1), 1e-5, "column"),
        (values(300, 50), (slice(None), 7), 1e-5, "column"),
        (WILD, slice(1, None), 1e-6, "all"),
        (values(300, 20), 7, 1e-5, "row"),
        (values(40, 30, 4), (slice(None), 29), 1e-5, "column"),
        (values(300, 20), (7, 3), 1e-4, "element"),
        (PADDED, (slice(None), 0), 1e-5, "column"),
        (values(3, 20_000) * 1e-5, (slice(None), 77), 1e-4, "column"),
    ],
    ids=[
        "beside a price",
        "a column",
        "beside a wild sample",
        "a sample",
        "the last step",
        "an element",
        "beside padding",
        "a class",
    ],
)
def test_nothing_louder_hides_a_change(exact: np.ndarray, where: Any, by: float, grain: str) -> None:
    result, decided = verdict(exact, change(exact, where, by))
    assert result == "changed"
    assert decided in (grain, "row", "element")


def test_the_same_without_a_change_is_rounding() -> None:
    for exact in (WILD, PRICED, PADDED):
        assert verdict(exact, rounded(exact, 3, 0.45e-7))[0] == "rounding"


def test_the_worst_places_are_named() -> None:
    exact = values(30, 8, 6)
    new = change(exact, (slice(None), 5, 2), 1e-5)
    new[17, 3, 4] *= 1.5
    drift = measured(exact, new, ensemble(exact))
    places = {grain.grain: grain.index for grain in drift.grains}
    assert places == {"all": (), "row": (17,), "column": (3, 4), "element": (17, 3, 4)}
    sizes = {grain.grain: grain.size for grain in drift.grains}
    assert sizes["element"] == pytest.approx(abs(exact[17, 3, 4]) / 2, rel=1e-3)
    assert drift.rows == 30


@pytest.mark.parametrize(("sample", "expected"), [(None, "rounding"), (95, "changed")])
def test_samples_without_members_are_held_against_the_noisiest(sample: int | None, expected: str) -> None:
    exact = values(100, 10)
    new = rounded(exact, 2, 0.45e-7)
    if sample is not None:
        new[sample] *= 1 + 1e-5
    members = ensemble(exact, np.arange(40, 60))
    assert verdict(exact, new, members)[0] == expected
    drift = measured(exact, new, members)
    assert drift.rows == 20
    if sample is not None:
        assert drift.grains[1].index == (sample,)


def test_members_of_any_order_of_samples_fit() -> None:
    exact = values(100, 10) * np.logspace(0, 6, 100)[:, None]
    assert verdict(exact, rounded(exact, 2, 0.45e-7), ensemble(exact, np.arange(100)[::-1]))[0] == "rounding"


def test_members_that_do_not_move_leave_a_unit() -> None:
    exact = values(20, 4)
    old = rounded(exact, 1)
    members = Ensemble("operations", np.arange(20), (stored(old),) * EIGHT)
    drift = measure_drift(stored(old), stored(np.nextafter(old, np.float32(9))), members, 64).drift
    assert 0.7 < drift.ratio <= 2  # an ulp is one to two unit roundoffs
    assert measure_drift(stored(old), stored(old * np.float32(1.0001)), members, 64).drift.ratio > 100


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_every_dtype(dtype: Any) -> None:
    exact = values(50, 6) * (1 + 1j if dtype is np.complex64 else 1)
    noise = {np.float16: 1e-3, np.float64: 1e-16}.get(dtype, 1e-7)
    members = ensemble(exact, noise=noise, dtype=dtype)
    near, far = (rounded(exact, 2, noise * times, dtype) for times in (0.45, 100))
    assert verdict(exact, near, members, noise=noise, dtype=dtype)[0] == "rounding"
    assert verdict(exact, far, members, noise=noise, dtype=dtype)[0] == "changed"
    drift = measured(exact, far, members, noise=noise, dtype=dtype)
    assert all(len(grain.index) <= 2 and max(grain.index, default=0) < 50 for grain in drift.grains)


def test_bfloat16_is_read_from_its_bits() -> None:
    old = (rounded(values(50, 6), 1).view(np.uint32) >> 16).astype(np.uint16)
    sides = [StoredTensor.from_array("output", bits, dtype="bfloat16") for bits in (old, old + np.uint16(1))]
    members = tuple(
        StoredTensor.from_array("output", old + np.uint16(k % 2), dtype="bfloat16") for k in range(8)
    )
    drift = measure_drift(sides[0], sides[1], Ensemble("operations", np.arange(50), members), 64).drift
    assert 0.5 < drift.ratio < 2


def test_numbers_near_the_ends_of_float64() -> None:
    for scale in (1e300, 1e-290):
        exact = values(30, 3) * scale
        drift = measured(
            exact,
            exact * (1 + 1e-9),
            ensemble(exact, noise=1e-15, dtype=np.float64),
            noise=1e-15,
            dtype=np.float64,
        )
        assert np.isfinite(drift.ratio)
        assert drift.ratio > 100


def test_what_is_not_finite_is_left_out() -> None:
    exact = values(30, 4)
    exact[3, 1], exact[5] = np.nan, np.inf
    new = rounded(exact, 2, 0.45e-7)
    new[7, 2] = np.nan
    drift = measured(exact, new, ensemble(exact))
    assert drift.ratio < 1
    assert [grain.index for grain in drift.grains if grain.grain == "element"] != [(7, 2)]


def test_two_predictions_of_a_number() -> None:
    exact = values(1, 1)
    assert verdict(exact, np.nextafter(rounded(exact, 1), np.float32(9)))[0] == "rounding"
    assert verdict(exact, exact.astype(np.float32) * np.float32(1.001))[0] == "changed"


def test_without_members_units_decide() -> None:
    exact = values(50, 6)
    nothing = Ensemble.nothing(stored(exact.astype(np.float32)))
    drift = measured(exact, rounded(exact, 2), nothing)
    assert (drift.method, drift.members, drift.rows) == ("none", 0, 50)
    assert drift.ratio < 1
    assert measured(exact, rounded(exact, 2, 1e-3), nothing).ratio > 10


def test_a_large_output_is_judged_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = values(20, 90)
    new = change(exact, (slice(None), 71), 1e-5)
    whole = measured(exact, new, ensemble(exact))
    monkeypatch.setattr(drifts, "_TOGETHER", 20 * 30)
    parts = measured(exact, new, ensemble(exact))
    assert parts.grains[2].index == whole.grains[2].index == (71,)
    assert parts.grains[2].times == pytest.approx(whole.grains[2].times, rel=0.3)


def test_members_on_disk_are_mapped(tmp_path: Path) -> None:
    exact = values(40, 5)
    entries = []
    for k in range(EIGHT):
        np.save(tmp_path / f"{k}.npy", rounded(exact, 100 + k))
        entries.append(TensorEntry(name="output", path=f"{k}.npy", dtype="float32", shape=exact.shape))
    members = Ensemble("operations", np.arange(40), open_tensors(entries, tmp_path))
    new = rounded(exact, 2)
    assert measured(exact, new, members) == measured(exact, new, ensemble(exact))


class TestChaos:
    def test_noise_as_large_as_the_outputs(self) -> None:
        rng = np.random.default_rng(0)
        old = rng.uniform(size=(50, 4)).astype(np.float32)
        members = Ensemble(
            "operations",
            np.arange(50),
            tuple(stored(rng.uniform(size=(50, 4)).astype(np.float32)) for _ in range(8)),
        )
        new = stored(rng.uniform(size=(50, 4)).astype(np.float32))
        drift = measure_drift(stored(old), new, members, 64).drift
        assert drift.chaos > BANDS.outputs.chaos
        assert drift.ratio < 1.25

    def test_one_chaotic_column(self) -> None:
        rng = np.random.default_rng(0)
        exact = values(50, 10)
        members = []
        for k in range(EIGHT):
            member = rounded(exact, 100 + k)
            member[:, 6] = exact[:, 6] + 2 * rng.standard_normal(50)
            members.append(stored(member))
        drift = measured(exact, rounded(exact, 2), Ensemble("operations", np.arange(50), tuple(members)))
        assert drift.chaos < 1e-6
        assert drift.column_chaos > BANDS.outputs.column_chaos
        assert drift.chaos_index == (6,)

    @pytest.mark.parametrize("rows", [3, 50])
    def test_padding_and_constant_columns_are_none(self, rows: int) -> None:
        exact = np.concatenate([values(rows, 2), np.full((rows, 50), 0.3)], axis=1)
        drift = measured(exact, rounded(exact, 2), ensemble(exact))
        assert max(drift.chaos, drift.column_chaos) < 1e-5

    def test_of_few_samples_the_magnitude_stands_for_the_spread(self) -> None:
        exact = values(3, 10)
        floor = measure_floor(
            Values(exact), lambda k: exact * (-1) ** k, EIGHT, least_variance(exact, UNIT, 2.0**-126)
        )
        assert chaos_of(Values(exact), floor).share == pytest.approx(1)
        assert chaos_of(Values(exact), unit_floor(least_variance(exact, UNIT, 2.0**-126), 64)).share == 0

"""Statistics of decoding, against scipy, NumPy and arithmetic of more digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from validator.checks.decode.numbers import (
    NO_TOKEN,
    PERCENTILES,
    compare_rows,
    growth,
    log_softmax,
    margin,
    sample_mean,
    summarise,
)

RANDOM = np.random.default_rng(11)
OLD = RANDOM.normal(size=(40, 30)) * 3
NEW = OLD + RANDOM.normal(size=OLD.shape) * 0.7
TOKENS = RANDOM.integers(0, 30, 40).tolist()
SAMPLES = np.repeat(np.arange(8), 5)


def exact_kl(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """By the definition, in the widest floats there are."""
    sides = [side.astype(np.longdouble) for side in (old, new)]
    logs = [side - np.log(np.exp(side).sum(-1, keepdims=True)) for side in sides]
    return (np.exp(logs[0]) * (logs[0] - logs[1])).sum(-1).astype(np.float64)


def test_divergence_is_that_of_scipy() -> None:
    p, q = special.softmax(OLD, axis=-1), special.softmax(NEW, axis=-1)
    np.testing.assert_allclose(compare_rows(OLD, NEW, TOKENS).kl, special.rel_entr(p, q).sum(-1), rtol=1e-12)


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-7])
def test_small_drift_keeps_its_digits(size: float) -> None:
    old = OLD.astype(np.float32)
    new = (old + np.float32(size) * RANDOM.normal(size=OLD.shape).astype(np.float32)).astype(np.float32)
    kl = compare_rows(old, new, TOKENS).kl
    p = special.softmax(old.astype(np.float64), axis=-1)
    delta = new.astype(np.float64) - old
    centred = delta - (p * delta).sum(-1, keepdims=True)
    second_order = 0.5 * (p * centred**2).sum(-1)  # what a divergence is for a small difference
    np.testing.assert_allclose(kl, second_order, rtol=max(5e-3, 30 * size))
    if size > 1e-6:
        np.testing.assert_allclose(kl, exact_kl(old, new), rtol=1e-4)


def test_the_naive_form_in_float32_would_not_do() -> None:
    """Why the divergence is computed as it is."""
    old = OLD.astype(np.float32)
    new = old + np.float32(1e-6)  # a shift alone: the same distribution
    naive = special.rel_entr(special.softmax(old, -1), special.softmax(new, -1)).sum(-1)
    assert np.abs(naive).max() > 1e-9
    assert compare_rows(old, new, TOKENS).kl.max() < 1e-12


@settings(deadline=None)
@given(
    logits=st.lists(st.floats(-300, 300), min_size=2, max_size=12),
    drift=st.lists(st.floats(-300, 300), min_size=12, max_size=12),
    shift=st.floats(-1000, 1000),
)
def test_divergence_is_never_negative_and_ignores_a_shift(
    logits: list[float], drift: list[float], shift: float
) -> None:
    old = np.array([logits])
    new = old + np.array([drift[: len(logits)]])
    # Shares of 1 are no logits: the function takes them for the probabilities that they look like.
    assume(not any((side >= 0).all() and abs(side.sum() - 1) < 0.1 for side in (old, new, new + shift)))
    kl = compare_rows(old, new, [0]).kl[0]
    assert kl >= 0
    assert math.isclose(compare_rows(old, new + shift, [0]).kl[0], kl, rel_tol=1e-6, abs_tol=1e-9)
    assert math.isclose(kl, exact_kl(old, new)[0], rel_tol=1e-6, abs_tol=1e-9)


def test_identical_rows() -> None:
    rows = compare_rows(OLD, OLD.copy(), TOKENS)
    assert rows.same_bits.all()
    assert rows.same_top.all()
    assert (rows.kl == 0).all()
    assert not compare_rows(OLD, OLD.astype(np.float32), TOKENS).same_bits.any()


def test_chunks_do_not_matter() -> None:
    tall = np.tile(RANDOM.normal(size=(3, 1 << 19)), (3, 1))
    rows = compare_rows(tall, tall + 0.25 * np.roll(tall, 1, axis=1), [0] * 9)
    assert np.allclose(rows.kl[:3], rows.kl[3:6], rtol=1e-12)
    assert np.allclose(rows.kl[:3], rows.kl[6:], rtol=1e-12)


def test_probabilities_are_taken_as_such() -> None:
    old, new = (special.softmax(side, axis=-1).astype(np.float32) for side in (OLD, NEW))
    from_shares, from_logits = compare_rows(old, new, TOKENS), compare_rows(OLD, NEW, TOKENS)
    np.testing.assert_allclose(from_shares.kl, from_logits.kl, rtol=1e-3)
    np.testing.assert_allclose(from_shares.base_nll, from_logits.base_nll, rtol=1e-4)
    assert np.isfinite(log_softmax(np.array([[0.0, 1.0]]))).all()


def test_token_shares() -> None:
    rows = compare_rows(OLD, NEW, TOKENS)
    place = np.arange(40)
    np.testing.assert_allclose(rows.base_nll, -special.log_softmax(OLD, axis=-1)[place, TOKENS])
    np.testing.assert_allclose(rows.candidate_nll, -special.log_softmax(NEW, axis=-1)[place, TOKENS])
    without = compare_rows(OLD, NEW, [NO_TOKEN] * 40)
    assert np.isnan(without.base_nll).all()
    assert np.isfinite(without.kl).all()


def test_summary_is_llama_cpps_over_samples() -> None:
    rows = compare_rows(OLD, NEW, TOKENS)
    found = summarise(rows, SAMPLES)
    by_sample = rows.kl.reshape(8, 5).mean(1)
    delta = np.exp(-rows.candidate_nll) - np.exp(-rows.base_nll)
    assert found.kl is not None
    assert found.delta_p is not None
    assert found.same_top is not None
    assert found.kl.mean == pytest.approx(rows.kl.mean())
    assert found.kl.error == pytest.approx(stats.sem(by_sample))
    assert found.kl_percentiles == pytest.approx(
        {f"{rank:g}": np.percentile(rows.kl, rank) for rank in PERCENTILES}
    )
    assert found.delta_p.mean == pytest.approx(delta.mean())
    assert found.delta_p_rms == pytest.approx(np.sqrt((delta**2).mean()))
    assert found.same_top.mean == pytest.approx((OLD.argmax(-1) == NEW.argmax(-1)).mean())
    assert (found.positions, found.infinite) == (40, 0)


def test_ln_ppl_ratio_has_the_paired_error() -> None:
    rows = compare_rows(OLD, NEW, TOKENS)
    found = summarise(rows, SAMPLES).ln_ppl_ratio
    paired = (rows.candidate_nll - rows.base_nll).reshape(8, 5).mean(1)
    assert found is not None
    assert found.mean == pytest.approx(
        math.log(math.exp(rows.candidate_nll.mean()) / math.exp(rows.base_nll.mean()))
    )
    assert found.error == pytest.approx(stats.sem(paired))
    alone = [stats.sem(side.reshape(8, 5).mean(1)) for side in (rows.candidate_nll, rows.base_nll)]
    assert found.error is not None
    assert found.error < math.hypot(*alone)


def test_one_sample_has_no_error() -> None:
    found = summarise(compare_rows(OLD[:3], NEW[:3], TOKENS[:3]), np.zeros(3, np.int64))
    assert found.kl is not None
    assert found.kl.error is None
    assert found.ln_ppl_ratio is not None
    assert found.ln_ppl_ratio.error is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_not_finite_is_counted_and_left_out(bad: float, side: int) -> None:
    pair = [OLD.copy(), NEW.copy()]
    pair[side][4, 2] = bad
    rows = compare_rows(pair[0], pair[1], TOKENS)
    found = summarise(rows, SAMPLES)
    assert np.isnan(rows.kl[4])
    assert (found.positions, found.infinite) == (39, 1)
    assert found.kl is not None
    assert math.isfinite(found.kl.mean)


def test_ruled_out_tokens() -> None:
    """A vocabulary is masked with minus infinity: the same on both sides is no difference."""
    old, new = OLD[:2].copy(), NEW[:2].copy()
    old[:, 3] = new[:, 3] = -np.inf
    kept = [place for place in range(30) if place != 3]
    np.testing.assert_allclose(
        compare_rows(old, new, [0, 0]).kl, compare_rows(OLD[:2, kept], NEW[:2, kept], [0, 0]).kl, rtol=1e-10
    )
    new[1, 5] = -np.inf  # only one side rules it out
    rows = compare_rows(old, new, [0, 0])
    assert np.isinf(rows.kl[1])
    assert summarise(rows, np.arange(2)).infinite == 1


def test_vocabulary_of_one() -> None:
    rows = compare_rows(np.array([[3.0]]), np.array([[-7.0]]), [0])
    assert rows.kl[0] == 0
    assert rows.base_nll[0] == 0
    assert margin(np.array([3.0]), 0, 1) is None


def test_nothing_at_all() -> None:
    empty = summarise(compare_rows(OLD[:1] * np.nan, NEW[:1], [0]), np.zeros(1, np.int64))
    assert (empty.positions, empty.kl, empty.kl_max, empty.kl_percentiles) == (0, None, None, {})
    assert empty.same_top is None
    assert sample_mean(np.zeros(0), np.zeros(0, np.int64)) is None


def test_margins() -> None:
    old, new = np.array([[1.0, 5.0, 3.5]]), np.array([[1.0, 4.0, 4.5]])
    rows = compare_rows(old, new, [1])
    assert rows.margin[0] == pytest.approx(1.5)
    assert rows.margin_change[0] == pytest.approx(-2.0)
    assert margin(old[0], 1, 2) == pytest.approx(1.5)
    assert margin(old[0], 2, 1) == pytest.approx(-1.5)
    assert margin(old[0], 1, NO_TOKEN) is None


def test_growth_is_paired() -> None:
    kl = np.array([1.0, 1, 3, 5, 2, 2, 2, 2, 9])
    found = growth(kl, [4, 4, 1])
    assert found is not None
    assert (found.first, found.second) == (1.5, 3.0)
    assert found.difference.mean == 1.5
    assert found.difference.error == pytest.approx(stats.sem([3.0, 0.0]))
    assert growth(np.ones(2), [1, 1]) is None
    assert growth(np.array([1.0, np.inf]), [2]) is None

"""Logits of a token model on both sides, position by position: divergence, the token's share, top-1.

The statistics are those of llama.cpp's perplexity tool (`--kl-divergence`), with one difference: positions of
one sample are not independent, so every error is taken over the means of the samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Double = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[Any]

PERCENTILES = (99.9, 99.0, 95.0, 90.0, 50.0, 10.0, 5.0, 1.0, 0.1)
#: No token: of the last position of a prompt, or where NaN chose none.
NO_TOKEN = -1
_CHUNK = 1 << 20  # elements looked at together
#: Above this, exp(δ) − δ is all exp(δ), and could overflow.
_LARGE = 30.0


@dataclass(frozen=True)
class RowNumbers:
    """One number a position, NaN where a side is not finite there.

    `kl`: Kullback-Leibler divergence of the candidate from the baseline, in nats; infinite where the
    candidate rules out what the baseline does not. `base_nll`, `candidate_nll`: −ln of the token's share, NaN
    without a token. `margin`: the baseline's best logit less its second; `margin_change`: the same two tokens
    on the other side, less `margin`.
    """

    kl: Double
    base_nll: Double
    candidate_nll: Double
    margin: Double
    margin_change: Double
    same_top: Flags
    same_bits: Flags

    def of(self, rows: Sequence[int] | NDArray[np.int64]) -> RowNumbers:
        """Some of the positions."""
        index = np.asarray(rows, np.int64)
        return RowNumbers(*(getattr(self, part.name)[index] for part in fields(self)))


@dataclass(frozen=True)
class Estimate:
    """A mean over samples and its standard error, None with a single sample."""

    mean: float
    error: float | None


@dataclass(frozen=True)
class Summary:
    """Many positions in a few numbers. `infinite`: positions that are not finite on one side, left out.

    Shares and Δp are of the token that followed; percentiles are by PERCENTILES.
    """

    positions: int
    infinite: int
    kl: Estimate | None
    kl_max: float | None
    kl_percentiles: tuple[float, ...]
    delta_p: Estimate | None
    delta_p_rms: float | None
    delta_p_percentiles: tuple[float, ...]
    same_top: Estimate | None
    ln_ppl_ratio: Estimate | None


@dataclass(frozen=True)
class Split:
    """Where two token sequences of one sample part: `row` is the step's place among all rows."""

    sample: int
    step: int
    row: int
    baseline: int
    candidate: int


def compare_rows(baseline: Rows, candidate: Rows, tokens: Sequence[int]) -> RowNumbers:
    """Compare logits of shape (positions, vocabulary), or probabilities: rows that are shares of 1.

    Args:
        baseline: one side.
        candidate: the other, of the same shape.
        tokens: the token that followed at each position, NO_TOKEN where none did.
    """
    chosen = np.asarray(tokens, np.int64)
    step = max(1, _CHUNK // max(1, baseline.shape[1]))
    parts = [
        _compare(baseline[low : low + step], candidate[low : low + step], chosen[low : low + step])
        for low in range(0, len(baseline), step)
    ]
    names = (part.name for part in fields(RowNumbers))
    return RowNumbers(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def summarise(rows: RowNumbers, samples: Sequence[int]) -> Summary:
    """The statistics over positions; `samples` says which sample each belongs to."""
    owners = np.asarray(samples, np.int64)
    finite = np.isfinite(rows.kl)
    kl = rows.kl[finite]
    delta = (np.exp(-rows.candidate_nll) - np.exp(-rows.base_nll))[finite]
    told = np.isfinite(delta)
    compared = ~np.isnan(rows.margin)  # top-1 means something wherever both sides are numbers
    return Summary(
        positions=int(kl.size),
        infinite=int(finite.size - kl.size),
        kl=estimate(kl, owners[finite]),
        kl_max=float(kl.max()) if kl.size else None,
        kl_percentiles=_percentiles(kl),
        delta_p=estimate(delta[told], owners[finite][told]),
        delta_p_rms=float(np.sqrt(np.mean(np.square(delta[told])))) if told.any() else None,
        delta_p_percentiles=_percentiles(delta[told]),
        same_top=estimate(rows.same_top[compared].astype(np.float64), owners[compared]),
        ln_ppl_ratio=ln_ppl_ratio(rows, owners),
    )


def estimate(values: Double, owners: NDArray[np.int64]) -> Estimate | None:
    """Mean of the samples' means, with sd / √n; None without a value."""
    if not values.size:
        return None
    means = _means(values, owners)
    error = float(means.std(ddof=1) / math.sqrt(means.size)) if means.size > 1 else None
    return Estimate(float(means.mean()), error)


def ln_ppl_ratio(rows: RowNumbers, owners: NDArray[np.int64]) -> Estimate | None:
    """ln(PPL candidate / PPL baseline), with the paired error √(σ₁² + σ₀² − 2 cov) of llama.cpp."""
    told = np.isfinite(rows.base_nll) & np.isfinite(rows.candidate_nll)
    if not told.any():
        return None
    old, new = (_means(side[told], owners[told]) for side in (rows.base_nll, rows.candidate_nll))
    mean = float(new.mean() - old.mean())
    if old.size < 2:
        return Estimate(mean, None)
    covariance = np.cov(new, old, ddof=1) / old.size
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return Estimate(mean, math.sqrt(max(0.0, float(variance))))


def by_step(lengths: Sequence[int]) -> list[list[tuple[int, int]]]:
    """For each step the (sample, row) that got that far, where rows lie sample after sample."""
    starts = [0, *np.cumsum(lengths).tolist()]
    return [
        [(sample, starts[sample] + step) for sample, length in enumerate(lengths) if step < length]
        for step in range(max(lengths, default=0))
    ]


@dataclass(frozen=True)
class Growth:
    """Mean divergence in the first and in the second half of the steps, of samples that reach the second."""

    first: float
    second: float
    difference: Estimate


def growth(kl: Double, lengths: Sequence[int]) -> Growth | None:
    """Whether a divergence grows with the steps; rows lie sample after sample."""
    half = max(lengths, default=0) // 2
    starts = np.cumsum([0, *lengths])
    pairs = [
        (float(kl[start : start + half].mean()), float(kl[start + half : start + length].mean()))
        for start, length in zip(starts[:-1], lengths, strict=True)
        if half and length > half and np.isfinite(kl[start : start + length]).all()
    ]
    if not pairs:
        return None
    first, second = np.array(pairs).T
    difference = estimate(second - first, np.arange(len(pairs)))
    assert difference is not None  # noqa: S101  # there are pairs
    return Growth(float(first.mean()), float(second.mean()), difference)


def splits(baseline: Sequence[Sequence[int]], candidate: Sequence[Sequence[int]]) -> list[Split]:
    """The first other token of each sample that has one, earliest step first. One that ends differs, too."""
    found = []
    row = 0
    for sample, (old, new) in enumerate(zip(baseline, candidate, strict=True)):
        for step, (token, other) in enumerate(zip(old, new, strict=False)):
            if token != other:
                found.append(Split(sample, step, row + step, token, other))
                break
        row += len(old)
    return sorted(found, key=lambda split: (split.step, split.sample))


def margin(row: Rows, token: int, other: int) -> float | None:
    """By how much a position preferred one token to another, in its logits; None where either is none."""
    if min(token, other) < 0 or max(token, other) >= row.size:
        return None
    values = log_softmax(row[None])[0]
    found = float(values[token] - values[other])
    return found if math.isfinite(found) else None


def log_softmax(rows: Rows) -> Double:
    """ln of the shares, float64. Rows that are shares already stay so: the model ends in a softmax."""
    wide = rows.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        told = wide[~np.isnan(wide).any(axis=-1)]
        shares = told.size and np.all(told >= 0) and np.allclose(told.sum(axis=-1), 1.0, atol=0.02)
        if shares and wide.shape[-1] > 1:
            wide = np.log(np.maximum(wide, np.finfo(np.float32).tiny))
        top = wide.max(axis=-1, keepdims=True)
        shifted = wide - top
        found: Double = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def _compare(baseline: Rows, candidate: Rows, tokens: NDArray[np.int64]) -> RowNumbers:
    old, new = log_softmax(baseline), log_softmax(candidate)
    sound = ~(np.isnan(old).any(axis=-1) | np.isnan(new).any(axis=-1))
    kl = np.where(sound, _divergence(old, new), np.nan)
    place = np.arange(len(old))
    has_token = sound & (tokens >= 0) & (tokens < old.shape[1])
    at = np.where(has_token, tokens, 0)
    base_nll = np.where(has_token, -old[place, at], np.nan)
    candidate_nll = np.where(has_token, -new[place, at], np.nan)
    margins, change = _margins(old, new)
    top = np.where(np.isnan(old), -np.inf, old).argmax(-1) == np.where(np.isnan(new), -np.inf, new).argmax(-1)
    return RowNumbers(
        kl=kl,
        base_nll=base_nll,
        candidate_nll=candidate_nll,
        margin=np.where(sound, margins, np.nan),
        margin_change=np.where(sound, change, np.nan),
        same_top=top & sound,
        same_bits=_same_bits(baseline, candidate),
    )


def _divergence(old: Double, new: Double) -> Double:
    """KL = ln(1 + Σ p (e^δ − 1 − δ)) with δ = Δ − E_p[Δ]: what cancels is taken out before it is squared."""
    with np.errstate(all="ignore"):
        p = np.exp(old)
        there = p > 0
        delta = np.where(there, new - old, 0.0)
        ruled_out = np.isneginf(delta).any(axis=-1)
        delta = np.where(np.isneginf(delta), 0.0, delta)
        delta = delta - (p * delta).sum(axis=-1, keepdims=True)
        small = np.log1p((p * (np.expm1(delta) - delta)).sum(axis=-1))
        highest = delta.max(axis=-1, where=there, initial=-np.inf)
        # the same without the small terms: ln Σ p e^δ, since Σ p δ = 0
        shifted = np.where(there, old + delta, -np.inf)
        peak = shifted.max(axis=-1, keepdims=True)
        large = (peak + np.log(np.exp(shifted - peak).sum(axis=-1, keepdims=True)))[..., 0]
        kl = np.where(highest > _LARGE, large, small)
        found: Double = np.where(ruled_out, np.inf, np.maximum(kl, 0.0))
    return found


def _margins(old: Double, new: Double) -> tuple[Double, Double]:
    """The two best tokens of the baseline: how far apart there, and how that moved."""
    if old.shape[1] < 2:
        return np.full(len(old), np.inf), np.zeros(len(old))
    best = np.argpartition(np.where(np.isnan(old), -np.inf, old), -2, axis=-1)[:, -2:]
    with np.errstate(invalid="ignore"):
        before, after = (
            np.diff(np.take_along_axis(side, best, axis=-1), axis=-1)[:, 0] for side in (old, new)
        )
        return np.abs(before), (after - before) * np.where(before < 0, -1, 1)


def _same_bits(baseline: Rows, candidate: Rows) -> Flags:
    if baseline.dtype != candidate.dtype:
        return np.zeros(len(baseline), np.bool_)
    old, new = (np.ascontiguousarray(side).view(np.uint8) for side in (baseline, candidate))
    same: Flags = (old == new).reshape(len(baseline), -1).all(axis=-1)
    return same


def _means(values: Double, owners: NDArray[np.int64]) -> Double:
    names, places = np.unique(owners, return_inverse=True)
    totals = np.bincount(places, weights=values, minlength=names.size)
    found: Double = totals / np.bincount(places, minlength=names.size)
    return found


def _percentiles(values: Double) -> tuple[float, ...]:
    return tuple(np.percentile(values, PERCENTILES).tolist()) if values.size else ()


def owners_of(lengths: Sequence[int]) -> list[int]:
    """Which sample each row belongs to, where rows lie sample after sample."""
    return list(_repeated(lengths))


def _repeated(lengths: Sequence[int]) -> Iterator[int]:
    for sample, length in enumerate(lengths):
        yield from [sample] * length

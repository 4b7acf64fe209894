"""Logits of a token model on both sides, position by position: divergence, the token's share, top-1.

The statistics are those of llama.cpp's perplexity tool (`--kl-divergence`), with one difference: positions of
one sample are not independent, so every error is taken over the means of the samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from validator.checks.decode.types import DecodeGrowth, DecodeStatistics, SampleMean

Double = NDArray[np.float64]
Flags = NDArray[np.bool_]
Owners = NDArray[np.int64]
Rows = NDArray[Any]

PERCENTILES = (99.9, 99.0, 95.0, 90.0, 50.0, 10.0, 5.0, 1.0, 0.1)
#: No token: of the last position of a prompt, or where NaN chose none.
NO_TOKEN = -1
_CHUNK = 1 << 20  # elements looked at together
#: Above this, exp(δ) − δ is all exp(δ), and could overflow.
_LARGE = 30.0


class RowNumbers(NamedTuple):
    """One number a position, NaN where a side is not finite there.

    `kl`: Kullback-Leibler divergence of the candidate from the baseline, in nats; infinite where the
    candidate rules out what the baseline does not. `base_nll`, `candidate_nll`: −ln of the token's share, NaN
    without a token. `margin`: the baseline's best logit less its second; `margin_change`: the same two tokens
    on the other side, less `margin`. `same_top`: 1 or 0.
    """

    kl: Double
    base_nll: Double
    candidate_nll: Double
    margin: Double
    margin_change: Double
    same_top: Double
    same_bits: Flags

    def of(self, rows: NDArray[np.int64]) -> RowNumbers:
        """Some of the positions."""
        columns: list[Any] = [column[rows] for column in self]
        return RowNumbers(*columns)


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
    return RowNumbers(*map(np.concatenate, zip(*parts, strict=True)))


def summarise(rows: RowNumbers, owners: Owners, ranks: Sequence[float] = PERCENTILES) -> DecodeStatistics:
    """The statistics over positions; `owners` says which sample each belongs to, `ranks` the percentiles."""
    finite = np.isfinite(rows.kl)
    kl = rows.kl[finite]
    with np.errstate(invalid="ignore"):  # a token that both sides rule out: ∞ − ∞
        delta = np.where(finite, np.exp(-rows.candidate_nll) - np.exp(-rows.base_nll), np.nan)
        nll_change = rows.candidate_nll - rows.base_nll
    followed = delta[np.isfinite(delta)]
    return DecodeStatistics(
        positions=int(kl.size),
        infinite=int(finite.size - kl.size),
        kl=sample_mean(rows.kl, owners),
        kl_max=float(kl.max()) if kl.size else None,
        kl_percentiles=_percentiles(kl, ranks),
        delta_p=sample_mean(delta, owners),
        delta_p_rms=float(np.sqrt(np.mean(np.square(followed)))) if followed.size else None,
        delta_p_percentiles=_percentiles(followed, ranks),
        same_top=sample_mean(rows.same_top, owners),
        # of paired differences: llama.cpp's √(σ₁² + σ₀² − 2 cov)
        ln_ppl_ratio=sample_mean(nll_change, owners),
    )


def sample_mean(values: Double, owners: Owners) -> SampleMean | None:
    """Mean of the samples' means over finite values, with sd / √n; None without a value."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    _, places = np.unique(owners[finite], return_inverse=True)
    means = np.bincount(places, weights=values[finite]) / np.bincount(places)
    error = float(means.std(ddof=1) / math.sqrt(means.size)) if means.size > 1 else None
    return SampleMean(mean=float(means.mean()), error=error)


def growth(kl: Double, lengths: Sequence[int]) -> DecodeGrowth | None:
    """Whether a divergence grows with the steps; rows lie sample after sample."""
    half = max(lengths) // 2
    samples = [part for part in np.split(kl, np.cumsum(lengths)[:-1]) if part.size > half > 0]
    halves = [(part[:half].mean(), part[half:].mean()) for part in samples if np.isfinite(part).all()]
    first, second = np.array(halves).reshape(-1, 2).T
    difference = sample_mean(second - first, np.arange(len(halves)))
    if difference is None:
        return None
    return DecodeGrowth(first=float(first.mean()), second=float(second.mean()), difference=difference)


def margin(row: Rows, token: int, other: int) -> float | None:
    """By how much a position preferred one token to another, in its logits; None where either is none."""
    if min(token, other) < 0 or max(token, other) >= row.size:
        return None
    values = log_softmax(row[None])[0]
    preference = float(values[token] - values[other])
    return preference if math.isfinite(preference) else None


def log_softmax(rows: Rows) -> Double:
    """ln of the shares, float64. Rows that are shares already stay so: the model ends in a softmax."""
    wide = rows.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        known = wide[~np.isnan(wide).any(axis=-1)]
        shares = known.size and np.all(known >= 0) and np.allclose(known.sum(axis=-1), 1.0, atol=0.02)
        if shares and wide.shape[-1] > 1:
            wide = np.log(np.maximum(wide, np.finfo(np.float32).tiny))
        result: Double = special.log_softmax(wide, axis=-1)
    return result


def _compare(baseline: Rows, candidate: Rows, tokens: NDArray[np.int64]) -> RowNumbers:
    old, new = log_softmax(baseline), log_softmax(candidate)
    sound = ~(np.isnan(old).any(axis=-1) | np.isnan(new).any(axis=-1))
    has_token = sound & (tokens >= 0) & (tokens < old.shape[1])
    place = (np.arange(len(old)), np.where(has_token, tokens, 0))
    margins, change = _margins(old, new)
    return RowNumbers(
        kl=np.where(sound, _divergence(old, new), np.nan),
        base_nll=np.where(has_token, -old[place], np.nan),
        candidate_nll=np.where(has_token, -new[place], np.nan),
        margin=np.where(sound, margins, np.nan),
        margin_change=np.where(sound, change, np.nan),
        same_top=np.where(sound, old.argmax(-1) == new.argmax(-1), np.nan),
        same_bits=_same_bits(baseline, candidate),
    )


def _divergence(old: Double, new: Double) -> Double:
    """KL = ln(1 + Σ p (e^δ − 1 − δ)) with δ = Δ − E_p[Δ]: what cancels is taken out before it is squared."""
    with np.errstate(all="ignore"):
        p = np.exp(old)
        possible = p > 0
        delta = np.where(possible, new - old, 0.0)
        ruled_out = np.isneginf(delta).any(axis=-1)
        delta = np.where(np.isneginf(delta), 0.0, delta)
        delta = delta - (p * delta).sum(axis=-1, keepdims=True)
        small = np.log1p((p * (np.expm1(delta) - delta)).sum(axis=-1))
        highest = delta.max(axis=-1, where=possible, initial=-np.inf)
        large = special.logsumexp(delta, axis=-1, b=p)  # the same without the small terms: Σ p δ = 0
        kl = np.where(highest > _LARGE, large, small)
        result: Double = np.where(ruled_out, np.inf, np.maximum(kl, 0.0))
    return result


def _margins(old: Double, new: Double) -> tuple[Double, Double]:
    """The two best tokens of the baseline: how far apart they are, and how that moved."""
    if old.shape[1] < 2:
        return np.full(len(old), np.inf), np.zeros(len(old))
    best = np.argpartition(old, -2, axis=-1)[:, -2:]
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


def _percentiles(values: Double, ranks: Sequence[float]) -> dict[str, float]:
    return {f"{rank:g}": float(np.percentile(values, rank)) for rank in ranks} if values.size else {}

"""A metric of sums, scored: values, estimate without ties, flips."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from validator.numbers.metrics.pairing import Flags
from validator.numbers.metrics.request import Flip, FlipSummary, MetricNote, Scored, Scoring, UnscorableError
from validator.numbers.metrics.scorers import Scorer
from validator.numbers.metrics.tally import Turned
from validator.numbers.resampling import PairedScores, paired_bootstrap
from validator.numbers.statistics import (
    Counts,
    Interval,
    PairedEstimate,
    mcnemar_midp,
    paired_estimate,
    rule_of_three,
)

_NAMED = 20  # how many flipped samples are named

#: Ties that lean to one side are no coin tosses. A tenth of alpha keeps this second look from raising alpha
#: by more than a tenth.
_LEANING = 0.1


def score_sums(task: Scoring, build: Callable[[Scoring], Scorer], *, higher_is_better: bool) -> Scored:
    """Sum up and decide; UnscorableError where there is nothing to score, or no metric of it."""
    scorer = build(task)
    scorer.score(task)
    tally = scorer.tally
    if tally.items == 0:
        return _nothing_scored(scorer)
    before, after = scorer.formula(tally.sums[:2].sum(axis=1)).tolist()
    if not math.isfinite(before):
        raise UnscorableError(
            "the metric is undefined for these labels (R² of equal labels, or texts without words)"
        )
    notes = scorer.notes
    turned = scorer.turns.all()
    if _lean(turned, task.request.criterion.alpha):
        turned = replace(turned, tie=np.zeros_like(turned.tie))
        notes = (*notes, MetricNote(kind="one-sided-ties"))
    sides = PairedScores(tally.components(0), tally.components(1), scorer.formula, higher_is_better)
    whole = clear = _estimate(task, scorer, sides, turned)
    if turned.tie.any():
        if tally.sums.shape[0] > 2:
            sides = replace(sides, candidate=tally.components(2))
        clear = _estimate(task, scorer, sides, turned.part(~turned.tie))
    if scorer.left_out:
        notes = (*notes, MetricNote(kind="not-finite", count=scorer.left_out))
    flips = _summary(task, scorer, turned) if scorer.turns.items.size else None
    return Scored(before, after, tally.items, clear, whole.interval, notes, scorer.lost, flips)


def _nothing_scored(scorer: Scorer) -> Scored:
    if scorer.lost:
        nothing = PairedEstimate(math.nan, 0, None, None, math.nan)
        note = MetricNote(kind="lost", count=scorer.lost)
        return Scored(math.nan, math.nan, 0, nothing, None, (note,), scorer.lost)
    if scorer.left_out:
        raise UnscorableError(f"all {scorer.left_out} predicted items are infinite or NaN")
    raise UnscorableError("no label counts: all are missing, ignored or weigh 0")


def _estimate(task: Scoring, scorer: Scorer, sides: PairedScores, turned: Turned) -> PairedEstimate:
    """McNemar and the score interval for independent right-or-wrong items, otherwise the paired bootstrap.

    `turned` are the flips that count, and `sides` the sums that agree with them.
    """
    alpha, tally = task.request.criterion.alpha, scorer.tally
    negative = int(np.count_nonzero(turned.sign < 0))
    positive = turned.sign.size - negative
    if scorer.share and tally.independent:
        return paired_estimate(Counts(tally.items, negative, positive), alpha)
    estimate = paired_bootstrap(sides, task.resampling)
    estimate = replace(estimate, units=tally.units, negative_rate=negative / tally.items)
    if not scorer.share:
        return estimate
    if negative == positive == 0:  # what could still hide among as many samples
        most = rule_of_three(tally.units, alpha)
        estimate = replace(estimate, interval=Interval(-most, most, 1 - 2 * alpha, "rule-of-three"))
    return replace(estimate, worsened=negative > 0)


def _lean(turned: Turned, alpha: float) -> bool:
    """Whether the ties are too one-sided for coin tosses."""
    return mcnemar_midp(*turned.part(turned.tie).samples()) < _LEANING * alpha


def _summary(task: Scoring, scorer: Scorer, turned: Turned) -> FlipSummary:
    clear = turned.part(~turned.tie)
    lost = clear.part(clear.sign < 0)
    several = np.diff(scorer.pairing.limits) > 1
    named = zip(lost.sample[:_NAMED].tolist(), lost.position[:_NAMED].tolist(), strict=True)
    return FlipSummary(
        negative_flips=lost.sample.size,
        positive_flips=clear.sample.size - lost.sample.size,
        tied_flips=int(np.count_nonzero(turned.tie)),
        flipped=tuple(f"{sample}[{at}]" if several[sample] else str(sample) for sample, at in named),
        flips=_flips(lost.part(np.arange(min(_NAMED, lost.sample.size))), several),
        classes=scorer.turns.worst_classes(clear, task.request.criterion.alpha),
    )


def _flips(lost: Turned, several: Flags) -> tuple[Flip, ...]:
    """Flips as records; none where both sides predict the same (a text is no class)."""
    columns = (lost.sample, lost.position, lost.truth, lost.before, lost.after)
    records = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(
        Flip(
            sample=sample,
            position=position if several[sample] else None,
            label=label,
            baseline=before,
            candidate=after,
        )
        for sample, position, label, before, after in records
        if before != after
    )

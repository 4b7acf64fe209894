"""One metric of one output, on both sides, with a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from validator.compare.metrics.functions import apply_function
from validator.compare.metrics.pairing import pair
from validator.compare.metrics.ranking import areas
from validator.compare.metrics.registry import Metric, find_metric
from validator.compare.metrics.request import MetricRequest, PairedMetric, Task, UnscorableError
from validator.compare.metrics.scorers import Scorer
from validator.compare.metrics.tally import Turned, flip_list, samples_turned, worst_classes
from validator.compare.metrics.wording import describe
from validator.compare.resampling import Sides, paired_bootstrap
from validator.compare.statistics import (
    Answer,
    Counts,
    Decision,
    Estimate,
    Interval,
    Rule,
    decide,
    holm,
    mcnemar_midp,
    paired_estimate,
    rule_of_three,
)
from validator.errors import ConfigurationError
from validator.tensors import StoredTensor

#: Ties that lean to one side are no coin tosses. A tenth of alpha keeps this second look from raising alpha
#: by more than a tenth.
_LEANING = 0.1


def evaluate(
    request: MetricRequest,
    baseline: StoredTensor,
    candidate: StoredTensor,
    labels: StoredTensor,
    weights: StoredTensor | None = None,
) -> PairedMetric:
    """Score both sides on the same samples and decide.

    What cannot be scored, and a metric that raises, is an answer: "cannot-tell" with the reason in `message`.
    ConfigurationError for an unknown metric, and for files that cannot be read.
    """
    metric = find_metric(request.metric, higher_is_better=request.higher_is_better)
    task = Task(request, baseline, candidate, labels, weights)
    try:
        if metric.family == "area":
            return _of_areas(task, metric)
        if metric.family == "function":
            return _of_function(task, metric)
        assert metric.build is not None  # noqa: S101  # every other family has none
        return _of_sums(task, metric, metric.build(task))
    except UnscorableError as error:
        return _unscored(request, metric, str(error))
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001, RUF100  # whatever a user's function raises
        return _unscored(request, metric, f"it raised {type(error).__name__}: {error}")


def correct(metrics: Sequence[PairedMetric], rule: Rule) -> tuple[PairedMetric, ...]:
    """Correct a set of results by Holm: a "worse" that does not survive becomes "cannot-tell".

    "Not worse" needs no correction: the set is fine only if every one is (an intersection-union test).
    """
    tested = [index for index, metric in enumerate(metrics) if metric.p_worse is not None]
    adjusted = holm([p for metric in metrics if (p := metric.p_worse) is not None])
    corrected = list(metrics)
    for index, p_adjusted in zip(tested, adjusted, strict=True):
        metric = replace(metrics[index], p_adjusted=p_adjusted)
        if metric.reason == "significant" and p_adjusted >= rule.alpha:
            metric = replace(metric, decision="cannot-tell", reason="too-few-samples")
            metric = replace(metric, message=describe(metric))
        corrected[index] = metric
    return tuple(corrected)


@dataclass(frozen=True)
class _Judged:
    """Both values, the estimate behind the decision, and the interval of all differences, ties included."""

    baseline: float
    candidate: float
    estimate: Estimate
    interval: Interval | None
    samples: int
    lost: int = 0
    notes: tuple[str, ...] = ()


def _of_sums(task: Task, metric: Metric, scorer: Scorer) -> PairedMetric:
    scorer.score(task)
    tally = scorer.tally
    if tally.items == 0:
        return _nothing_scored(task, metric, scorer)
    before, after = scorer.formula(tally.totals()[:2]).tolist()
    if not math.isfinite(before):
        raise UnscorableError(
            "the metric is undefined for these labels (R² of equal labels, or texts without words)"
        )
    notes = scorer.notes
    turned = None if scorer.turns is None else scorer.turns.all()
    if turned is not None and _lean(turned, task.request.rule.alpha):
        turned = replace(turned, tie=np.zeros_like(turned.tie))
        notes = (*notes, "flips within the noise lean to the candidate's loss, so they count as flips")
    whole = clear = _estimate(task, metric, scorer, turned)
    if turned is not None and turned.tie.any():
        side: Literal[1, 2] = 2 if tally.sums.shape[0] > 2 else 1
        clear = _estimate(task, metric, scorer, turned.part(~turned.tie), side)
    if scorer.left_out:
        notes = (*notes, f"{scorer.left_out} items are infinite or NaN on a side and left out")
    judged = _Judged(before, after, clear, whole.interval, tally.items, scorer.lost, notes)
    result = _paired(task.request, metric, judged)
    if turned is None:
        return result
    result = _with_flips(result, task, scorer, turned)
    return replace(result, message=describe(result))


def _nothing_scored(task: Task, metric: Metric, scorer: Scorer) -> PairedMetric:
    if scorer.lost:
        message = f"all {scorer.lost} items that the baseline predicts are infinite or NaN for the candidate"
        return replace(_unscored(task.request, metric, message), decision="worse", reason="lost")
    if scorer.left_out:
        raise UnscorableError(f"all {scorer.left_out} predicted items are infinite or NaN")
    raise UnscorableError("no label counts: all are missing, ignored or weigh 0")


def _estimate(
    task: Task, metric: Metric, scorer: Scorer, turned: Turned | None, side: Literal[1, 2] = 1
) -> Estimate:
    """McNemar and the score interval for independent right-or-wrong items, otherwise the paired bootstrap.

    `turned` are the flips that count, and `side` the sums that agree with them (2: without ties).
    """
    alpha, tally = task.request.rule.alpha, scorer.tally
    negative = 0 if turned is None else int(np.count_nonzero(turned.sign < 0))
    positive = 0 if turned is None else turned.sample.size - negative
    if scorer.share and scorer.equal_weights and tally.independent:
        return paired_estimate(Counts(tally.items, negative, positive), alpha)
    sides = Sides(tally.components(0), tally.components(side), scorer.formula, metric.higher_is_better)
    estimate = paired_bootstrap(sides, replace(task.request.resampling, alpha=alpha))
    estimate = replace(estimate, units=tally.units)
    if turned is not None:
        estimate = replace(estimate, negative_rate=negative / tally.items)
    if not scorer.share:
        return estimate
    if negative == positive == 0:  # what could still hide among as many samples
        most = rule_of_three(tally.units, alpha)
        estimate = replace(estimate, interval=Interval(-most, most, 1 - 2 * alpha, "rule-of-three"))
    return replace(estimate, worsened=negative > 0)


def _lean(turned: Turned, alpha: float) -> bool:
    """Whether the ties are too one-sided for coin tosses."""
    if not turned.tie.any():
        return False
    return mcnemar_midp(*samples_turned(turned.part(turned.tie))) < _LEANING * alpha


def _with_flips(result: PairedMetric, task: Task, scorer: Scorer, turned: Turned) -> PairedMetric:
    lists = [
        flip_list(turned.part((turned.sign == sign) & (turned.tie == tie)), scorer.pairing, task.request)
        for tie in (False, True)
        for sign in (-1, 1)
    ]
    assert scorer.turns is not None  # noqa: S101  # there are flips
    classes, tested = worst_classes(scorer.turns, turned.part(~turned.tie), task.request.rule.alpha)
    return replace(
        result,
        negative=lists[0],
        positive=lists[1],
        tied_negative=lists[2],
        tied_positive=lists[3],
        classes=classes if scorer.turns.items.size > 1 else (),
        classes_tested=tested if scorer.turns.items.size > 1 else 0,
    )


def _of_areas(task: Task, metric: Metric) -> PairedMetric:
    found = areas(task, pair(task, elementwise=False), task.request.rule.alpha)
    estimate = found.estimate
    judged = _Judged(
        found.baseline, found.candidate, estimate, estimate.interval, found.samples, notes=found.notes
    )
    return _paired(task.request, metric, judged)


def _of_function(task: Task, metric: Metric) -> PairedMetric:
    if task.request.function is None:
        raise ConfigurationError(f"metric {metric.name!r} is a function of yours, and it was not loaded")
    found = apply_function(task, task.request.function)
    if not math.isfinite(found.baseline):
        raise UnscorableError(f"the function returns {found.baseline} for the baseline")
    estimate = found.estimate
    judged = _Judged(found.baseline, found.candidate, estimate, estimate.interval, found.samples)
    return _paired(task.request, metric, judged)


def _paired(request: MetricRequest, metric: Metric, judged: _Judged) -> PairedMetric:
    """The result without flips."""
    rule = _rule(request, metric, judged.baseline)
    estimate, usable = judged.estimate, math.isfinite(judged.candidate)
    answer = Answer("worse", "lost") if judged.lost or not usable else decide(estimate, rule)
    interval = judged.interval
    if interval is not None and not metric.higher_is_better:
        interval = replace(interval, low=0.0 - interval.high, high=0.0 - interval.low)
    result = PairedMetric(
        metric.name,
        request.output,
        metric.higher_is_better,
        answer.decision,
        answer.reason,
        message="",
        samples=judged.samples,
        units=estimate.units,
        baseline=judged.baseline,
        candidate=judged.candidate if usable else None,
        delta=judged.candidate - judged.baseline if usable else None,
        interval=interval if usable else None,
        p_worse=estimate.p_worse,
        needed=answer.needed,
        margin=rule.margin,
        notes=judged.notes,
    )
    return replace(result, message=describe(result))


def _rule(request: MetricRequest, metric: Metric, baseline: float) -> Rule:
    """The rule in the metric's unit. An error cannot move further than the predictions: noise is no loss."""
    rule = request.rule
    if not metric.relative:
        return rule
    least = request.noise if request.noise is not None and metric.name in ("mae", "rmse") else 0.0
    scale = abs(baseline)
    floor = None if rule.floor is None else max(rule.floor * scale, least)
    return replace(rule, margin=max(rule.margin * scale, least), floor=floor)


def _unscored(request: MetricRequest, metric: Metric, message: str) -> PairedMetric:
    decision: Decision = "cannot-tell"
    return PairedMetric(
        metric.name,
        request.output,
        metric.higher_is_better,
        decision,
        "not-scored",
        f"{metric.name}: {message}",
    )

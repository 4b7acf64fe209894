"""One metric of one output, on both sides, with a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from validator.base import finite
from validator.errors import ConfigurationError
from validator.numbers.metrics.registry import Metric, find_metric
from validator.numbers.metrics.request import MetricRequest, MetricResult, Scored, Scoring, UnscorableError
from validator.numbers.statistics import Criterion, Ruling, decide, holm
from validator.storage.tensors import StoredTensor


def evaluate(
    request: MetricRequest,
    baseline: StoredTensor,
    candidate: StoredTensor,
    labels: StoredTensor,
    weights: StoredTensor | None = None,
) -> MetricResult:
    """Score both sides on the same samples and decide.

    What cannot be scored, and a metric that raises, is a result: "not-scored" with the reason in `message`.
    ConfigurationError for an unknown metric, and for files that cannot be read.
    """
    metric = find_metric(request.metric)
    try:
        return _result(request, metric, metric.score(Scoring(request, baseline, candidate, labels, weights)))
    except ConfigurationError:
        raise
    except UnscorableError as error:
        message = str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001, RUF100  # whatever a user's function raises
        message = f"{type(error).__name__}: {error}"
    return MetricResult(
        metric=metric.name,
        output=request.output,
        higher_is_better=metric.higher_is_better,
        message=message,
    )


def correct(metrics: Sequence[MetricResult], criterion: Criterion) -> tuple[MetricResult, ...]:
    """Correct a set of results by Holm: a "worse" that does not survive becomes "inconclusive".

    "Not worse" needs no correction: the set is fine only if every metric is (an intersection-union test).
    """
    adjusted = iter(holm([metric.p for metric in metrics if metric.p is not None]))
    return tuple(
        metric if metric.p is None else _corrected(metric, next(adjusted), criterion) for metric in metrics
    )


def _corrected(metric: MetricResult, p: float, criterion: Criterion) -> MetricResult:
    update: dict[str, object] = {"p": p}
    if metric.reason == "significant" and p >= criterion.alpha:
        update |= {"decision": "inconclusive", "reason": "too-few-samples", "worse": False}
    return metric.model_copy(update=update)


def _result(request: MetricRequest, metric: Metric, scored: Scored) -> MetricResult:
    criterion = _criterion(request, metric, scored)
    estimate, usable = scored.estimate, math.isfinite(scored.candidate)
    ruling = Ruling("worse", "lost") if scored.lost or not usable else decide(estimate, criterion)
    ruling = Ruling("worse", "raised") if scored.raised else ruling
    higher = metric.higher_is_better if scored.higher_is_better is None else scored.higher_is_better
    interval = scored.interval if usable else None
    if interval is not None and not higher:
        interval = replace(interval, low=0.0 - interval.high, high=0.0 - interval.low)
    return MetricResult(
        metric=metric.name,
        output=request.output,
        higher_is_better=higher,
        directed=request.function is None or request.direction is not None,
        message=scored.raised,
        samples=scored.samples,
        units=estimate.units,
        baseline=finite(scored.baseline),
        candidate=finite(scored.candidate),
        delta=finite(scored.candidate - scored.baseline),
        p=estimate.p_worse,
        decision=ruling.decision,
        reason=ruling.reason,
        margin=criterion.margin,
        needed=ruling.needed,
        notes=scored.notes,
        worse=ruling.decision == "worse",
        **(vars(interval) if interval else {}),
        **(vars(scored.flips) if scored.flips else {}),
    )


def _criterion(request: MetricRequest, metric: Metric, scored: Scored) -> Criterion:
    """The criterion in the metric's unit. An error moves no further than predictions do: noise is no loss."""
    criterion = request.criterion
    if not metric.relative:
        return criterion
    least = request.noise if request.noise is not None and metric.name in ("mae", "rmse") else 0.0
    return replace(criterion, margin=max(criterion.margin * abs(finite(scored.baseline) or 0.0), least))

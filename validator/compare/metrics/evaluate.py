"""One metric of one output, on both sides, with a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from validator.compare.metrics.functions import evaluate_function
from validator.compare.metrics.pairing import pair
from validator.compare.metrics.ranking import areas
from validator.compare.metrics.registry import Metric, find_metric
from validator.compare.metrics.request import MetricRequest, PairedMetric, Task, Unscorable
from validator.compare.metrics.scorers import Scorer
from validator.compare.metrics.tally import Turned, flip_list, samples_turned, worst_classes
from validator.compare.metrics.wording import describe
from validator.compare.statistics import (
    Answer,
    Counts,
    Decision,
    Estimate,
    Interval,
    Rule,
    Values,
    decide,
    holm,
    identical,
    mcnemar_midp,
    paired_bootstrap,
    paired_estimate,
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
    except Unscorable as error:
        return _unscored(request, metric, str(error))
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001, RUF100  # whatever a user's function raises
        return _unscored(request, metric, f"{type(error).__name__}: {error}")


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
    """Both values, the estimate behind the decision, the interval of all differences, and what was lost."""

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
        if scorer.left_out:
            raise Unscorable(
                f"all {scorer.left_out} values are infinite or NaN on a side"
                + (f", {scorer.lost} of them only for the candidate" if scorer.lost else "")
            )
        raise Unscorable("no label counts: all are missing, ignored or weigh 0")
    before, after = scorer.formula(tally.totals()[:2]).tolist()
    if not math.isfinite(before):
        raise Unscorable("the metric is undefined for these labels (R² of equal labels, texts without words)")
    turned = None if scorer.turns is None else scorer.turns.all()
    notes = scorer.notes
    if turned is not None and turned.tie.any() and _lean(turned, task.request.rule.alpha):
        turned = replace(turned, tie=np.zeros_like(turned.tie))
        notes = (*notes, "flips within the noise lean to the candidate's loss, so they count as flips")
    ties = turned is not None and bool(turned.tie.any())
    whole = _estimate(task, metric, scorer, _Flips(turned, ties=True))
    clear = _estimate(task, metric, scorer, _Flips(turned, ties=False)) if ties else whole
    if scorer.left_out:
        notes = (*notes, f"{scorer.left_out} values are infinite or NaN on a side and left out")
    judged = _Judged(before, after, clear, whole.interval, tally.items, scorer.lost, notes)
    result = _paired(task.request, metric, judged)
    if turned is None:
        return result
    return replace(result, **_turned_fields(task, scorer, turned)) if False else _with_flips(result, task, scorer, turned)

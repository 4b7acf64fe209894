"""What the framework's own `evaluate` reports on both sides, beside what the predictions say."""

from __future__ import annotations

from collections.abc import Sequence

from validator.checks.accuracy.types import MaskIgnoredFinding, MetricOnlyFinding, ReportedMetric
from validator.checks.bands import ReportedBands
from validator.checks.loading.types import SIDES
from validator.checks.outputs.types import OutputNumbers
from validator.numbers.metrics import MetricResult


def differs(metric: ReportedMetric, outputs: Sequence[OutputNumbers], bands: ReportedBands) -> bool:
    """Whether predictions do not explain the difference: each top-1 change may move a mean by its share."""
    if metric.baseline is None or metric.candidate is None:
        return False
    compared = [output.comparison for output in outputs if output.comparison is not None]
    moved = max((part.flips / part.rows for part in compared if part.flips and part.rows), default=0.0)
    room = bands.atol + bands.rtol * max(abs(metric.baseline), abs(metric.candidate)) + moved
    return abs(metric.baseline - metric.candidate) > room


def most_telling(reported: Sequence[ReportedMetric]) -> ReportedMetric:
    """Of those that differ: accuracies tell a reader more than the loss."""
    return min(reported, key=lambda metric: metric.name == "loss")


def metric_only(metric: ReportedMetric, metrics: Sequence[MetricResult]) -> MetricOnlyFinding:
    """The finding of a cell with the same predictions and another reported number."""
    own = next((result for result in metrics if result.candidate is not None), None)
    return MetricOnlyFinding(
        verdict="metric-only",
        reported=metric,
        metric=own.metric if own else "",
        value=own.candidate if own else None,
    )


def mask_ignored(
    reported: ReportedMetric,
    metrics: Sequence[MetricResult],
    outputs: Sequence[OutputNumbers],
    bands: ReportedBands,
) -> MaskIgnoredFinding | None:
    """Which side leaves the mask out, by arithmetic; None where that explains nothing.

    A metric that ignores the mask counts masked positions, which are never right, as wrong: it reports the
    true accuracy times the share of positions that count. Keras 3.0 to 3.11.3 do that in compiled metrics
    without a sample weight (https://github.com/keras-team/keras/issues/21569).
    """
    rows = {output.name: output.comparison.rows for output in outputs if output.comparison is not None}
    values = dict(zip(SIDES, (reported.baseline, reported.candidate), strict=True))
    for metric in metrics:
        total, true = rows.get(metric.output), metric.baseline
        if metric.metric != "accuracy" or true is None or not total or metric.samples >= total:
            continue
        share = metric.samples / total
        wrong = [side for side, value in values.items() if _equal(value, true * share, bands)]
        right = [side for side, value in values.items() if _equal(value, true, bands)]
        if len(wrong) == len(right) == 1:
            return MaskIgnoredFinding(
                side=wrong[0], reported=reported.name, value=true, share=share, product=true * share
            )
    return None


def _equal(value: float | None, expected: float, bands: ReportedBands) -> bool:
    return value is not None and abs(value - expected) <= bands.mask

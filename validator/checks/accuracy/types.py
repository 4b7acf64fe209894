"""The numbers and findings of the check `accuracy`: does it matter for the task?"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen
from validator.checks.loading.types import Side
from validator.checks.protocol import Comparison, Finding
from validator.failure import Failure
from validator.numbers.metrics import MetricResult

__all__ = ["AccuracyComparison", "MetricResult", "ReportedMetric"]


class ReportedMetric(Frozen):
    """One number of the framework's own `evaluate`, on both sides."""

    name: str
    baseline: float | None
    candidate: float | None


class AccuracyComparison(Comparison):
    """Metrics from the predictions, and beside them what the framework reports."""

    metrics: tuple[MetricResult, ...] = ()
    reported: tuple[ReportedMetric, ...] = ()
    unscored: str = Field(default="", description="Why no metric could be scored.")
    evaluate_failures: dict[Side, Failure] = {}


class _OfAccuracy(Finding):
    check: Literal["accuracy"] = "accuracy"


class MetricOnlyFinding(_OfAccuracy):
    """The predictions are the same, and the framework reports another number.

    `metric`: the tool's own, from the predictions; empty where there is none.
    """

    kind: Literal["metric-only"] = "metric-only"
    reported: ReportedMetric
    metric: str = ""
    value: float | None = None


class MaskIgnoredFinding(_OfAccuracy):
    """One side reports `product`: the true value times the share of positions that the mask keeps."""

    kind: Literal["mask-ignored"] = "mask-ignored"
    side: Side
    reported: str
    value: float
    share: float
    product: float


class MetricWorseFinding(_OfAccuracy):
    """A metric got worse, beyond the margin and beyond chance."""

    kind: Literal["metric-worse"] = "metric-worse"
    result: MetricResult


class UnscoredFinding(_OfAccuracy):
    """A metric that was asked for has no value; `metric` is empty where none could be scored."""

    kind: Literal["unscored"] = "unscored"
    metric: str = ""
    output: str = ""
    reason: str = Field(description="In the words of what was raised.")


class EvaluateFailedFinding(_OfAccuracy):
    """The framework's own `evaluate` failed."""

    kind: Literal["evaluate-failed"] = "evaluate-failed"
    side: Side
    failure: Failure

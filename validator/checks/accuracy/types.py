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
    """One number of the framework's `evaluate`, on both sides; null where it is NaN, infinite or absent."""

    name: str
    baseline: float | None
    candidate: float | None
    absent: Side | None = Field(default=None, description="The side that does not report it.")


#: `lost` and `gained`: a number on one side, NaN or infinity on the other. `missing` and `new`: reported on
#: one side alone. `renamed`: missing, with the same value under a name that is new.
ReportedChange = Literal["lost", "gained", "missing", "renamed", "moved", "new"]


class LabelsFed(Frozen):
    """One metric of one environment, with labels as a dict and as a list."""

    metric: str
    as_dict: float | None
    as_list: float | None


class AccuracyComparison(Comparison):
    """Metrics from the predictions, and beside them what the framework reports."""

    metrics: tuple[MetricResult, ...] = ()
    reported: tuple[ReportedMetric, ...] = ()
    unscored: str = Field(default="", description="Why no metric could be scored.")
    fed_as_list: dict[Side, tuple[LabelsFed, ...]] = Field(
        default={}, description="Metrics that are others where labels are a list instead of a dict."
    )
    masked: bool = Field(default=False, description="An output carries a mask.")
    evaluate_failures: dict[Side, Failure] = {}


class _OfAccuracy(Finding):
    check: Literal["accuracy"] = "accuracy"


class MetricOnlyFinding(_OfAccuracy):
    """The predictions do not explain what the framework reports.

    `metric`: the tool's own, from the predictions; empty where there is none.
    """

    kind: Literal["metric-only"] = "metric-only"
    reported: ReportedMetric
    change: ReportedChange = "moved"
    renamed_to: str = ""
    others: tuple[str, ...] = Field(default=(), description="Further metrics that are not the same.")
    masked: bool = Field(default=False, description="An output carries a mask, which metrics may ignore.")
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


class LabelsFedFinding(_OfAccuracy):
    """In one environment, labels fed as a dict and as a list report different numbers. The dict decides."""

    kind: Literal["labels-fed"] = "labels-fed"
    side: Side
    fed: LabelsFed


class EvaluateFailedFinding(_OfAccuracy):
    """The framework's own `evaluate` failed. Only in the candidate alone is that the upgrade's doing."""

    kind: Literal["evaluate-failed"] = "evaluate-failed"
    side: Side
    failure: Failure

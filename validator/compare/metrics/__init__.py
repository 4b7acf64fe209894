"""Task metrics of both sides on the same samples: what a moved number means for the task."""

from __future__ import annotations

from validator.compare.metrics.evaluate import correct, evaluate
from validator.compare.metrics.registry import KNOWN, Metric, find_metric
from validator.compare.metrics.request import (
    ClassDelta,
    FlipList,
    MetricFunction,
    MetricRequest,
    PairedMetric,
)
from validator.compare.metrics.wording import describe

__all__ = [
    "KNOWN",
    "ClassDelta",
    "FlipList",
    "Metric",
    "MetricFunction",
    "MetricRequest",
    "PairedMetric",
    "correct",
    "describe",
    "evaluate",
    "find_metric",
]

"""Task metrics of both sides on the same samples: what a moved number means for the task."""

from __future__ import annotations

from validator.numbers.metrics.evaluate import correct, evaluate
from validator.numbers.metrics.labels import pair_labels
from validator.numbers.metrics.registry import KNOWN, find_metric
from validator.numbers.metrics.request import (
    ClassResult,
    MetricFunction,
    MetricNote,
    MetricRequest,
    MetricResult,
)

__all__ = [
    "KNOWN",
    "ClassResult",
    "MetricFunction",
    "MetricNote",
    "MetricRequest",
    "MetricResult",
    "correct",
    "evaluate",
    "find_metric",
    "pair_labels",
]

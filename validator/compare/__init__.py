"""Captures → numbers. What they mean is decided elsewhere: nothing here says identical, rounding or changed.

NumPy only, and pure: captures arrive as `StoredTensor`s, results leave as frozen values.
"""

from __future__ import annotations

from validator.compare.accuracy import (
    LabelledOutput,
    MetricValue,
    PairedScores,
    Scoring,
    pair_labels,
    paired,
    score,
)
from validator.compare.structure import OutputMatch, OutputPair, SideFacts, compare_structure, match_outputs
from validator.compare.tensors import Problem, TensorComparison, Worst, compare_tensors
from validator.compare.tolerances import tolerance_of

__all__ = [
    "LabelledOutput",
    "MetricValue",
    "OutputMatch",
    "OutputPair",
    "PairedScores",
    "Problem",
    "Scoring",
    "SideFacts",
    "TensorComparison",
    "Worst",
    "compare_structure",
    "compare_tensors",
    "match_outputs",
    "pair_labels",
    "paired",
    "score",
    "tolerance_of",
]

"""Captures → numbers. What they mean is decided elsewhere: nothing here says identical, rounding or changed.

NumPy, and where a statistic needs it SciPy or scikit-learn, imported late. Pure: captures arrive as
`StoredTensor`s, results leave as frozen values.
"""

from __future__ import annotations

from validator.compare.structure import OutputMatch, OutputPair, SideFacts, compare_structure, match_outputs
from validator.compare.tensors import Problem, TensorComparison, Worst, compare_tensors
from validator.compare.tolerances import tolerance_of

__all__ = [
    "OutputMatch",
    "OutputPair",
    "Problem",
    "SideFacts",
    "TensorComparison",
    "Worst",
    "compare_structure",
    "compare_tensors",
    "match_outputs",
    "tolerance_of",
]

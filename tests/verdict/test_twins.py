"""A cell and its twin in higher precision: either convicts, and what kind of change it is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verdict.cases import OLD, cell, output
from validator.config.settings import Gate
from validator.results import CellVerdict, Change
from validator.verdict import apply_gate, judge_cell
from validator.verdict.outputs import SelfNoise
from validator.verdict.twins import ErrorPair, TwinEvidence

MOVED = OLD + np.float32(1e-5)
CLEAN, ROUNDED = output(OLD, ratio=0.0), output(MOVED, ratio=0.9)
ALIKE = ErrorPair("output", baseline=0.02, candidate=0.03, reference=1.0, bias=0.01)
LOST = ErrorPair("output", baseline=0.02, candidate=1.5, reference=1.0, bias=0.01)
COARSER = ErrorPair("output", baseline=1e-6, candidate=4e-3, reference=1.0, bias=0.01)
BIASED = ErrorPair("output", baseline=1e-6, candidate=4e-3, reference=1.0, bias=0.7)


def half(*twin, errors=(ALIKE,), problem: str = "") -> TwinEvidence:
    return TwinEvidence("float32", "bfloat16", tuple(twin), errors, problem)


def double(*twin, errors=(ALIKE,)) -> TwinEvidence:
    return TwinEvidence("float64", "float32", tuple(twin), errors)


@pytest.mark.parametrize(
    ("own", "twin", "verdict", "change"),
    [
        # both quiet
        (0.5, half(CLEAN), "rounding", "rounding"),
        (0.5, half(ROUNDED), "rounding", "rounding"),
        # the twin sees what half-precision noise hides: GELU in a transformer is 0.78 times it
        (0.78, half(output(MOVED, ratio=273.0)), "changed", "semantic"),
        (0.78, half(output(MOVED, ratio=3.0)), "suspicious", None),
        # a clean twin acquits nothing above its own noise
        (22.7, half(CLEAN, errors=(LOST,)), "changed", "semantic"),
        (3.0, half(CLEAN, errors=(LOST,)), "suspicious", "semantic"),
        (22.7, half(ROUNDED, errors=()), "changed", None),
        # both are about as far from the truth: another precision, or another order of sums
        (22.7, half(CLEAN, errors=(ALIKE,)), "changed", "precision"),
        (1600.0, double(CLEAN, errors=(COARSER,)), "changed", "precision"),
        (1600.0, double(CLEAN, errors=(BIASED,)), "changed", "semantic"),
        # both differ
        (22.7, half(output(MOVED, ratio=300.0)), "changed", "semantic"),
        (300.0, double(output(MOVED, ratio=1e9)), "changed", "semantic"),
        (3.0, double(output(MOVED, ratio=1e9)), "changed", "semantic"),
        # suspicious in float32, but no further from float64 than the baseline is
        (3.0, double(ROUNDED, errors=(ALIKE,)), "rounding", "rounding"),
        (3.0, double(ROUNDED, errors=(LOST,)), "suspicious", "semantic"),
    ],
)
def test_either_convicts(own: float, twin: TwinEvidence, verdict: CellVerdict, change: Change | None) -> None:
    result = judge_cell(cell(output(MOVED, ratio=own), twin=twin))
    assert (result.verdict, result.change) == (verdict, change)
    assert twin.precision in result.message or result.verdict == "rounding"


def test_bit_identical_in_half_precision_and_changed_in_the_twin() -> None:
    """LayerNormalization's epsilon: bfloat16 does not show it at all."""
    result = judge_cell(cell(CLEAN, twin=half(output(MOVED, ratio=5.3))))
    assert (result.verdict, result.change) == ("changed", "semantic")
    assert result.message.startswith(
        "hidden by bfloat16, but not in its float32 twin: output `output`: 5.3 times"
    )
    assert apply_gate(result, Gate()).gated == ("changed",)


def test_what_exists_only_in_half_precision_is_said() -> None:
    result = judge_cell(cell(output(MOVED, ratio=22.7), twin=half(CLEAN, errors=(LOST,))))
    assert "its float32 twin is bit-identical: what differs exists only in bfloat16" in result.message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (COARSER, "worse than in the baseline (19.9 effective bits became 8.0)"),
        (
            ErrorPair("output", 4e-3, 1e-6, 1.0, 0.0),
            "better than in the baseline (8.0 effective bits became 19.9)",
        ),
        (ALIKE, "as good as in the baseline"),
    ],
)
def test_a_precision_change_says_which_side_is_the_better_one(error: ErrorPair, words: str) -> None:
    result = judge_cell(cell(output(MOVED, ratio=50.0), twin=double(CLEAN, errors=(error,))))
    assert result.change == "precision"
    assert words in result.message


def test_an_acquitted_output_says_by_what() -> None:
    result = judge_cell(cell(output(MOVED, ratio=3.0), twin=double(CLEAN)))
    assert [found.verdict for found in result.outputs] == ["rounding"]
    assert "float64 twin is bit-identical, and this side is 1.5× as far from it" in result.outputs[0].rule


def test_a_twin_that_could_not_be_built_is_a_finding_and_changes_nothing() -> None:
    problem = "the model's code sets dtypes itself"
    result = judge_cell(cell(output(MOVED, ratio=0.5), twin=half(problem=problem)))
    assert result.verdict == "rounding"
    assert [(found.kind, problem in found.message) for found in result.findings] == [("twin", True)]
    assert "less confidence" in result.findings[0].message


def test_chance_is_no_matter_of_precision() -> None:
    wavering = output(MOVED, ratio=9.0, unstable=(SelfNoise("here", OLD.size, 1.0),))
    result = judge_cell(cell(wavering, twin=half(output(MOVED, ratio=300.0))))
    assert (result.verdict, result.change) == ("suspicious", None)


def test_without_a_twin_only_rounding_has_a_kind() -> None:
    assert judge_cell(cell(output(MOVED, ratio=0.5))).change == "rounding"
    assert judge_cell(cell(CLEAN)).change is None
    assert judge_cell(cell(output(MOVED, ratio=50.0))).change is None


def test_a_reported_metric_still_speaks_beside_a_clean_twin() -> None:
    evidence = cell(CLEAN, twin=half(CLEAN), reported=(("accuracy", 0.2, 0.9),))
    assert judge_cell(evidence).verdict == "metric-only"

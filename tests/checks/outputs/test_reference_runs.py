"""A cell and its reference run in higher precision: either convicts, and what kind of change it is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.checks.outputs.output_cases import (
    OLD,
    failed,
    findings,
    judged,
    of_reference,
    output,
    own,
    verdict,
)
from validator.checks.bands import CellVerdict
from validator.checks.outputs.find import change_of
from validator.checks.outputs.types import (
    Change,
    OutputFinding,
    ReferenceComparison,
    ReferenceDistance,
    ReferenceFinding,
)

MOVED = OLD + np.float32(1e-5)
CLEAN, ROUNDED = output(OLD, ratio=0.0), output(MOVED, ratio=0.9)


def distance(baseline: float, candidate: float, bias: float) -> ReferenceDistance:
    return ReferenceDistance(
        output="output", baseline=baseline, candidate=candidate, reference=1.0, bias=bias
    )


ALIKE, LOST = distance(0.02, 0.03, 0.01), distance(0.02, 1.5, 0.01)
COARSER, BIASED = distance(1e-6, 4e-3, 0.01), distance(1e-6, 4e-3, 0.7)


def half(*outputs, errors=(ALIKE,), **fields) -> ReferenceComparison:
    return ReferenceComparison(
        precision="float32", policy="bfloat16", outputs=outputs, errors=errors, **fields
    )


def double(*outputs, errors=(ALIKE,)) -> ReferenceComparison:
    return ReferenceComparison(precision="float64", policy="float32", outputs=outputs, errors=errors)


@pytest.mark.parametrize(
    ("ratio", "reference", "expected", "change"),
    [
        # both quiet
        (0.5, half(CLEAN), "rounding", "rounding"),
        (0.5, half(ROUNDED), "rounding", "rounding"),
        # the reference sees what half-precision noise hides: GELU in a transformer is 0.78 times it
        (0.78, half(output(MOVED, ratio=273.0)), "changed", "semantic"),
        (0.78, half(output(MOVED, ratio=3.0)), "suspicious", None),
        # a clean reference acquits nothing above its own noise
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
def test_either_convicts(
    ratio: float, reference: ReferenceComparison, expected: CellVerdict, change: Change | None
) -> None:
    found = findings(output(MOVED, ratio=ratio), reference=reference)
    assert (verdict(found), change_of(found)) == (expected, change)


@pytest.mark.parametrize(
    ("ratio", "reference", "kind"),
    [
        (0.78, half(output(MOVED, ratio=273.0)), "reference-convicts"),
        (22.7, half(output(MOVED, ratio=300.0)), "reference-confirms"),
        (22.7, half(CLEAN, errors=(LOST,)), "reference-semantic"),
        (50.0, double(CLEAN, errors=(COARSER,)), "reference-precision"),
        (50.0, double(CLEAN, errors=()), "reference-agrees"),
        (3.0, double(CLEAN), "reference-acquits"),
    ],
)
def test_what_the_reference_adds(ratio: float, reference: ReferenceComparison, kind: str) -> None:
    assert of_reference(findings(output(MOVED, ratio=ratio), reference=reference)).kind == kind


def test_bit_identical_in_half_precision_and_changed_in_the_reference() -> None:
    """LayerNormalization's epsilon: bfloat16 does not show it at all."""
    found = findings(CLEAN, reference=half(output(MOVED, ratio=5.3)))
    assert (verdict(found), change_of(found)) == ("changed", "semantic")
    hidden = of_reference(found)
    assert hidden.kind == "reference-convicts"
    assert hidden.reference == judged(output(MOVED, ratio=5.3))


def test_effective_bits_tell_which_side_is_the_better() -> None:
    assert COARSER.bits == (pytest.approx(19.9, abs=0.05), pytest.approx(8.0, abs=0.05))
    assert distance(0.0, 1.0, 0.0).bits == (53.0, 0.0)


def test_an_acquitted_output_is_rounding() -> None:
    own_finding, reference = findings(output(MOVED, ratio=3.0), reference=double(CLEAN))
    assert isinstance(own_finding, OutputFinding)
    assert (own_finding.verdict, own_finding.acquitted, own_finding.rule) == ("rounding", True, "noise")
    assert isinstance(reference, ReferenceFinding)
    assert reference.error is not None
    assert reference.error.ratio == pytest.approx(1.5)


def test_a_suspicious_output_beside_an_acquitted_one_keeps_the_verdict() -> None:
    other = output(MOVED, ratio=3.0).model_copy(update={"name": "other"})
    found = findings(output(MOVED, ratio=3.0), other, reference=double(CLEAN))
    assert verdict(found) == "suspicious"
    assert not any(isinstance(finding, OutputFinding) and finding.acquitted for finding in found)


def test_a_reference_that_could_not_be_made_changes_nothing() -> None:
    failure = failed("the model's code sets dtypes itself")
    found = findings(output(MOVED, ratio=0.5), reference=half(failure=failure, failed_side="candidate"))
    assert verdict(found) == "rounding"
    missing = of_reference(found)
    assert (missing.kind, missing.failure, missing.failed_side) == ("reference-missing", failure, "candidate")
    unmatched = findings(output(MOVED, ratio=0.5), reference=half(unmatched=True))
    assert of_reference(unmatched).kind == "reference-missing"


def test_chance_is_no_matter_of_precision() -> None:
    wavering = output(MOVED, ratio=9.0, unsteady={"candidate": own(1.0)})
    found = findings(wavering, reference=half(output(MOVED, ratio=300.0)))
    assert (verdict(found), change_of(found)) == ("suspicious", None)


def test_without_a_reference_only_rounding_has_a_kind() -> None:
    assert change_of(findings(output(MOVED, ratio=0.5))) == "rounding"
    assert change_of(findings(CLEAN)) is None
    assert change_of(findings(output(MOVED, ratio=50.0))) is None

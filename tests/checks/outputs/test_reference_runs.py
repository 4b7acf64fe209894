"""A cell and its float64 runs: do both sides compute the same function, and what follows for the cell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.checks.outputs.output_cases import (
    OLD,
    apart,
    drift,
    failed,
    findings,
    of_reference,
    output,
    verdict,
)
from validator.checks.bands import CellVerdict
from validator.checks.outputs.find import change_of
from validator.checks.outputs.types import Change, OutputFinding, OutputNumbers, ReferenceComparison
from validator.checks.protocol import Finding
from validator.config.settings import Tolerance
from validator.numbers.places import Places
from validator.verdict.bands import BANDS

MOVED = OLD + np.float32(1e-5)
SAME, OTHER, BETWEEN = apart(1e-15), apart(1e-4), apart(3e-7)
HALF = ReferenceComparison(policy="bfloat16")


def with_reference(*outputs: OutputNumbers, **fields: Any) -> tuple[Finding, ...]:
    return findings(*outputs, reference=HALF.model_copy(update=fields))


@pytest.mark.parametrize(
    ("ratio", "reference", "expected", "change", "kind"),
    [
        (0.5, SAME, "rounding", "rounding", None),
        (0.5, BETWEEN, "rounding", "rounding", None),
        # what rounding hides: the float64 runs convict inside the noise, and between its bands
        (0.5, OTHER, "changed", "semantic", "reference-convicts"),
        (1.5, OTHER, "changed", "semantic", "reference-convicts"),
        (9.0, OTHER, "changed", "semantic", "reference-confirms"),
        # the same function: what was suspicious is rounding, what changed is another precision
        (1.5, SAME, "rounding", "rounding", "reference-acquits"),
        (9.0, SAME, "changed", "precision", "reference-precision"),
        # between its thresholds float64 tells nothing
        (1.5, BETWEEN, "suspicious", None, None),
        (9.0, BETWEEN, "changed", None, None),
        # a part of the output
        (0.5, apart(1e-9, column_delta=2e-5), "changed", "semantic", "reference-convicts"),
        (0.5, apart(1e-9, row_delta=2e-5), "changed", "semantic", "reference-convicts"),
        (1.5, apart(1e-9, column_delta=2e-6), "rounding", "rounding", "reference-acquits"),
        (0.5, apart(math.nan), "rounding", "rounding", None),
        (1.5, apart(math.nan), "suspicious", None, None),
    ],
)
def test_float64_decides(
    ratio: float, reference: Any, expected: CellVerdict, change: Change | None, kind: str | None
) -> None:
    reported = with_reference(output(MOVED, ratio=ratio, reference=reference))
    assert (verdict(reported), change_of(reported)) == (expected, change)
    assert [finding.kind for finding in reported if finding.kind != "output"] == ([kind] if kind else [])


def test_bit_identical_in_half_precision_and_another_function() -> None:
    """LayerNormalization's epsilon: bfloat16 does not show it at all."""
    reported = with_reference(output(OLD, reference=OTHER))
    assert (verdict(reported), change_of(reported)) == ("changed", "semantic")
    assert of_reference(reported).kind == "reference-convicts"


def test_a_chaotic_model_is_not_convicted_by_float64() -> None:
    noise = drift(0.5, chaos=0.9)
    assert verdict(with_reference(output(MOVED, drift=noise, reference=OTHER))) == "suspicious"
    assert verdict(with_reference(output(MOVED, drift=noise, reference=SAME))) == "suspicious"


@pytest.mark.parametrize(
    ("delta", "flips", "expected"),
    [(0.0, 0, "rounding"), (0.1, 0, "changed"), (0.1, 2, "rounding")],
)
def test_labels_are_ties_where_float64_agrees_or_rounding_flips_them(
    delta: float, flips: int, expected: str
) -> None:
    places = Places(size=40, moved=2, flips=flips, novel=2, reach=flips)
    labels = output(
        np.ones((10, 4), np.int64),
        old=np.zeros((10, 4), np.int64),
        places=places,
        reference=apart(delta, discrete=True),
    )
    assert verdict(with_reference(labels)) == expected


@pytest.mark.parametrize(("reach", "expected"), [(1, "rounding"), (0, "changed")])
def test_nan_elsewhere_in_float64_too_convicts_what_rounding_does_not_flip(reach: int, expected: str) -> None:
    places = Places(size=40, moved=1, flips=reach, novel=1, reach=reach)
    new = OLD.copy()
    new[2, 1] = np.nan
    assert (
        verdict(with_reference(output(new, ratio=0.5, places=places, reference=apart(math.nan)))) == expected
    )


def test_effective_bits_tell_which_side_is_the_better() -> None:
    coarser = apart(0.0, baseline=1e-6, candidate=4e-3, reference=1.0)
    assert coarser.bits == (pytest.approx(19.9, abs=0.05), pytest.approx(8.0, abs=0.05))
    assert apart(0.0, baseline=0.0, candidate=1.0, reference=1.0).bits == (53.0, 0.0)


def test_an_acquitted_output_keeps_its_rule() -> None:
    own, _ = with_reference(output(MOVED, ratio=1.5, reference=SAME))
    assert isinstance(own, OutputFinding)
    assert (own.verdict, own.acquitted, own.rule) == ("rounding", True, "noise")


def test_a_suspicious_output_beside_an_acquitted_one_keeps_the_verdict() -> None:
    other = output(MOVED, ratio=1.5).model_copy(update={"name": "other"})
    reported = with_reference(output(MOVED, ratio=1.5, reference=SAME), other)
    assert (verdict(reported), change_of(reported)) == ("suspicious", None)


def test_a_configured_tolerance_is_not_overruled() -> None:
    loose = Tolerance(rtol=0, atol=1e-3)
    reported = with_reference(output(MOVED, ratio=9.0, tolerance=loose, reference=OTHER))
    assert verdict(reported) == "rounding"


def test_a_reference_that_could_not_be_made_changes_nothing() -> None:
    failure = failed("the model's code sets dtypes itself")
    reported = with_reference(output(MOVED, ratio=0.5), failure=failure, failed_side="candidate")
    assert verdict(reported) == "rounding"
    missing = of_reference(reported)
    assert (missing.kind, missing.failure, missing.failed_side) == ("reference-missing", failure, "candidate")
    assert of_reference(with_reference(output(MOVED, ratio=0.5), unmatched=True)).kind == "reference-missing"
    assert len(with_reference(output(OLD), unmatched=True)) == 1


def test_without_a_reference_only_rounding_has_a_kind() -> None:
    assert change_of(findings(output(MOVED, ratio=0.5))) == "rounding"
    assert change_of(findings(output(OLD))) is None
    assert change_of(findings(output(MOVED, ratio=50.0))) is None


def test_the_thresholds_leave_no_gap_and_no_overlap() -> None:
    bands = BANDS.outputs
    assert bands.same < bands.other < bands.part

"""What the framework reports, beside the predictions: what differs, and which side ignores the mask."""

from __future__ import annotations

import numpy as np
import pytest

from validator.checks.accuracy.reported import differs, mask_ignored, metric_only, most_telling
from validator.checks.accuracy.types import MaskIgnoredFinding, MetricResult, ReportedMetric
from validator.checks.outputs.types import OutputNumbers
from validator.numbers.distance import compare_tensors
from validator.storage.tensors import StoredTensor
from validator.verdict.bands import BANDS

SCORES = StoredTensor.from_array("output", np.zeros((2, 2), np.float32))
WHOLE = compare_tensors(SCORES, SCORES).model_copy(update={"rows": 6902, "flips": 0})
OUTPUT = OutputNumbers(name="output", comparison=WHOLE)
TIED = OutputNumbers(name="output", comparison=WHOLE.model_copy(update={"flips": 7}))
TRUE = MetricResult(
    metric="accuracy", output="output", samples=2071, baseline=0.8981, candidate=0.8981, delta=0.0
)
SHARE = 2071 / 6902


def reported(baseline: float | None, candidate: float | None, name: str = "accuracy") -> ReportedMetric:
    return ReportedMetric(name=name, baseline=baseline, candidate=candidate)


def ignored(metric: ReportedMetric, true: MetricResult = TRUE) -> MaskIgnoredFinding | None:
    return mask_ignored(metric, [true], [OUTPUT], BANDS.reported)


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_the_side_that_ignores_the_mask_is_known_by_arithmetic(side: str) -> None:
    sides = (0.8981 * SHARE, 0.8981) if side == "baseline" else (0.8981, 0.8981 * SHARE)
    finding = ignored(reported(*sides))
    assert finding is not None
    assert (finding.side, finding.reported, finding.value) == (side, "accuracy", 0.8981)
    assert (finding.share, finding.product) == (SHARE, 0.8981 * SHARE)


@pytest.mark.parametrize(("baseline", "candidate"), [(0.5, 0.8981), (0.5, 0.6), (0.8981 * SHARE, 0.5)])
def test_what_the_mask_does_not_explain_is_not_blamed_on_it(baseline: float, candidate: float) -> None:
    assert ignored(reported(baseline, candidate)) is None


def test_without_masked_positions_there_is_no_mask_to_blame() -> None:
    assert ignored(reported(0.27, 0.8981), TRUE.model_copy(update={"samples": 6902})) is None


@pytest.mark.parametrize(
    ("metric", "output", "expected"),
    [
        (reported(0.1234, 0.12341, "loss"), OUTPUT, False),
        (reported(0.5, 0.501), TIED, False),
        (reported(0.5, 0.51), TIED, True),
        (reported(None, 0.9), OUTPUT, False),
    ],
)
def test_rounding_and_top1_changes_do_not_make_a_reported_metric_differ(
    metric: ReportedMetric, output: OutputNumbers, expected: bool
) -> None:
    assert differs(metric, [output], BANDS.reported) is expected


def test_accuracy_tells_more_than_the_loss() -> None:
    accuracy = reported(0.2695, 0.8981)
    assert most_telling([reported(1.0, 2.0, "loss"), accuracy]) == accuracy
    finding = metric_only(accuracy, [TRUE])
    assert (finding.verdict, finding.reported, finding.metric, finding.value) == (
        "metric-only",
        accuracy,
        "accuracy",
        0.8981,
    )

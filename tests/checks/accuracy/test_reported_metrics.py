"""What the framework reports, beside the predictions: what differs, and which side ignores the mask."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from validator.checks.accuracy.reported import (
    compare_reports,
    differs,
    labels_fed,
    mask_ignored,
    metric_only,
    reported_changes,
)
from validator.checks.accuracy.types import LabelsFed, MaskIgnoredFinding, MetricResult, ReportedMetric
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


def changes(baseline: dict[str, float | None], candidate: dict[str, float | None]) -> list[tuple[str, str]]:
    reports = compare_reports(baseline, candidate)
    explained = partial(differs, outputs=[OUTPUT], bands=BANDS.reported)
    return [
        (change, metric.name + (f" → {new}" if new else ""))
        for change, metric, new in reported_changes(reports, lambda metric: not explained(metric))
    ]


NUMBERS: dict[str, float | None] = {"loss": 0.3, "acc": 0.9}


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (NUMBERS, []),
        ({"loss": None, "acc": 0.9}, [("lost", "loss")]),
        ({"loss": 0.3}, [("missing", "acc")]),
        ({"loss": 0.3, "accuracy": 0.9}, [("renamed", "acc → accuracy")]),
        ({"loss": 0.3, "accuracy": 0.4}, [("missing", "acc"), ("new", "accuracy")]),
        ({"loss": 0.3, "acc": 0.9, "auc": 0.7}, [("new", "auc")]),
        ({"loss": 0.6, "acc": 0.5}, [("moved", "acc"), ("moved", "loss")]),
        ({"loss": None}, [("lost", "loss"), ("missing", "acc")]),
        ({}, [("missing", "acc"), ("missing", "loss")]),
    ],
)
def test_what_is_reported_on_one_side_alone_is_compared_too(
    candidate: dict[str, float | None], expected: list[tuple[str, str]]
) -> None:
    assert changes(NUMBERS, candidate) == expected


def test_a_metric_that_is_nan_on_both_sides_is_the_same_and_one_that_becomes_a_number_is_not() -> None:
    assert changes({"loss": None}, {"loss": None}) == []
    assert changes({"loss": None}, {"loss": 0.3}) == [("gained", "loss")]


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        (5e-5, 1e-4, True),
        (2e-6, 4e-6, True),
        (1e-7, 2e-7, False),  # a mean of float32 numbers around 1 is known no better
        (0.3, 0.3001, True),
        (0.3, 0.30001, False),
        (1e6, 1e6 + 50.0, False),
    ],
)
def test_a_number_of_any_size_is_compared_in_its_own_unit(
    baseline: float, candidate: float, expected: bool
) -> None:
    assert differs(reported(baseline, candidate, "loss"), [OUTPUT], BANDS.reported) is expected


def test_predictions_that_move_within_their_noise_move_a_loss_by_as_much() -> None:
    moved = WHOLE.model_copy(update={"identical": False, "max_abs": 0.06})
    output = OutputNumbers(name="output", comparison=moved)
    assert not differs(reported(10.0, 10.06, "mae"), [output], BANDS.reported)
    assert not differs(reported(100.0, 101.0, "mse"), [output], BANDS.reported)
    assert differs(reported(100.0, 102.0, "mse"), [output], BANDS.reported)


def test_labels_that_report_otherwise_in_a_list_are_told() -> None:
    assert labels_fed({"loss": 1.0, "mae": 2.0}, {"loss": 1.0, "mae": 3.0}, BANDS.reported) == (
        LabelsFed(metric="mae", as_dict=2.0, as_list=3.0),
    )
    assert labels_fed({"loss": 1.0}, None, BANDS.reported) == ()


def test_the_finding_names_the_first_change_and_the_other_metrics() -> None:
    accuracy, loss = reported(0.2695, 0.8981), reported(1.0, 2.0, "loss")
    finding = metric_only([("moved", accuracy, ""), ("moved", loss, "")], [TRUE])
    assert (finding.verdict, finding.reported, finding.change, finding.others) == (
        "metric-only",
        accuracy,
        "moved",
        ("loss",),
    )
    assert (finding.metric, finding.value) == ("accuracy", 0.8981)

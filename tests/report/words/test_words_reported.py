"""What is said of metrics that the framework reports."""

from __future__ import annotations

import pytest

from validator.checks.accuracy.types import (
    EvaluateFailedFinding,
    LabelsFed,
    LabelsFedFinding,
    MetricOnlyFinding,
    ReportedMetric,
)
from validator.failure import Failure
from validator.report.phrases import unmarked
from validator.report.words.accuracy import WORDS

DEAD = Failure(stage="predict", error="ValueError", message="no such loss")


def only(change: str, baseline: float | None, candidate: float | None, **more: object) -> MetricOnlyFinding:
    reported = ReportedMetric(name="loss", baseline=baseline, candidate=candidate)
    facts = {"verdict": "metric-only", "reported": reported, "change": change, **more}
    return MetricOnlyFinding.model_validate(facts)


@pytest.mark.parametrize(
    ("finding", "sentence"),
    [
        (only("lost", 0.25, None), "the framework reports loss as NaN or infinity instead of 0.250"),
        (only("gained", None, 0.25), "the framework reports loss 0.250 instead of NaN or infinity"),
        (only("missing", 0.25, None), "the framework no longer reports loss (0.250 before)"),
        (only("new", None, 0.25), "the framework also reports loss (0.250)"),
        (only("renamed", 0.25, 0.25, renamed_to="error"), "the framework reports loss as error (0.250)"),
        (only("moved", 5.2e-5, 1.04e-4), "the framework reports loss 0.000104 instead of 5.2e-05"),
        (
            only("moved", 0.5, 0.25, others=("mae", "kind_loss"), metric="mae", value=2.0),
            "the framework reports loss 0.250 instead of 0.500; other metrics that differ: mae and kind_loss"
            "; computed from the predictions, mae is 2",
        ),
        (
            only("moved", 0.5, 0.25, masked=True),
            "the framework reports loss 0.250 instead of 0.500; an output carries a mask, which compiled "
            "metrics ignore in Keras 3.0 to 3.11.3",
        ),
    ],
)
def test_metrics_that_are_not_the_same(finding: MetricOnlyFinding, sentence: str) -> None:
    assert unmarked(WORDS.sentence(finding)) == sentence
    assert WORDS.place(finding) == "lead"


def test_labels_that_report_otherwise_in_a_list() -> None:
    fed = LabelsFedFinding(side="candidate", fed=LabelsFed(metric="loss", as_dict=1.0, as_list=2.0))
    assert unmarked(WORDS.sentence(fed)) == (
        "in the candidate the framework reports loss 1.000 for labels in a dict and 2.000 for the same "
        "labels in a list"
    )


@pytest.mark.parametrize(("verdict", "place"), [("metric-only", "lead"), (None, "note")])
def test_an_evaluate_that_fails_in_the_candidate_alone_leads(verdict: str | None, place: str) -> None:
    failed = EvaluateFailedFinding.model_validate({"verdict": verdict, "side": "candidate", "failure": DEAD})
    assert unmarked(WORDS.sentence(failed)) == (
        "the framework's evaluate failed in the candidate: ValueError: no such loss"
    )
    assert WORDS.place(failed) == place

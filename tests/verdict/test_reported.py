import pytest

from validator.results import MetricResult, OutputResult, ReportedMetric
from validator.verdict.reported import judge_reported, mask_cause, metric_only

OUTPUT = OutputResult(name="output", verdict="identical", rule="", rows=6902, flips=0)
TRUE = MetricResult(
    metric="accuracy", output="output", samples=2071, baseline=0.8981, candidate=0.8981, delta=0.0
)
SHARE = 2071 / 6902


def reported(baseline: float, candidate: float) -> tuple[ReportedMetric, ...]:
    return (judge_reported("accuracy", baseline, candidate, [OUTPUT]),)


def test_the_side_that_ignores_the_mask_is_found_by_arithmetic() -> None:
    cause = mask_cause(reported(0.8981 * SHARE, 0.8981), [TRUE], [OUTPUT])
    assert cause.startswith("the baseline ignores the mask in its `accuracy`: 0.8981 × 0.300")
    assert "this side is right" in cause
    other = mask_cause(reported(0.8981, 0.8981 * SHARE), [TRUE], [OUTPUT])
    assert other.startswith("this side ignores the mask")


@pytest.mark.parametrize(("baseline", "candidate"), [(0.5, 0.8981), (0.5, 0.6), (0.8981 * SHARE, 0.5)])
def test_what_the_mask_does_not_explain_is_not_blamed_on_it(baseline: float, candidate: float) -> None:
    assert mask_cause(reported(baseline, candidate), [TRUE], [OUTPUT]) == ""


def test_without_masked_positions_there_is_no_mask_to_blame() -> None:
    whole = TRUE.model_copy(update={"samples": 6902})
    assert mask_cause(reported(0.27, 0.8981), [whole], [OUTPUT]) == ""


def test_rounding_and_ties_do_not_make_a_reported_metric_differ() -> None:
    assert not judge_reported("loss", 0.1234, 0.12341, [OUTPUT]).differs
    tied = OUTPUT.model_copy(update={"flips": 7})
    assert not judge_reported("accuracy", 0.5, 0.501, [tied]).differs
    assert judge_reported("accuracy", 0.5, 0.51, [tied]).differs


def test_a_number_that_one_side_lacks_is_told_and_is_no_difference() -> None:
    assert not judge_reported("acc", None, 0.9, [OUTPUT]).differs


def test_the_sentence_prefers_accuracy_to_the_loss_and_names_all_three_numbers() -> None:
    both = (judge_reported("loss", 1.0, 2.0, [OUTPUT]), *reported(0.2695, 0.8981))
    sentence = metric_only(both, [TRUE])
    assert "`accuracy` 0.8981 here and 0.2695 in the baseline" in sentence
    assert "from the predictions `accuracy` is 0.8981" in sentence

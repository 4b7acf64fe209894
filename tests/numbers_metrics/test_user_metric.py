"""Metrics of the user: what they get, what they may return, and what happens when they fail."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from validator.errors import ConfigurationError
from validator.numbers.metrics import MetricFunction, MetricRequest, MetricResult, evaluate
from validator.storage.tensors import StoredTensor

Arrays = Mapping[str, np.ndarray[Any, Any]]
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 3, 80)
BEFORE = GENERATOR.normal(size=(80, 3)) + 2 * np.eye(3)[LABELS]
AFTER = GENERATOR.normal(size=(80, 3)) + 0.5 * np.eye(3)[LABELS]


def right(predictions: Arrays, labels: Arrays) -> object:
    return predictions["output"].argmax(axis=1) == labels["labels"]


def balanced(predictions: Arrays, labels: Arrays) -> object:
    return balanced_accuracy_score(labels["labels"], predictions["output"].argmax(axis=1))


def score(function: MetricFunction | None, after: Any = AFTER, **options: Any) -> MetricResult:
    sides = [StoredTensor.from_array("output", np.asarray(side)) for side in (BEFORE, after)]
    labels = StoredTensor.from_array("labels", LABELS)
    return evaluate(MetricRequest("mine:metric", function=function, **options), *sides, labels)


def test_one_number_a_sample_is_its_mean() -> None:
    result = score(right)
    assert result.baseline == pytest.approx(np.mean(BEFORE.argmax(1) == LABELS))
    assert result.candidate == pytest.approx(np.mean(AFTER.argmax(1) == LABELS))
    assert result.decision == "worse"
    assert result.low is not None
    assert result.high is not None
    assert result.high < 0


def test_one_number_is_resampled() -> None:
    result = score(balanced)
    assert result.baseline == pytest.approx(balanced_accuracy_score(LABELS, BEFORE.argmax(1)))
    assert (result.decision, result.samples, result.units) == ("worse", 80, 80)
    assert result.low is not None
    assert result.high is not None
    assert result.low < (result.delta or 0) < result.high < 0
    assert score(balanced, after=BEFORE).decision == "not-worse"


def test_resamples_of_one_class_are_left_out() -> None:
    labels = np.zeros(12, int)
    labels[:2] = 1
    before, after = GENERATOR.normal(size=(2, 12)) + labels

    def area(predictions: Arrays, labels: Arrays) -> object:
        if np.unique(labels["labels"]).size < 2:
            raise ValueError("one class")
        return roc_auc_score(labels["labels"], predictions["output"])

    request = MetricRequest("mine:area", function=area)
    result = evaluate(
        request,
        *(StoredTensor.from_array("output", a) for a in (before, after)),
        StoredTensor.from_array("labels", labels),
    )
    assert result.low is not None
    assert result.high is not None


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (np.zeros(3), "returns shape (3,)"),
        (np.zeros((80, 2)), "returns shape (80, 2)"),
        ("many", "ValueError: "),
        (None, "returns nan for the baseline"),
        (float("inf"), "returns inf for the baseline"),
    ],
)
def test_what_it_may_not_return(returned: object, said: str) -> None:
    result = score(lambda _predictions, _labels: returned)
    assert (result.decision, result.reason) == ("inconclusive", "not-scored")
    assert said in result.message


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), ZeroDivisionError("no"), KeyError("no"), MemoryError("no")]
)
def test_a_metric_that_raises_is_an_answer(error: Exception) -> None:
    def raising(_predictions: Arrays, _labels: Arrays) -> object:
        raise error

    result = score(raising)
    assert result.decision == "inconclusive"
    assert type(error).__name__ in result.message


def test_a_metric_that_exits_is_an_answer() -> None:
    assert "SystemExit" in score(lambda _predictions, _labels: sys.exit(3)).message


def test_a_metric_that_is_nan_for_the_candidate_only_is_worse() -> None:
    broken = np.full_like(AFTER, np.nan)
    result = score(lambda predictions, _: float(predictions["output"].sum()), after=broken)
    assert (result.decision, result.reason, result.candidate) == ("worse", "lost", None)
    each = score(lambda predictions, _: predictions["output"].sum(axis=1), after=broken)
    assert (each.decision, each.reason) == ("worse", "lost")


def test_it_cannot_write_into_what_it_gets() -> None:
    def writing(predictions: Arrays, _labels: Arrays) -> object:
        predictions["output"][:] = 0
        return 0.0

    assert "read-only" in score(writing).message


def test_it_gets_labels_and_weights() -> None:
    seen: list[tuple[Arrays, Arrays]] = []

    def watching(predictions: Arrays, labels: Arrays) -> object:
        seen.append((predictions, labels))
        return np.zeros(len(labels["labels"]))

    request = MetricRequest("mine:w", function=watching)
    texts = StoredTensor.from_array("labels", np.array(["a"] * 79 + ["b"]))
    weights = StoredTensor.from_array("sample_weight", np.arange(80.0))
    side = StoredTensor.from_array("output", BEFORE.astype(np.float32))
    assert evaluate(request, side, side, texts, weights).decision == "not-worse"
    predictions, labels = seen[0]
    assert predictions["output"].tolist() == BEFORE.astype(np.float32).tolist()
    assert labels["labels"].tolist() == ["a"] * 79 + ["b"]
    assert labels["sample_weight"].tolist() == list(range(80))


def test_a_function_that_was_not_loaded_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="was not loaded"):
        score(None)


def distance(predictions: Any, labels: Any) -> Any:
    """One number a sample, lower is better."""
    return np.abs(predictions["output"][:, 0] - 1)


def total(predictions: Any, labels: Any) -> Any:
    """One number of all samples."""
    return float(np.abs(predictions["output"][:, 0] - 1).mean())


FAR = np.full((40, 2), 3.0) + np.linspace(0, 0.1, 40)[:, None]
NEAR = FAR - 1


def moved(before: Any, after: Any, function: Any, **options: Any) -> MetricResult:
    sides = [StoredTensor.from_array("output", side) for side in (before, after)]
    labels = StoredTensor.from_array("labels", np.zeros(len(before)))
    return evaluate(MetricRequest("mine:metric", function=function, **options), *sides, labels)


@pytest.mark.parametrize("function", [distance, total])
@pytest.mark.parametrize(
    ("before", "after", "direction", "worse"),
    [
        (NEAR, FAR, "lower", True),
        (FAR, NEAR, "lower", False),
        (NEAR, FAR, "higher", False),
        (FAR, NEAR, "higher", True),
        (NEAR, FAR, None, True),  # nobody said that this is better
        (FAR, NEAR, None, True),
        (NEAR, NEAR, None, False),
    ],
)
def test_which_way_is_better_is_for_the_user_to_say(
    function: Any, before: Any, after: Any, direction: Any, worse: bool
) -> None:
    result = moved(before, after, function, direction=direction)
    assert (result.worse, result.directed) == (worse, direction is not None)
    assert result.higher_is_better is (
        bool(before.mean() > after.mean()) if direction is None else direction == "higher"
    )


def test_a_function_that_raises_for_the_candidate_alone_is_worse() -> None:
    def picky(predictions: Any, labels: Any) -> Any:
        if predictions["output"].max() > 2.5:
            raise ValueError("out of range")
        return 1.0

    result = moved(NEAR, FAR, picky)
    assert (result.worse, result.decision, result.reason) == (True, "worse", "raised")
    assert result.message == "ValueError: out of range"
    of_baseline = moved(FAR, NEAR, picky)
    assert (of_baseline.worse, of_baseline.reason) == (False, "not-scored")
    assert of_baseline.message == "for the baseline's predictions it raises ValueError: out of range"

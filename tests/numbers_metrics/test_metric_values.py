"""Every metric's value against scikit-learn's, or an independent calculation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special, stats
from sklearn import metrics as sk

from validator.numbers.metrics import MetricRequest, MetricResult, evaluate
from validator.numbers.metrics.texts import distance
from validator.storage.tensors import StoredTensor

Array = np.ndarray[Any, Any]
CLASSES = 5


def tensor(values: Any, name: str = "output") -> StoredTensor:
    return StoredTensor.from_array(name, np.asarray(values))


def score(metric: str, before: Any, after: Any, labels: Any, weights: Any = None) -> MetricResult:
    own = None if weights is None else tensor(weights, "sample_weight")
    return evaluate(MetricRequest(metric), tensor(before), tensor(after), tensor(labels, "labels"), own)


def softmax_scores(seed: int, samples: int = 120, classes: int = CLASSES) -> tuple[Array, Array, Array]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples)
    logits = generator.normal(size=(2, samples, classes))
    logits[:, np.arange(samples), labels] += 1
    before, after = special.softmax(logits, axis=-1).astype(np.float32)
    return before, after, labels


def both(
    result: MetricResult,
    reference: Callable[[Array], float],
    sides: tuple[Array, Array],
    digits: float = 1e-6,
) -> None:
    expected = [reference(side.astype(np.float64)) for side in sides]
    assert result.baseline == pytest.approx(expected[0], rel=digits), result.message
    assert result.candidate == pytest.approx(expected[1], rel=digits), result.message
    assert result.delta == pytest.approx(expected[1] - expected[0], abs=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("accuracy", lambda y, p, w: sk.accuracy_score(y, p.argmax(1), sample_weight=w)),
        ("top-2", lambda y, p, w: sk.top_k_accuracy_score(y, p, k=2, sample_weight=w)),
        ("top_3_accuracy", lambda y, p, w: sk.top_k_accuracy_score(y, p, k=3, sample_weight=w)),
        ("f1", lambda y, p, w: sk.f1_score(y, p.argmax(1), average="macro", sample_weight=w)),
        ("f1-micro", lambda y, p, w: sk.f1_score(y, p.argmax(1), average="micro", sample_weight=w)),
        ("iou", lambda y, p, w: sk.jaccard_score(y, p.argmax(1), average="macro", sample_weight=w)),
        (
            "auc",
            lambda y, p, w: sk.roc_auc_score(
                y, p / p.sum(1, keepdims=True), multi_class="ovr", sample_weight=w
            ),
        ),
        ("perplexity", lambda y, p, w: np.exp(sk.log_loss(y, p / p.sum(1, keepdims=True), sample_weight=w))),
    ],
)
def test_classes(metric: str, reference: Callable[..., float], weighted: bool) -> None:
    before, after, labels = softmax_scores(1)
    weights = np.random.default_rng(2).uniform(0.1, 3, labels.size) if weighted else None
    result = score(metric, before, after, labels, weights)
    both(result, lambda p: reference(labels, p, weights), (before, after))
    assert result.samples == result.units == labels.size
    assert result.low is not None
    assert result.high is not None
    assert result.delta is not None
    assert result.low <= result.delta <= result.high


@pytest.mark.parametrize("shape", [(200,), (200, 1)])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("accuracy", lambda y, p: sk.accuracy_score(y, p > 0.5)),
        ("f1", lambda y, p: sk.f1_score(y, p > 0.5)),
        ("iou", lambda y, p: sk.jaccard_score(y, p > 0.5)),
        ("auc", sk.roc_auc_score),
    ],
)
def test_one_score(metric: str, reference: Callable[..., float], shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(4)
    labels = generator.integers(0, 2, 200)
    before, after = special.expit(generator.normal(size=(2, 200)) + labels)
    result = score(metric, before.reshape(shape), after.reshape(shape), labels)
    both(result, lambda p: reference(labels, p), (before, after))


@pytest.mark.parametrize("metric", ["f1", "auc", "accuracy"])
def test_two_class_scores_are_binary(metric: str) -> None:
    before, after, labels = softmax_scores(3, classes=2)
    references: dict[str, Callable[[Array], float]] = {
        "f1": lambda p: sk.f1_score(labels, p.argmax(1)),
        "auc": lambda p: sk.roc_auc_score(labels, p[:, 1]),
        "accuracy": lambda p: sk.accuracy_score(labels, p.argmax(1)),
    }
    both(score(metric, before, after, labels), references[metric], (before, after))


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("f1", lambda y, p: sk.f1_score(y, p > 0.5, average="macro")),
        ("f1-micro", lambda y, p: sk.f1_score(y, p > 0.5, average="micro")),
        ("auc", lambda y, p: sk.roc_auc_score(y, p, average="macro")),
        ("accuracy", lambda y, p: np.mean(y == (p > 0.5))),
    ],
)
def test_several_labels(metric: str, reference: Callable[..., float]) -> None:
    generator = np.random.default_rng(6)
    labels = (generator.uniform(size=(90, 4)) < [0.1, 0.3, 0.5, 0.8]).astype(np.int32)
    before, after = special.expit(generator.normal(size=(2, 90, 4)) + labels)
    result = score(metric, before, after, labels)
    both(result, lambda p: reference(labels, p), (before, after))
    assert (result.samples, result.units) == (360, 90)


@pytest.mark.parametrize("shape", [(80,), (80, 3)])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("mae", sk.mean_absolute_error),
        ("mse", sk.mean_squared_error),
        ("rmse", lambda y, p: np.sqrt(sk.mean_squared_error(y, p))),
        ("r2", sk.r2_score),
    ],
)
def test_numbers(metric: str, reference: Callable[..., float], shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(8)
    labels = generator.normal(1e4, 1, size=shape)  # far from 0: sums of squares lose digits if not centred
    before, after = labels + generator.normal(0, 0.3, size=(2, *shape))
    both(score(metric, before, after, labels), lambda p: reference(labels, p), (before, after))


def test_logits_and_probabilities_have_the_same_perplexity_and_auc() -> None:
    before, after, labels = softmax_scores(5)
    for metric in ("perplexity", "auc"):
        one = score(metric, before, after, labels)
        other = score(metric, np.log(before) + 7, np.log(after) - 3, labels)
        assert other.baseline == pytest.approx(one.baseline, rel=1e-4)
        assert other.candidate == pytest.approx(one.candidate, rel=1e-4)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "iou"])
def test_predictions_that_are_classes_already(metric: str) -> None:
    before, after, labels = softmax_scores(7)
    scores = score(metric, before, after, labels)
    classes = score(metric, before.argmax(1), after.argmax(1), labels)
    assert (classes.baseline, classes.candidate) == (scores.baseline, scores.candidate)
    assert (classes.flipped, classes.positive_flips) == (scores.flipped, scores.positive_flips)


def test_a_mask_of_pixels_is_one_question() -> None:
    generator = np.random.default_rng(9)
    labels = generator.integers(0, 2, (6, 8, 8))
    before, after = special.expit(generator.normal(size=(2, 6, 8, 8, 1)) + labels[..., None])
    result = score("iou", before, after, labels)
    both(result, lambda p: sk.jaccard_score(labels.ravel(), p.ravel() > 0.5), (before, after))
    assert (result.samples, result.units) == (384, 6)


@pytest.mark.parametrize(
    ("reference", "found", "expected"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0), ("flaw", "lawn", 2)],
)
def test_textbook_distances(reference: str, found: str, expected: int) -> None:
    assert distance(reference, found) == expected


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_distance_is_its_recursive_definition(first: str, second: str) -> None:
    @cache
    def edits(a: int, b: int) -> int:
        if a == 0 or b == 0:
            return a + b
        return min(
            edits(a - 1, b) + 1, edits(a, b - 1) + 1, edits(a - 1, b - 1) + (first[a - 1] != second[b - 1])
        )

    assert distance(first, second) == edits(len(first), len(second)) == distance(second, first)


def test_word_and_character_errors() -> None:
    labels = ["the cat sat on the mat", "hello wörld", "exact"]
    before = ["the cat sat on the mat", "hello world", "exact"]
    after = ["the cat sat the mat", "hello", "exact"]
    words = score("wer", before, after, labels)
    assert (words.baseline, words.candidate) == (pytest.approx(1 / 9), pytest.approx(2 / 9))
    characters = score("cer", before, after, labels)
    assert (characters.baseline, characters.candidate) == (pytest.approx(1 / 38), pytest.approx(9 / 38))
    assert words.flipped == ("0",)  # right before, wrong after
    exact = score("accuracy", before, after, labels)
    assert (exact.baseline, exact.candidate) == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_tokens_count_as_words_and_padding_as_nothing() -> None:
    labels, before = [[5, 6, 7, 0, 0], [8, 9, 0, 0, 0]], [[5, 6, 7, 0, 0, 0], [8, 8, 0, 0, 0, 0]]
    after = np.eye(10)[[[5, 7, 0, 0, 0, 0], [8, 9, 9, 9, 0, 0]]]
    request = MetricRequest("wer", ignore_label=0)
    ids = evaluate(request, tensor(before), tensor(before), tensor(labels))
    assert ids.baseline == pytest.approx(1 / 5)
    scores = evaluate(request, tensor(after), tensor(after), tensor(labels))
    assert scores.baseline == pytest.approx(3 / 5)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, (12, 4), elements=st.integers(-2, 2).map(float)),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_top_k_breaks_ties_like_arg_max(values: Array, top: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, 12)
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    expected = float(np.mean((order == labels[:, None]).any(axis=1)))
    metric = "accuracy" if top == 1 else f"top-{top}"
    assert score(metric, values, values, labels).baseline == pytest.approx(expected)


def test_auc_interval_is_delongs() -> None:
    """DeLong 1988 with its own (m − 1, n − 1) denominators, written out from the definition."""
    generator = np.random.default_rng(12)
    labels = np.repeat([0, 1], [70, 50])
    before = generator.normal(size=120) + labels
    after = before + generator.normal(0, 0.7, size=120)
    covariance = np.zeros((2, 2))
    wins = [np.subtract.outer(s[labels == 1], s[labels == 0]) > 0 for s in (before, after)]
    for axis in (1, 0):
        placements = np.array([win.mean(axis=axis) for win in wins])
        covariance += np.cov(placements) / placements.shape[1]
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    result = score("auc", before, after, labels)
    assert result.low is not None
    assert result.high is not None
    half = (result.high - result.low) / 2
    assert half == pytest.approx(error * stats.t.ppf(0.95, 119), rel=0.02)

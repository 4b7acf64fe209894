from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validator.compare import Scoring, pair_labels, paired, score
from validator.compare.accuracy import item_scores
from validator.errors import ConfigurationError
from validator.tensors import StoredTensor


def stored(array, name="output", **more):
    return StoredTensor.from_array(name, np.asarray(array), **more)


def value(metric, prediction, labels, **options):
    if "weights" in options:
        options["weights"] = stored(options["weights"], "sample_weight")
    return score(metric, stored(prediction), stored(labels, "labels"), Scoring(**options))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_sparse_and_one_hot_agree_with_numpy(samples, steps, classes, seed):
    random = np.random.default_rng(seed)
    prediction = random.integers(0, 4, (samples, steps, classes)).astype(np.float32)  # with ties
    labels = random.integers(0, classes, (samples, steps))
    keep = labels != 1
    expected = (prediction.argmax(-1) == labels)[keep].mean() if keep.any() else None
    result = value("accuracy", prediction, labels, ignore_label=1)
    assert result.samples == np.count_nonzero(keep)
    assert result.masked == labels.size - result.samples
    assert result.value == (None if expected is None else pytest.approx(expected))
    assert value("accuracy", prediction, np.eye(classes)[labels], ignore_label=1) == result
    assert value("top_1_accuracy", prediction, labels[..., np.newaxis], ignore_label=1).value == result.value


def test_top_k():
    prediction = np.array([[0.1, 0.5, 0.4], [0.2, 0.2, 0.6]], np.float32)
    assert value("top_2_accuracy", prediction, [2, 1]).value == 0.5  # class 0 comes first in the tie
    assert value("top_3_accuracy", prediction, [0, 1]).value == 1.0
    with pytest.raises(ConfigurationError, match="4 classes"):
        value("top_4_accuracy", prediction, [2, 1])


def test_many_chunks():
    random = np.random.default_rng(0)
    prediction = random.standard_normal((20_001, 11)).astype(np.float32)
    labels = random.integers(0, 11, 20_001)
    result = value("accuracy", prediction, labels)
    assert result.value == pytest.approx((prediction.argmax(1) == labels).mean())
    chunks = list(item_scores("accuracy", stored(prediction), stored(labels)))
    assert np.array_equal(np.concatenate([chunk.scores for chunk in chunks]), prediction.argmax(1) == labels)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("label_shape", [(4,), (4, 1)])
def test_binary(shape, label_shape):
    prediction = np.array([0.9, 0.5, 0.51, 0.1], np.float32).reshape(shape)
    labels = np.array([1, 1, 1, 0]).reshape(label_shape)
    assert value("accuracy", prediction, labels).value == 0.75
    assert value("accuracy", prediction, labels, threshold=0.4).value == 1.0


def test_integers_and_strings_are_exact_matches():
    assert value("accuracy", [[1, 2], [3, 4]], [[1, 2], [0, 0]], ignore_label=0).value == 1.0
    assert value("accuracy", ["a", "b"], ["a", "c"]).value == 0.5
    assert value("accuracy", [True, False], [1, 1]).value == 0.5


def test_weights_mask_and_weigh():
    prediction = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    result = value("accuracy", prediction, [0, 1, 1], weights=np.array([3.0, 1.0, 0.0]))
    assert (result.value, result.samples, result.masked) == (0.75, 2, 1)
    tokens = np.tile(prediction[:, np.newaxis], (1, 2, 1))
    spread = value("accuracy", tokens, [[0, 0], [1, 1], [1, 1]], weights=np.array([1.0, 1.0, 0.0]))
    assert (spread.value, spread.samples) == (0.5, 4)


def test_masked_labels_may_hold_anything():
    prediction = np.array([[1, 0], [1, 0]], np.float32)
    assert value("accuracy", prediction, [0, -1], ignore_label=-1).value == 1.0
    assert value("accuracy", prediction, [0, 99], weights=np.array([1, 0])).value == 1.0
    assert value("accuracy", prediction, [[1, 0], [0, 0]], weights=np.array([1, 0])).value == 1.0


def test_everything_masked_has_no_value():
    result = value("accuracy", np.ones((2, 3), np.float32), [0, 0], ignore_label=0)
    assert (result.value, result.samples) == (None, 0)


def test_nan_is_wrong_and_counted_and_infinity_is_not():
    prediction = np.array([[np.nan, 0], [1, np.nan], [-np.inf, 1]], np.float32)
    result = value("accuracy", prediction, [0, 0, 1])
    assert (result.value, result.invalid) == (pytest.approx(1 / 3), 2)
    assert value("accuracy", np.array([np.nan], np.float32), [0]).value == 0.0


def test_errors():
    prediction, labels = np.array([[1.0], [4.0]], np.float32), np.array([0.0, 2.0])
    assert value("mae", prediction, labels).value == 1.5
    assert value("mse", prediction, labels).value == 2.5
    assert value("mse", prediction, labels).better == "lower"
    broken = value("mae", np.array([np.inf, 1.0]), labels)
    assert (broken.value, broken.invalid) == (None, 1)
    assert value("mae", np.array([np.inf, 1.0]), labels, weights=np.array([0, 1])).value == 1.0


def test_bfloat16_predictions():
    bits = (np.array([[1, 2], [2, 1]], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    assert score("accuracy", stored(bits, dtype="bfloat16"), stored([1, 1])).value == 0.5


def test_paired_counts_both_ways():
    before = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    after = np.eye(3, dtype=np.float32)[[0, 2, 1, 2]]
    result = paired("accuracy", stored(before), stored(after), stored([0, 1, 1, 1]))
    assert (result.negative_flips, result.positive_flips) == (1, 1)
    assert (result.negative_ids, result.positive_ids) == ((1,), (2,))
    assert (result.baseline.value, result.candidate.value) == (0.5, 0.5)
    errors = paired("mae", stored(before), stored(after), stored(before))
    assert errors.negative_flips is None
    assert errors.baseline.value == 0.0


def test_paired_refuses_what_is_no_pair():
    one = np.zeros((2, 3), np.float32)
    with pytest.raises(ConfigurationError, match="no pairs"):
        paired("accuracy", stored(one), stored(one[:1]), stored([0, 0]))
    with pytest.raises(ConfigurationError, match="float32 became int64"):
        paired("accuracy", stored(one[:, :1]), stored([[0], [0]]), stored([0, 0]))


@pytest.mark.parametrize(
    ("metric", "prediction", "labels", "match"),
    [
        ("acuracy", np.ones((2, 3)), [0, 0], "did you mean 'accuracy'"),
        ("zzz", np.ones((2, 3)), [0, 0], "unknown metric 'zzz'"),
        ("accuracy", np.ones((2, 3)), [0, 0, 0], "3 samples, the output 'output' has 2"),
        ("accuracy", np.ones((2, 3)), [0, 3], "item 1 is 3, which is no class from 0 to 2"),
        ("accuracy", np.ones((2, 3)), [0, -1], "ignore_label"),
        ("accuracy", np.ones((2, 3)), [0, 0.5], "item 1 is 0.5"),
        ("accuracy", np.ones((2, 3)), [[1, 0, 0], [1, 1, 0]], "row 1 is not one-hot"),
        ("accuracy", np.ones((2, 3)), np.ones((2, 4)), "do not fit"),
        ("accuracy", np.ones((2, 3)), ["a", "b"], "do not fit"),
        ("accuracy", np.ones((2, 1)), [0, 2], "no class from 0 to 1"),
        ("mae", np.ones((2, 3)), [0, 0], "numbers of the same shape"),
        ("top_5_accuracy", np.ones((2, 1)), [0, 0], "5 classes"),
        ("top_5_accuracy", [1, 2], [0, 0], "one score per class"),
    ],
)
def test_what_does_not_fit_is_refused(metric, prediction, labels, match):
    with pytest.raises(ConfigurationError, match=match):
        value(metric, prediction, labels)


@pytest.mark.parametrize(
    "weights", [np.ones(3), np.array([1.0, -1.0]), np.array([1.0, np.nan]), np.array(["a", "b"])]
)
def test_bad_weights_are_refused(weights):
    with pytest.raises(ConfigurationError, match="sample_weight"):
        value("accuracy", np.ones((2, 3)), [0, 0], weights=weights)


def test_labels_find_their_outputs():
    heads = [stored(np.ones((2, 3)), "digit"), stored(np.ones((2, 1)), "odd")]
    found = pair_labels(heads, [stored([0, 1], "odd"), stored([1, 1], "odd/sample_weight")])
    assert [(item.output.name, item.labels.name) for item in found] == [("odd", "odd")]
    assert found[0].weights is not None
    alone = pair_labels(heads[:1], [stored([0, 1], "y"), stored([1, 1], "sample_weight")])
    assert alone[0].weights.name == "sample_weight"


def test_labels_without_an_output_are_refused():
    heads = [stored(np.ones((2, 3)), "digit"), stored(np.ones((2, 1)), "odd")]
    with pytest.raises(ConfigurationError, match="did you mean 'digit'"):
        pair_labels(heads, [stored([0, 1], "digits")])
    with pytest.raises(ConfigurationError, match="labels themselves"):
        pair_labels(heads, [stored([0, 1], "sample_weight")])

"""Labels in every form, and everything that can be wrong with labels and predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validator.errors import ConfigurationError
from validator.numbers.metrics import KNOWN, MetricNote, MetricRequest, MetricResult, evaluate, find_metric
from validator.storage.tensors import StoredTensor, TensorData

N, C = 40, 4
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, C, N)
BEFORE = GENERATOR.normal(size=(N, C)) + np.eye(C)[LABELS]
AFTER = BEFORE + GENERATOR.normal(0, 0.4, size=(N, C))


def tensor(values: Any, name: str = "output", **more: Any) -> StoredTensor:
    return StoredTensor.from_array(name, np.asarray(values), **more)


def ragged(rows: list[Any], name: str = "output") -> StoredTensor:
    """Held in memory, as `open_tensors` would map it."""
    flat = np.concatenate([np.asarray(row) for row in rows])
    splits = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    whole = tensor(flat, name)
    data = TensorData(flat.reshape(-1), splits=(splits,))
    return replace(whole, ragged=(Path("splits.npy"),), memory=data)


def score(metric: str, labels: Any, before: Any = BEFORE, after: Any = AFTER, **options: Any) -> MetricResult:
    weights = options.pop("weights", None)
    sides = [side if isinstance(side, StoredTensor) else tensor(side) for side in (before, after)]
    own = labels if isinstance(labels, StoredTensor) else tensor(labels, "labels")
    masked = (
        weights if weights is None or isinstance(weights, StoredTensor) else tensor(weights, "sample_weight")
    )
    return evaluate(MetricRequest(metric, **options), *sides, own, masked)


def same(result: MetricResult, other: MetricResult) -> None:
    assert result.model_copy(update={"notes": ()}) == other.model_copy(update={"notes": ()})


@pytest.mark.parametrize("metric", ["accuracy", "top-2", "f1", "iou", "auc", "perplexity"])
@pytest.mark.parametrize(
    "labels",
    [
        LABELS[:, None],
        LABELS.astype(np.float32),
        LABELS.astype(np.uint8),
        np.eye(C)[LABELS],
        np.eye(C, dtype=np.int32)[LABELS],
        np.eye(C)[LABELS] * 0.9 + 0.025,
    ],
    ids=["column", "float", "uint8", "one-hot", "one-hot int", "smoothed"],
)
def test_labels_of_every_form_say_the_same(metric: str, labels: Any) -> None:
    same(score(metric, labels), score(metric, LABELS))


@pytest.mark.parametrize("metric", ["accuracy", "top-2", "f1", "iou", "auc", "perplexity"])
def test_masked_missing_and_ignored_labels_say_the_same(metric: str) -> None:
    rows = np.arange(N) % 3 > 0
    expected = score(metric, LABELS[rows], BEFORE[rows], AFTER[rows])
    one_hot = np.eye(C)[LABELS]
    one_hot[~rows] = np.nan
    forms = [
        score(metric, np.where(rows, LABELS, np.nan)),
        score(metric, np.where(rows, LABELS, -1), ignore_label=-1),
        score(metric, np.where(rows, LABELS, 999), weights=rows.astype(np.float32)),
        score(metric, LABELS, weights=rows[:, None]),
        score(metric, one_hot),
    ]
    for form in forms:
        assert form.samples == expected.samples == rows.sum()
        assert form.baseline == pytest.approx(expected.baseline)
        assert form.candidate == pytest.approx(expected.candidate)
        assert form.decision == expected.decision


TOKENS = GENERATOR.integers(1, 6, (8, 5))
LENGTHS = np.array([5, 1, 3, 2, 4, 5, 2, 3])
SHOWN = np.arange(5) < LENGTHS[:, None]
TOKEN_BEFORE = GENERATOR.normal(size=(8, 5, 6)) + np.eye(6)[TOKENS]
TOKEN_AFTER = TOKEN_BEFORE + GENERATOR.normal(0, 0.5, size=(8, 5, 6))


@pytest.mark.parametrize("metric", ["accuracy", "top-2", "f1", "perplexity"])
def test_token_masks_of_every_form_say_the_same(metric: str) -> None:
    sides = {"before": TOKEN_BEFORE, "after": TOKEN_AFTER}
    padded = np.where(SHOWN, TOKENS, 0)
    expected = score(metric, padded, ignore_label=0, **sides)
    parts = [row[:length] for row, length in zip(TOKENS, LENGTHS, strict=True)]
    cut = {
        name: ragged([row[:length] for row, length in zip(side, LENGTHS, strict=True)])
        for name, side in sides.items()
    }
    one_hot = np.eye(6)[TOKENS] * SHOWN[..., None]
    forms = [
        score(metric, TOKENS, weights=SHOWN, **sides),
        score(metric, np.where(SHOWN, TOKENS, np.nan), **sides),
        score(metric, ragged(parts), **sides),
        score(metric, ragged(parts), **cut),
        score(metric, ragged(parts), weights=ragged([np.ones(n) for n in LENGTHS]), **cut),
        score(metric, ragged(parts), weights=np.ones(8), **cut),
        *([score(metric, one_hot, **sides)] if metric in ("accuracy", "top-2", "perplexity") else []),
    ]
    for form in forms:
        same(form, expected)
        assert form.flipped == expected.flipped
    assert (expected.samples, expected.units) == (SHOWN.sum(), 8)
    dense = score(metric, padded, **cut, ignore_label=0)
    assert dense.baseline == expected.baseline


def test_token_flips_are_named_by_sample_and_position() -> None:
    after = TOKEN_BEFORE.copy()
    right = np.argwhere((TOKEN_BEFORE.argmax(2) == TOKENS) & SHOWN)[0]
    after[tuple(right)] = -after[tuple(right)]
    result = score("accuracy", np.where(SHOWN, TOKENS, 0), TOKEN_BEFORE, after, ignore_label=0)
    assert result.flipped == (f"{right[0]}[{right[1]}]",)


@pytest.mark.parametrize(
    ("metric", "labels", "options", "said"),
    [
        ("accuracy", np.full(N, np.nan), {}, "no label counts"),
        ("accuracy", LABELS, {"weights": np.zeros(N)}, "no label counts"),
        ("auc", np.full(N, np.nan), {}, "no label counts"),
        ("accuracy", LABELS - 1, {}, "set `ignore_label: -1`"),
        ("accuracy", LABELS + 0.5, {}, "fractions"),
        ("accuracy", LABELS[:-1], {}, "40 samples were predicted and 39 are labelled"),
        ("accuracy", np.zeros((N, 3)), {}, "do not fit predictions of shape (40, 4)"),
        ("accuracy", np.array(["a"] * N), {}, "both text or both tokens"),
        ("accuracy", LABELS, {"weights": -np.ones(N)}, "negative numbers"),
        ("accuracy", LABELS, {"weights": np.full(N, np.nan)}, "NaN"),
        ("accuracy", LABELS, {"weights": np.ones(7)}, "weights of shape (7,) do not fit"),
        ("top-4", LABELS, {}, "always right"),
        ("mae", LABELS, {}, "do not fit"),
        ("perplexity", np.eye(C)[LABELS] * 3, {}, "needs a score for every class"),
        ("wer", LABELS, {}, "holds no sequences"),
        ("cer", TOKENS, {"before": TOKENS, "after": TOKENS}, "tokens have no characters"),
        (
            "wer",
            np.array([""] * 3),
            {"before": np.array(["a"] * 3), "after": np.array(["b"] * 3)},
            "undefined",
        ),
        ("auc", np.ones(N), {"before": BEFORE[:, 0], "after": AFTER[:, 0]}, "all of one class"),
        ("auc", np.zeros(N), {}, "all of one class"),
        ("f1", np.zeros(N), {"before": BEFORE[:, 0], "after": AFTER[:, 0]}, "no label is positive"),
        ("f1", np.full(N, 2), {"before": BEFORE[:, 0], "after": AFTER[:, 0]}, "binary labels are 0 and 1"),
        ("r2", np.full((N, C), 3.0), {}, "equal labels"),
        ("accuracy", LABELS, {"before": np.zeros((0, C)), "after": np.zeros((0, C))}, "is empty"),
        ("accuracy", LABELS, {"after": AFTER[:, :3]}, "the candidate predicts shape (40, 3)"),
        (
            "accuracy",
            LABELS,
            {"before": BEFORE.astype(complex), "after": BEFORE.astype(complex)},
            "complex128",
        ),
        ("accuracy", LABELS, {"before": tensor(BEFORE, batched=False)}, "one value a batch"),
        ("top-2", LABELS, {"before": LABELS, "after": LABELS}, "needs class scores"),
    ],
)
def test_what_cannot_be_scored_is_said(metric: str, labels: Any, options: dict[str, Any], said: str) -> None:
    result = score(metric, labels, **options)
    assert (result.decision, result.reason, result.baseline) == ("inconclusive", "not-scored", None)
    assert said in result.message


def test_labels_and_predictions_of_other_lengths_in_a_sequence() -> None:
    result = score(
        "accuracy", ragged([[1, 2], [3]]), ragged([[[0.0, 1, 0]], [[0.0, 1, 0]]]), ragged([[[0.0, 1, 0]]] * 2)
    )
    assert "labelled sample 0 has 2 labels and 1 predictions" in result.message
    other = score("accuracy", ragged([[1], [1, 1]]), ragged([[1], [1, 1]]), ragged([[1, 1], [1]]))
    assert "other lengths" in other.message


def test_one_sample() -> None:
    equal = score("accuracy", LABELS[:1], BEFORE[:1], BEFORE[:1])
    assert (equal.decision, equal.samples) == ("not-worse", 1)
    assert equal.low == pytest.approx(-0.95)
    lost = score("accuracy", LABELS[:1], np.eye(C)[LABELS[:1]], -np.eye(C)[LABELS[:1]])
    assert (lost.decision, lost.delta, lost.needed) == ("inconclusive", -1.0, None)
    for metric in ("mae", "rmse"):
        moved = score(metric, [1.0], [1.0], [2.0])
        assert (moved.decision, moved.low) == ("inconclusive", None)


def test_all_wrong_on_both_sides_is_no_loss() -> None:
    wrong = np.eye(C)[(LABELS + 1) % C]
    result = score("accuracy", LABELS, wrong, wrong)
    assert (result.baseline, result.delta, result.decision) == (0.0, 0.0, "not-worse")
    assert score("f1", LABELS, wrong, wrong).decision == "not-worse"


@pytest.mark.parametrize("metric", ["accuracy", "top-2", "f1", "iou", "auc"])
def test_nan_predictions_count_as_wrong(metric: str) -> None:
    after = BEFORE.copy()
    after[::2] = np.nan
    result = score(metric, LABELS, BEFORE, after)
    assert result.decision == "worse"
    assert result.candidate is not None
    assert result.baseline is not None
    assert result.candidate < result.baseline
    one = score("accuracy", LABELS, BEFORE, np.where(np.arange(C) == 0, np.nan, BEFORE))
    assert one.candidate == 0.0


@pytest.mark.parametrize("metric", ["accuracy", "f1", "iou", "auc"])
def test_nan_of_one_score_is_wrong_for_either_label(metric: str) -> None:
    labels = np.arange(N) % 2
    result = score(metric, labels, labels * 1.0, np.full(N, np.nan))
    assert (result.baseline, result.candidate, result.decision) == (1.0, 0.0, "worse")


@pytest.mark.parametrize("metric", ["mae", "mse", "rmse", "r2"])
def test_errors_of_nan_are_lost(metric: str) -> None:
    labels = BEFORE + 0.1 * GENERATOR.normal(size=BEFORE.shape)
    after = BEFORE.copy()
    after[3, 1] = np.inf
    result = score(metric, labels, BEFORE, after)
    assert (result.decision, result.reason, result.delta) == ("worse", "lost", 0.0)
    assert MetricNote(kind="not-finite", count=1) in result.notes
    every = score(metric, labels, BEFORE, np.full_like(BEFORE, np.nan))
    assert (every.decision, every.reason) == ("worse", "lost")
    neither = score(metric, labels, after, after)
    assert (neither.decision, neither.reason) == ("not-worse", "none-worse")
    assert score(metric, labels, after, BEFORE).decision == "not-worse"


def test_a_probability_of_zero_is_lost_perplexity() -> None:
    before = np.full((N, C), 1 / C)
    after = before.copy()
    after[0] = np.roll(np.eye(C)[LABELS[0]], 1)
    assert score("perplexity", LABELS, before, after).reason == "lost"


@pytest.mark.parametrize(
    ("dtype", "bits"), [("float16", np.float16), ("bfloat16", np.uint16), ("float64", np.float64)]
)
def test_half_precision_is_decoded(dtype: str, bits: type) -> None:
    if dtype == "bfloat16":
        sides = [(side.astype(np.float32).view(np.uint32) >> 16).astype(bits) for side in (BEFORE, AFTER)]
    else:
        sides = [side.astype(bits) for side in (BEFORE, AFTER)]
    result = score("accuracy", LABELS, *(tensor(side, dtype=dtype) for side in sides))
    expected = score("accuracy", LABELS)
    assert result.baseline == pytest.approx(expected.baseline, abs=0.06)
    assert result.samples == N


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("acuracy", "accuracy"),
        ("ROC_AUC", "auc"),
        ("f1_micro", "f1-micro"),
        ("top5", "top-5"),
        ("RMSE", "rmse"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"unknown metric '{name}': did you mean '{near}'"):
        score(name, LABELS)


def test_a_name_like_no_other_lists_them_all() -> None:
    with pytest.raises(ConfigurationError, match="there are accuracy, f1"):
        find_metric("x")
    assert all(find_metric(name) is metric for name, metric in KNOWN.items())


@pytest.mark.parametrize("metric", sorted(KNOWN))
def test_a_vanished_file_is_a_configuration_error(metric: str, tmp_path: Path) -> None:
    gone = StoredTensor("output", "float64", (N, C), path=tmp_path / "gone.npy", raw="<f8", offset=128)
    with pytest.raises(ConfigurationError, match="changed or vanished"):
        score(metric, LABELS if metric in ("accuracy", "f1", "auc", "iou") else BEFORE, gone, gone)

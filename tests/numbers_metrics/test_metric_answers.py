"""What is decided from flips, ties, classes and sequences, and how it is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validator.numbers.metrics import MetricNote, MetricRequest, MetricResult, correct, evaluate
from validator.numbers.resampling import Resampling
from validator.numbers.statistics import Counts, Criterion, Interval, mcnemar_midp, paired_interval
from validator.storage.tensors import StoredTensor

Array = np.ndarray[Any, Any]


def tensor(values: Any, name: str = "output") -> StoredTensor:
    return StoredTensor.from_array(name, np.asarray(values))


def score(metric: str, before: Any, after: Any, labels: Any, **options: Any) -> MetricResult:
    return evaluate(MetricRequest(metric, **options), tensor(before), tensor(after), tensor(labels, "labels"))


def interval(result: MetricResult) -> Interval:
    assert result.method is not None
    return Interval(result.low or 0.0, result.high or 0.0, result.confidence or 0.0, result.method)


def flipping(samples: int, lost: int, won: int, gap: float = 2.0) -> tuple[Array, Array, Array]:
    """Two classes, all labels 0: the first `lost` samples turn wrong, the next `won` turn right."""
    before = np.tile([gap, 0.0], (samples, 1))
    after = before.copy()
    after[:lost] = after[:lost, ::-1]
    before[lost : lost + won] = before[lost : lost + won, ::-1]
    return before, after, np.zeros(samples, int)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 300))
def test_independent_answers_are_mcnemar_and_tango(lost: int, won: int, same: int) -> None:
    samples = lost + won + same
    result = score("accuracy", *flipping(samples, lost, won))
    assert (result.negative_flips, result.positive_flips) == (lost, won)
    assert result.delta == pytest.approx((won - lost) / samples)
    assert result.p == pytest.approx(mcnemar_midp(lost, won))
    assert interval(result) == paired_interval(Counts(samples, lost, won))
    assert result.flipped == tuple(map(str, range(min(lost, 20))))


@pytest.mark.parametrize("metric", ["accuracy", "f1", "iou", "auc", "perplexity", "mae", "r2"])
def test_exchanging_the_sides_turns_the_difference_around(metric: str) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    before, after = generator.normal(size=(2, 60, 3)) + np.eye(3)[labels]
    truth = np.eye(3)[labels] if metric in ("mae", "r2") else labels
    forth, back = score(metric, before, after, truth), score(metric, after, before, truth)
    assert forth.delta == pytest.approx(-(back.delta or 0))
    assert (forth.p or 0) + (back.p or 0) == pytest.approx(1, abs=0.06)
    assert forth.negative_flips == back.positive_flips


def test_a_loss_is_worse_and_named() -> None:
    result = score("accuracy", *flipping(257, 87, 17))
    assert (result.decision, result.reason, result.needed) == ("worse", "significant", None)
    assert (result.low, result.high) == (pytest.approx(-0.331, abs=5e-4), pytest.approx(-0.213, abs=5e-4))
    assert (result.negative_flips, result.positive_flips, result.margin) == (87, 17, 0.01)


def test_what_cannot_be_told_says_how_many_samples_would() -> None:
    result = score("accuracy", *flipping(200, 3, 2))
    assert result.decision == "inconclusive"
    assert result.needed is not None
    assert result.needed > 200


def test_no_flip_is_a_pass_that_says_what_could_hide() -> None:
    small = score("accuracy", *flipping(50, 0, 0))
    assert (small.decision, small.reason) == ("not-worse", "none-worse")
    assert small.low == pytest.approx(-0.058, abs=5e-4)
    large = score("accuracy", *flipping(1000, 0, 0))
    assert large.low is not None
    assert large.low > -large.margin


def test_the_gate_caps_negative_flips() -> None:
    result = score("accuracy", *flipping(1000, 30, 60), criterion=Criterion(flip_cap=0.02))
    assert (result.decision, result.reason) == ("worse", "negative-flips")


def test_flips_within_the_noise_are_ties() -> None:
    before, after, labels = flipping(400, 6, 5, gap=1e-3)
    loud, quiet = (
        score("accuracy", before, after, labels),
        score("accuracy", before, after, labels, noise=2e-3),
    )
    assert loud.decision == "inconclusive"
    assert quiet.decision == "not-worse"
    assert (quiet.negative_flips, quiet.tied_flips, quiet.flipped) == (0, 11, ())
    assert quiet.delta == loud.delta  # what happened is still said


def test_a_flip_far_from_the_boundary_on_one_side_is_no_tie() -> None:
    before, after, labels = flipping(400, 6, 5, gap=1e-3)
    result = score("accuracy", before, after * 1e4, labels, noise=2e-3)
    assert result.negative_flips == 6


def test_ties_that_all_go_one_way_are_no_ties() -> None:
    before, after, labels = flipping(400, 60, 5, gap=1e-3)
    result = score("accuracy", before, after, labels, noise=2e-3)
    assert result.decision == "worse"
    assert result.negative_flips == 60
    assert result.notes == (MetricNote(kind="one-sided-ties"),)


def test_ties_keep_the_false_alarm_rate() -> None:
    """Both sides equal but for noise: half of the flips are ties, at most about alpha are called worse."""
    generator = np.random.default_rng(3)
    worse = 0
    runs = 400
    for _ in range(runs):
        kinds = generator.multinomial(300, [0.03, 0.03, 0.03, 0.03, 0.88])
        gap = np.repeat([1e-3, 1e-3, 1.0, 1.0, 1.0], kinds)
        before = np.stack([gap, np.zeros(300)], axis=1)
        after = before.copy()
        edges = np.cumsum([0, *kinds])
        for kind, side in ((0, before), (1, after), (2, before), (3, after)):
            side[edges[kind] : edges[kind + 1]] = side[edges[kind] : edges[kind + 1], ::-1]
        result = score(
            "accuracy", before, after, np.zeros(300, int), noise=2e-3, criterion=Criterion(margin=0.0)
        )
        worse += result.decision == "worse"
    assert worse / runs < 0.055 + 0.033  # 3 standard errors


@pytest.mark.parametrize("metric", ["auc", "f1", "rmse", "perplexity"])
def test_equal_models_are_rarely_called_worse(metric: str) -> None:
    """Both sides the same model with other noise; 3 standard errors of 150 runs are .053."""
    generator = np.random.default_rng(2)
    worse = 0
    for _ in range(150):
        labels = np.arange(40) % 2
        shared = generator.normal(size=(40, 2)) + np.eye(2)[labels]
        before, after = shared + generator.normal(0, 0.4, size=(2, 40, 2))
        truth = np.eye(2)[labels] if metric == "rmse" else labels
        plan = Resampling(resamples=400)
        result = score(metric, before, after, truth, criterion=Criterion(margin=0.0), resampling=plan)
        worse += result.decision == "worse"
    assert worse / 150 < 0.05 + 0.053


@pytest.mark.parametrize("metric", ["top-2", "f1", "perplexity"])
def test_ties_of_other_metrics(metric: str) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 200)
    before = np.round(generator.normal(size=(200, 4)), 1)
    after = before + generator.normal(0, 1e-6, before.shape)
    result = score(metric, before, after, labels, noise=1e-4)
    assert result.negative_flips == 0
    assert (result.tied_flips or 0) > 0
    assert result.decision == "not-worse"


def test_the_worst_classes_are_named_after_holm() -> None:
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(10), 60)
    before = np.eye(10)[labels] * 3 + generator.normal(0, 0.1, (600, 10))
    after = before.copy()
    after[labels == 7] = np.roll(after[labels == 7], 1, axis=1)  # class 7 is lost
    for other in (2, 5):
        after[np.flatnonzero(labels == other)[:4]] *= -1  # p = .031 alone, not as one of two that are left
    result = score("accuracy", before, after, labels)
    worst, second, third = result.classes
    assert (worst.label, worst.samples, worst.worse) == (7, 60, True)
    assert (worst.baseline, worst.candidate) == (1.0, 0.0)
    assert (second.label, second.worse) == (2, False)
    assert (third.label, third.worse) == (5, False)  # p = .0625 after Holm


def test_classes_of_several_labels_are_columns() -> None:
    labels = np.tile([[1, 0, 1]], (50, 1))
    before = labels * 0.8 + 0.1
    after = before.copy()
    after[:20, 2] = 0.1
    result = score("f1", before, after, labels)
    assert [row.label for row in result.classes] == [2]
    assert result.negative_flips == 20
    assert result.flipped[:2] == ("0[2]", "1[2]")


def test_tokens_of_one_sequence_are_one_piece_of_evidence() -> None:
    """30 wrong tokens in one sequence of 40: McNemar of tokens would be certain, sequences cannot tell."""
    labels = np.zeros((40, 30), int)
    before = np.tile([2.0, 0.0], (40, 30, 1))
    after = before.copy()
    after[0] = after[0, :, ::-1]
    result = score("accuracy", before, after, labels)
    assert mcnemar_midp(30, 0) < 1e-8
    assert (result.samples, result.units, result.decision) == (1200, 40, "inconclusive")
    assert result.p == pytest.approx(0.25)
    spread = before.copy()
    spread[:30, 0] = spread[:30, 0, ::-1]
    assert score("accuracy", before, spread, labels).decision == "worse"


def test_one_token_a_sequence_is_independent() -> None:
    before, after, labels = flipping(100, 9, 1)
    flat = score("accuracy", before, after, labels)
    sequences = score("accuracy", before[:, None], after[:, None], labels[:, None])
    assert sequences == flat.model_copy(update={"flipped": sequences.flipped})


def test_rounding_of_a_perfect_regression_is_within_the_noise() -> None:
    generator = np.random.default_rng(0)
    labels = generator.normal(size=(50, 3))
    after = labels + generator.normal(0, 1e-7, labels.shape)
    assert score("mae", labels, after, labels).decision == "worse"  # the baseline is perfect, the margin 0
    result = score("mae", labels, after, labels, noise=1e-6)
    assert (result.decision, result.margin) == ("not-worse", 1e-6)


def test_margins_of_errors_are_shares_of_the_baseline() -> None:
    generator = np.random.default_rng(0)
    labels = generator.normal(size=300) * 1000
    before = labels + 100
    result = score("mae", before, before + 0.1, labels, criterion=Criterion(margin=0.02))
    assert result.margin == pytest.approx(2.0)
    assert (result.delta, result.decision) == (pytest.approx(0.1), "not-worse")
    assert score("mae", before, before + 5, labels, criterion=Criterion(margin=0.02)).decision == "worse"
    assert score("mae", before, before - 5, labels).decision == "not-worse"  # lower is better


def test_weights_that_differ_are_resampled() -> None:
    before, after, labels = flipping(60, 8, 0)
    weights = np.where(np.arange(60) < 8, 0.001, 1.0)
    result = evaluate(
        MetricRequest("accuracy"),
        tensor(before),
        tensor(after),
        tensor(labels),
        tensor(weights, "sample_weight"),
    )
    assert result.method == "bootstrap"
    assert result.decision == "not-worse"  # eight flips that weigh nothing
    equal = evaluate(
        MetricRequest("accuracy"), tensor(before), tensor(after), tensor(labels), tensor(np.full(60, 2.0))
    )
    assert interval(equal) == paired_interval(Counts(60, 8, 0))


def test_many_samples_are_grouped_without_changing_the_answer() -> None:
    generator = np.random.default_rng(0)
    labels = generator.normal(size=20_000)
    before, after = labels + generator.normal(size=(2, 20_000))
    result = score("mae", before, after, labels)
    gain = np.abs(after - labels) - np.abs(before - labels)
    error = gain.std() / np.sqrt(20_000)
    assert result.high is not None
    assert result.low is not None
    assert (result.high - result.low) / 2 / 1.645 == pytest.approx(error, rel=0.06)
    assert result.units == 20_000


def test_a_set_of_metrics_is_corrected() -> None:
    before, after, labels = flipping(400, 9, 1)
    one = score("accuracy", before, after, labels)
    assert one.decision == "worse"
    fine = [score("accuracy", *flipping(400, 10, 10)) for _ in range(9)]
    corrected = correct([one, *fine, score("accuracy", before, after, labels[:3])], Criterion())
    assert corrected[0].p == pytest.approx(10 * (one.p or 0))
    assert (corrected[0].decision, corrected[0].worse) == ("inconclusive", False)
    assert corrected[-1].p is None
    assert correct([one], Criterion())[0].decision == "worse"
    certain = score("accuracy", *flipping(400, 90, 1))
    assert correct([certain, *fine], Criterion())[0].decision == "worse"


def test_answers_are_reproducible() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    before, after = generator.normal(size=(2, 60, 3))
    one = score("f1", before, after, labels)
    assert one == score("f1", before, after, labels)
    other = score("f1", before, after, labels, resampling=Resampling(seed=5))
    assert (other.low, other.high) != (one.low, one.high)
    assert other.delta == one.delta

"""Drift over noise of recorded trainings, and what is said of them; no Keras: captures are written here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from validator.compare.training import Drift, Group, compare_training, drift
from validator.compare.training_pairs import pair_layers, pair_variables
from validator.diagnose.training import judge_training
from validator.errors import CannotJudgeError
from validator.results import Failure
from validator.runner.captures import WorkerFailure
from validator.runner.training import (
    Noise,
    NoiseProbe,
    NoiseStep,
    ProbedLayer,
    Step,
    TrainingAnswer,
    TrainingCapture,
    Variable,
    Vectors,
    read_training,
)

NAMES = ("layer/kernel", "layer/bias", "norm/moving_mean")
SHAPES = ((3, 2), (2,), (2,))
finite = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32))


@dataclass
class Recorded:
    """A training as a worker writes it, before anything is changed."""

    folder: Path
    steps: int = 3
    loss: dict[int, float | None] = field(default_factory=dict)
    forward: dict[int, float] = field(default_factory=dict)
    gradients: dict[int, float] = field(default_factory=dict)
    weights: dict[int, float] = field(default_factory=dict)
    state: dict[int, float] = field(default_factory=dict)
    reported: dict[int, float] = field(default_factory=dict)
    batches: tuple[str, ...] = ("a", "b", "c")
    names: tuple[str, ...] = NAMES
    start: str = "start"
    noise: float = 1e-7

    def capture(self) -> TrainingCapture:
        (self.folder / "training").mkdir(parents=True, exist_ok=True)
        noise = NoiseStep(
            loss=(self.noise,),
            forward=(self.noise,),
            gradients=((self.noise,) * 3,),
            weights=((self.noise,) * 3,),
        )
        variables = tuple(
            Variable(name=name, shape=shape, dtype="float32", trainable=number < 2, digest=self.start)
            for number, (name, shape) in enumerate(zip(self.names, SHAPES, strict=True))
        )
        answer = TrainingAnswer(
            batch_size=4,
            variables=variables,
            steps=tuple(self._step(number) for number in range(self.steps)),
            noise=Noise(
                members=1,
                steps=(noise,) * self.steps,
                probe=NoiseProbe(forward=(), backward=(), gradients=()),
            ),
        )
        return TrainingCapture(answer, self.folder)

    def _step(self, number: int) -> Step:
        batch = self.batches[number]
        return Step(
            batch=batch,
            rows=f"{batch}1,{batch}2",
            loss=self.loss.get(number, 0.5),
            masked=None,
            reported={"accuracy": self.reported.get(number, 0.75)},
            forward=self._vectors(f"{number}.forward", (np.ones(4) + self.forward.get(number, 0),)),
            gradients=self._vectors(
                f"{number}.gradients",
                (
                    np.ones(6) + self.gradients.get(number, 0),
                    np.ones(2) + self.gradients.get(number, 0),
                    None,
                ),
            ),
            weights=self._vectors(
                f"{number}.weights",
                (
                    np.ones(6) + self.weights.get(number, 0),
                    np.ones(2) + self.weights.get(number, 0),
                    np.ones(2) + self.state.get(number, 0),
                ),
            ),
        )

    def _vectors(self, name: str, values: tuple[np.ndarray | None, ...]) -> Vectors:
        kept = [np.zeros(0) if value is None else value for value in values]
        np.save(self.folder / "training" / f"{name}.npy", np.concatenate(kept))
        return Vectors(
            path=f"training/{name}.npy",
            counts=tuple(len(value) for value in kept),
            digests=tuple(None if value is None else value.tobytes().hex() for value in values),
            norms=tuple(None if value is None else float(np.linalg.norm(value)) for value in values),
        )


@given(finite, st.floats(1e-9, 1))
def test_a_tensor_has_no_drift_from_itself(values: np.ndarray, noise: float) -> None:
    found = drift("x", values, values.copy(), noise)
    assert found.rms == 0
    assert found.ratio == 0
    assert found.relative == 0


@given(finite, st.floats(1e-3, 1e3), st.floats(1e-6, 1e3))
def test_drift_is_in_units_of_noise(values: np.ndarray, offset: float, noise: float) -> None:
    found = drift("x", values, values + offset, noise)
    assert found.ratio == pytest.approx(found.rms / noise)
    assert found.rms == pytest.approx(offset, rel=1e-6)


@given(finite, st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_what_is_finite_on_one_side_only_is_infinitely_far(
    values: np.ndarray, bad: float, data: st.DataObject
) -> None:
    broken = values.copy()
    broken[data.draw(st.integers(0, len(values) - 1))] = bad
    assert drift("x", values, broken, 1.0).ratio == math.inf
    assert drift("x", broken, broken.copy(), 1.0).ratio == 0


def test_no_noise_and_some_drift_is_infinite() -> None:
    assert drift("x", np.zeros(3), np.ones(3), 0.0).ratio == math.inf
    assert drift("x", np.zeros(3), np.ones(3), 0.0).relative == math.inf


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_a_group_is_between_its_parts(ratios: list[float]) -> None:
    group = Group(tuple(Drift("x", False, ratio, 1.0, 1.0) for ratio in ratios))
    assert min(ratios) - 1e-9 <= group.ratio <= max(ratios) + 1e-9
    assert group.worst is not None
    assert group.worst.ratio == max(ratios)


def test_variables_pair_by_name_then_by_place() -> None:
    def variable(name: str, shape: tuple[int, ...], *, trainable: bool = True) -> Variable:
        return Variable(name=name, shape=shape, dtype="float32", trainable=trainable, digest="")

    old = [variable("a/kernel", (2, 2)), variable("b/kernel", (2, 2))]
    assert pair_variables(old, old[::-1]) == ((0, 1), (1, 0))
    automatic = [variable("dense_5/kernel", (2, 2)), variable("dense_6/kernel", (2, 2))]
    assert pair_variables(old, automatic) == ((0, 0), (1, 1))
    # Keras 2 may list what is not trained behind everything that is
    mixed = [
        variable("n/gamma", (2,)),
        variable("n/mean", (2,), trainable=False),
        variable("d/kernel", (2, 2)),
    ]
    behind = [
        variable("n1/gamma", (2,)),
        variable("d1/kernel", (2, 2)),
        variable("n1/mean", (2,), trainable=False),
    ]
    assert pair_variables(mixed, behind) == ((0, 0), (1, 2), (2, 1))
    assert pair_variables(old, [variable("a/kernel", (2, 2))]) is None
    assert pair_variables(old, [variable("a/kernel", (2, 2)), variable("b/kernel", (3, 2))]) is None


def test_layers_pair_by_name_then_by_class() -> None:
    def layer(name: str, kind: str, occurrence: int = 0) -> ProbedLayer:
        return ProbedLayer(name=name, class_name=kind, occurrence=occurrence)

    old = [layer("stem", "Conv2D"), layer("dense", "Dense"), layer("stem", "Conv2D", 1), layer("x", "Cast")]
    new = [layer("dense_7", "Dense"), layer("stem", "Conv2D", 1), layer("stem", "Conv2D")]
    assert pair_layers(old, new) == ((0, 2), (1, 0), (2, 1))


@pytest.mark.parametrize(
    ("changed", "cause", "verdict"),
    [
        ({}, None, "identical"),
        ({"forward": {0: 1e-7}, "gradients": {0: 1.5e-7}}, None, "rounding"),
        ({"forward": {0: 3e-7}}, "forward", "suspicious"),
        ({"forward": {0: 1e-3}, "loss": {0: 0.6}, "gradients": {0: 1.0}}, "forward", "changed"),
        ({"loss": {0: 2.0}, "gradients": {0: 3.0}}, "loss reduction or mask", "changed"),
        ({"gradients": {0: 1e-3}, "weights": {0: 1e-3}}, "backward", "changed"),
        ({"weights": {0: 1e-3}, "forward": {1: 1.0}}, "optimiser", "changed"),
        ({"weights": {1: 1e-3}, "forward": {2: 1.0}}, "optimiser", "changed"),
        ({"state": {0: 1e-3}}, "forward", "changed"),
        ({"reported": {0: 0.2, 1: 0.2}}, "reported metric", "metric-only"),
        ({"batches": ("c", "b", "a")}, "data order", "changed"),
        ({"batches": ("a", "b", "d")}, "data", "changed"),
        ({"start": "other"}, "initial weights", "changed"),
        ({"loss": {1: None, 2: None}}, "loss reduction or mask", "changed"),
    ],
)
def test_the_first_link_that_breaks_is_the_cause(
    changed: dict[str, object], cause: str | None, verdict: str, tmp_path: Path
) -> None:
    baseline = Recorded(tmp_path / "old").capture()
    candidate = Recorded(tmp_path / "new", **changed).capture()  # type: ignore[arg-type]
    found = judge_training(baseline, candidate)
    assert found.verdict == verdict, found.message
    assert [one.cause for one in found.causes] == ([cause] if cause else [])


def test_a_sum_in_place_of_a_mean_is_the_batch_size(tmp_path: Path) -> None:
    baseline = Recorded(tmp_path / "old").capture()
    message = judge_training(baseline, Recorded(tmp_path / "new", loss={0: 2.0}).capture()).message
    assert "4 times as much, the batch size" in message
    message = judge_training(Recorded(tmp_path / "new", loss={0: 2.0}).capture(), baseline).message
    assert "one part in 4" in message


def test_a_loss_lost_on_both_sides_is_said_and_no_difference(tmp_path: Path) -> None:
    lost: dict[int, float | None] = {1: None, 2: None}
    baseline = Recorded(tmp_path / "old", loss=lost).capture()
    found = judge_training(baseline, Recorded(tmp_path / "new", loss=lost).capture())
    assert found.verdict == "identical"
    assert "not finite from step 1 on, on both sides" in found.message


def test_other_variables_or_steps_are_not_compared(tmp_path: Path) -> None:
    baseline = Recorded(tmp_path / "old").capture()
    fewer = Recorded(tmp_path / "fewer", steps=2).capture()
    assert "3 steps against 2" in judge_training(baseline, fewer).message
    other = Recorded(tmp_path / "other", names=("a/alpha", "b/beta", "c/gamma")).capture()
    found = judge_training(baseline, other)
    assert found.verdict == "not-compared"
    assert "other variables" in found.message


def test_a_failure_is_the_candidates_or_makes_nothing_comparable(tmp_path: Path) -> None:
    failure = Failure(stage="train", error="ValueError", message="no such optimizer\nmore")
    capture = Recorded(tmp_path / "old").capture()
    assert judge_training(capture, failure).verdict == "failed"
    assert judge_training(capture, failure).failure == failure
    assert judge_training(failure, capture).verdict == "not-compared"
    assert judge_training(failure, capture).message.endswith("no such optimizer")


def test_samples_that_do_not_fit_their_answer_are_refused(tmp_path: Path) -> None:
    capture = Recorded(tmp_path).capture()
    np.save(tmp_path / "training" / "1.weights.npy", np.ones(3))
    with pytest.raises(CannotJudgeError, match="not as long as its answer says"):
        compare_training(capture, capture)
    (tmp_path / "training" / "1.weights.npy").unlink()
    with pytest.raises(CannotJudgeError, match="no samples of a training"):
        compare_training(capture, capture)


def test_a_cell_that_never_trained_has_no_training(tmp_path: Path) -> None:
    assert read_training(tmp_path) is None


def test_a_worker_failure_is_read_as_one() -> None:
    failure = WorkerFailure(stage="train", error="E", message="m")
    assert TrainingAnswer(failure=failure).failure == failure

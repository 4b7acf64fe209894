"""Drift over noise of recorded trainings, and what is said of them; no Keras: captures are written here."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from validator.checks.protocol import Earlier, Evidence, OwnJob, Subject
from validator.checks.training import CHECK
from validator.checks.training.answers import (
    AddedLoss,
    Draws,
    Fresh,
    FreshVariable,
    LayerSettings,
    NoiseProbe,
    NoiseStep,
    Probed,
    ProbedLayer,
    RandomSetting,
    Step,
    Trained,
    TrainingAnswer,
    TrainingNoise,
    Variable,
    Vectors,
    trained,
)
from validator.checks.training.causes import training_findings
from validator.checks.training.configurations import setting_changes
from validator.checks.training.drift import DriftGroup, TensorDrift, tensor_drift
from validator.checks.training.numbers import compare_trainings
from validator.checks.training.pairs import pair_layers, pair_variables
from validator.checks.training.types import (
    BackwardDiffers,
    DistributionCompared,
    DropoutOff,
    ForwardDiffers,
    InitialiserDiffers,
    LossDiffers,
    MetricDiffers,
    OptimiserDiffers,
    ReferenceLeftOut,
    RoundingBegins,
    StateDiffers,
    TrainingCause,
    TrainingComparison,
    TrainingVerdict,
)
from validator.config.load import parse
from validator.failure import Failure
from validator.matrix import make_plan
from validator.runner.captures import Capture, Response
from validator.upgrade import Requirements
from validator.verdict.bands import BANDS

SETTINGS = """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1]
matrix: {keras: ["3.3.3", "3.5.0"]}
models:
  - {name: m, builder: "m:build", inputs: inputs.npz, training: {steps: 4, inputs: train.npz}}
  - {name: plain, builder: "m:build", inputs: inputs.npz}
"""
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
    sparse: tuple[int, ...] = ()
    epsilon: float = 1e-3
    layers: tuple[float, float] = (0.0, 0.0)
    backward: tuple[float, float] = (0.0, 0.0)
    double: tuple[float, float] = (0.0, 0.0)
    inference: float = 0.0
    fresh: Fresh | None = None
    random: tuple[RandomSetting, ...] = ()
    draws: np.ndarray | None = None
    spread: float = 1.0
    added: tuple[float, ...] = ()
    left_out: str = ""

    def answer(self) -> TrainingAnswer:
        (self.folder / "training").mkdir(parents=True, exist_ok=True)
        noise = NoiseStep(
            loss=(self.noise,),
            forward=(self.noise,),
            gradients=((self.noise,) * 3,),
            weights=((self.noise,) * 3,),
        )
        probe = NoiseProbe(forward=((self.noise,) * 2,), backward=((self.noise,) * 2,))
        variables = tuple(
            Variable(name=name, shape=shape, dtype="float32", trainable=number < 2, digest=self.start)
            for number, (name, shape) in enumerate(zip(self.names, SHAPES, strict=True))
        )
        return TrainingAnswer(
            start="artifact",
            batch_size=4,
            sparse=self.sparse,
            samples="",
            variables=variables,
            optimizer={"0": {"class": "Adam", "epsilon": self.epsilon}},
            loss={},
            layers=(LayerSettings(name="norm", config={"momentum": 0.9, "epsilon": self.epsilon}),),
            start_file=self._vectors("start", (np.zeros(6), np.zeros(2), np.zeros(2))),
            steps=tuple(self._step(number) for number in range(self.steps)),
            probe=self._probe("probe", self.layers, self.backward),
            inference=self._vectors("inference", (np.ones(4) + self.inference,)),
            reference=Probed(left_out=self.left_out)
            if self.left_out
            else self._probe("reference", self.double, (0.0, 0.0)),
            noise=TrainingNoise(steps=(noise,) * self.steps, probe=probe),
            fresh=self.fresh,
            random=self.random,
            dropout="off" if self.draws is None else "on",
            draws=None if self.draws is None else self._draws(),
            curve=(),
            checkpoints=(),
        )

    def _draws(self) -> Draws:
        """Draws of a layer's numbers; losses that they hardly move."""
        draws = self.spread * self.draws
        losses = tuple((0.5 + draw[:2].sum() / 100,) for draw in draws)
        return Draws(losses=losses, forward=self._vectors("draws", tuple(draws)))

    def capture(self) -> Trained:
        read = trained(self.answer(), self.folder)
        assert isinstance(read, Trained), read
        return read

    def _probe(self, name: str, forward: tuple[float, float], backward: tuple[float, float]) -> Probed:
        names = (("norm", "BatchNormalization"), ("head", "Dense"))
        return Probed(
            layers=tuple(ProbedLayer(name=n, class_name=c, occurrence=0) for n, c in names),
            loss=0.5,
            forward=self._vectors(f"{name}.forward", tuple(np.ones(4) + move for move in forward)),
            backward=self._vectors(f"{name}.backward", tuple(np.ones(4) + move for move in backward)),
            gradients=self._vectors(f"{name}.gradients", (np.ones(6), np.ones(2), None)),
            added=tuple(AddedLoss(layer="code", class_name="Dense", value=value) for value in self.added),
        )

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
        )


@given(finite, st.floats(1e-9, 1))
def test_a_tensor_has_no_drift_from_itself(values: np.ndarray, noise: float) -> None:
    found = tensor_drift("x", (values, values.copy()), noise)
    assert found.rms == 0
    assert found.ratio == 0
    assert found.relative == 0


@given(finite, st.floats(1e-3, 1e3), st.floats(1e-6, 1e3))
def test_drift_is_in_units_of_noise(values: np.ndarray, offset: float, noise: float) -> None:
    found = tensor_drift("x", (values, values + offset), noise)
    assert found.ratio == pytest.approx(found.rms / noise)
    assert found.rms == pytest.approx(offset, rel=1e-6)


@given(finite, st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_what_is_finite_on_one_side_only_is_infinitely_far(
    values: np.ndarray, bad: float, data: st.DataObject
) -> None:
    broken = values.copy()
    broken[data.draw(st.integers(0, len(values) - 1))] = bad
    assert tensor_drift("x", (values, broken), 1.0).ratio == math.inf
    assert tensor_drift("x", (broken, broken.copy()), 1.0).ratio == 0


def test_no_noise_and_some_drift_is_infinite() -> None:
    assert tensor_drift("x", (np.zeros(3), np.ones(3)), 0.0).ratio == math.inf
    assert tensor_drift("x", (np.zeros(3), np.ones(3)), 0.0).relative == math.inf


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_a_group_is_between_its_parts(ratios: list[float]) -> None:
    group = DriftGroup(tuple(TensorDrift("x", False, ratio, 1.0, 1.0) for ratio in ratios))
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


def findings(
    baseline: Trained | Failure, candidate: Trained | Failure
) -> tuple[TrainingVerdict | TrainingCause, ...]:
    return CHECK.find(compare_trainings(baseline, candidate), BANDS, Earlier())  # type: ignore[return-value]


def verdict(baseline: Trained | Failure, candidate: Trained | Failure) -> TrainingVerdict:
    first = findings(baseline, candidate)[0]
    assert isinstance(first, TrainingVerdict)
    return first


def cause(tmp_path: Path, kind: type, old: dict[str, Any] | None = None, **changed: Any) -> Any:
    """The only cause of that kind of what was changed in the candidate."""
    baseline = Recorded(tmp_path / "old", **(old or {})).capture()
    candidate = Recorded(tmp_path / "new", **changed).capture()
    (only,) = (finding for finding in findings(baseline, candidate) if isinstance(finding, kind))
    return only


@pytest.mark.parametrize(
    ("changed", "kind", "expected"),
    [
        ({}, None, "identical"),
        ({"forward": {0: 1e-7}, "gradients": {0: 1.5e-7}}, None, "rounding"),
        ({"forward": {0: 3e-7}}, "training-forward", "suspicious"),
        ({"forward": {0: 1e-3}, "loss": {0: 0.6}, "gradients": {0: 1.0}}, "training-forward", "changed"),
        ({"loss": {0: 2.0}, "gradients": {0: 3.0}}, "training-loss", "changed"),
        ({"gradients": {0: 1e-3}, "weights": {0: 1e-3}}, "training-backward", "changed"),
        ({"weights": {0: 1e-3}, "forward": {1: 1.0}}, "training-optimiser", "changed"),
        ({"weights": {1: 1e-3}, "forward": {2: 1.0}}, "training-optimiser", "changed"),
        ({"state": {0: 1e-3}}, "training-state", "changed"),
        ({"reported": {0: 0.2, 1: 0.2}}, "training-metric", "metric-only"),
        ({"batches": ("c", "b", "a")}, "training-batches", "changed"),
        ({"batches": ("a", "b", "d")}, "training-batches", "changed"),
        ({"start": "other"}, "training-start", "changed"),
        ({"loss": {1: None, 2: None}}, "training-loss", "changed"),
        ({"forward": {2: 1.0}}, "training-forward", "changed"),
    ],
)
def test_the_first_link_that_breaks_is_the_cause(
    changed: dict[str, Any], kind: str | None, expected: str, tmp_path: Path
) -> None:
    baseline = Recorded(tmp_path / "old").capture()
    first, *causes = findings(baseline, Recorded(tmp_path / "new", **changed).capture())
    assert first.verdict == expected
    assert [one.kind for one in causes] == ([kind] if kind else [])
    assert all(one.verdict == expected for one in causes)


def test_batches_in_another_order_are_no_other_batches(tmp_path: Path) -> None:
    baseline = Recorded(tmp_path / "old").capture()
    for batches, difference in ((("c", "b", "a"), "order"), (("a", "b", "d"), "content")):
        _, only = findings(baseline, Recorded(tmp_path / difference, batches=batches).capture())
        assert only.difference == difference  # type: ignore[attr-defined]


def test_a_sum_in_place_of_a_mean_is_the_batch_size(tmp_path: Path) -> None:
    found = cause(tmp_path, LossDiffers, loss={0: 2.0})
    assert (found.factor, found.batch_size, found.outputs_recorded) == ("times", 4, True)
    assert cause(tmp_path, LossDiffers, {"loss": {0: 2.0}}).factor == "divided"
    assert cause(tmp_path, LossDiffers, loss={0: 0.6}).factor is None


def test_the_first_layer_is_the_one_that_differs_in_float64(tmp_path: Path) -> None:
    moved = {"forward": {0: 1e-3}, "layers": (1e-7, 1e-3), "double": (0.0, 1e-4)}
    found = cause(tmp_path, ForwardDiffers, **moved)
    assert (found.layer.name, found.layer.class_name, found.in_double) == ("head", "Dense", True)
    assert found.training_only
    assert found.amount.ratio == pytest.approx(1e4, rel=0.1)
    found = cause(tmp_path, ForwardDiffers, epsilon=1e-5, **moved, inference=1.0)
    assert not found.training_only
    found = cause(tmp_path, ForwardDiffers, epsilon=1e-5, forward={0: 1e-3}, layers=(1e-3, 1e-3))
    assert (found.layer.name, found.in_double) == ("norm", False)
    (change,) = found.settings
    assert (change.name, change.baseline, change.candidate) == ("epsilon", 1e-3, 1e-5)


def test_a_later_step_names_no_layer(tmp_path: Path) -> None:
    found = cause(tmp_path, ForwardDiffers, forward={1: 1.0}, loss={1: None}, layers=(0.0, 1e-8))
    assert (found.step, found.layer, found.loss_lost) == (1, None, "candidate")


def test_backward_is_behind_the_layer_that_hands_a_wrong_gradient_on(tmp_path: Path) -> None:
    found = cause(tmp_path, BackwardDiffers, gradients={0: 1e-3}, backward=(1e-3, 0.0))
    assert (found.layer.name, found.variables) == ("head", ("layer/kernel",))
    found = cause(tmp_path, BackwardDiffers, gradients={0: 1e-3})
    assert (found.layer, found.variables, found.amount.finite) == (None, ("layer/kernel",), True)


def test_the_optimiser_is_named_with_its_settings_and_sparse_rows(tmp_path: Path) -> None:
    found = cause(tmp_path, OptimiserDiffers, {"sparse": (0, 1)}, weights={0: 1e-3}, epsilon=1e-7)
    assert found.variables == ("layer/kernel", "layer/bias")
    assert found.sparse_only
    assert found.gradients_recorded
    assert [(change.owner, change.name) for change in found.settings] == [("Adam", "epsilon")]
    assert not cause(tmp_path, OptimiserDiffers, {"sparse": (0,)}, weights={0: 1e-3}).sparse_only


def test_moving_statistics_that_differ_by_bessels_correction(tmp_path: Path) -> None:
    # m·0 + (1−m)·variance on both sides, so the ratio of the statistics is that of the variances
    found = cause(tmp_path, StateDiffers, state={0: 1 / 15})
    assert (found.variables, found.counted, found.larger_side) == (("norm/moving_mean",), 16, "candidate")
    found = cause(tmp_path, StateDiffers, {"state": {0: 1 / 15}})
    assert (found.counted, found.larger_side) == (16, "baseline")
    assert cause(tmp_path, StateDiffers, state={1: 1 / 15}).counted is None
    assert cause(tmp_path, StateDiffers, state={0: 2.0}).counted is None


def test_rounding_begins_at_a_layer_and_float64_agrees(tmp_path: Path) -> None:
    found = cause(tmp_path, RoundingBegins, gradients={0: 1e-7}, layers=(0.0, 1e-8))
    assert (found.layer.name, found.amount.relative) == ("head", pytest.approx(1e-7))
    assert found.reference is not None
    assert found.reference.gradients == 0


def test_a_metric_is_reported_once(tmp_path: Path) -> None:
    found = cause(tmp_path, MetricDiffers, reported={1: 0.2, 2: 0.2})
    assert (found.step, found.metric, found.baseline, found.candidate) == (1, "accuracy", 0.75, 0.2)
    assert not found.masked


def test_fresh_initialisations_are_compared_as_distributions(tmp_path: Path) -> None:
    def fresh(deviation: float, digest: str) -> Fresh:
        moments = ((0.0, deviation, 1.8), (0.001, deviation, 1.8))
        variable = FreshVariable(size=1000, digests=(digest, digest), moments=moments)
        return Fresh(variables=(variable,) * 3)

    found = cause(tmp_path, InitialiserDiffers, {"fresh": fresh(1.0, "a")}, fresh=fresh(2.0, "b"))
    assert (found.moment, found.baseline, found.candidate) == ("standard-deviation", 1.0, 2.0)
    assert (found.verdict, len(found.variables)) == ("changed", 3)
    baseline = Recorded(tmp_path / "old", fresh=fresh(1.0, "a")).capture()
    first, draws = findings(baseline, Recorded(tmp_path / "new", fresh=fresh(1.0, "b")).capture())
    assert (first.verdict, draws.kind) == ("rounding", "training-draws")


def test_a_loss_lost_on_both_sides_is_noted_and_no_difference(tmp_path: Path) -> None:
    lost: dict[int, float | None] = {1: None, 2: None}
    baseline = Recorded(tmp_path / "old", loss=lost).capture()
    found = verdict(baseline, Recorded(tmp_path / "new", loss=lost).capture())
    assert (found.verdict, found.lost_from) == ("identical", 1)


def test_a_training_that_is_lost_from_its_first_step_is_not_compared(tmp_path: Path) -> None:
    loss: dict[int, float | None] = dict.fromkeys(range(3))
    weights = dict.fromkeys(range(3), math.nan)
    lost = {"loss": loss, "weights": weights}
    baseline = Recorded(tmp_path / "old", **lost).capture()
    found = verdict(baseline, Recorded(tmp_path / "new", **lost).capture())
    assert (found.verdict, found.lost_from) == ("not-compared", 0)
    weights_alone = Recorded(tmp_path / "weights", weights=weights).capture()
    assert verdict(weights_alone, weights_alone).verdict == "not-compared"
    # what differs before the first step is lost is a change all the same
    forward = Recorded(tmp_path / "forward", forward={0: 1.0}, **lost).capture()
    assert verdict(baseline, forward).verdict == "changed"
    skipped = {"loss": loss, "gradients": weights}  # by an optimizer that scales the loss
    first = Recorded(tmp_path / "skipped", **skipped).capture()
    assert verdict(first, Recorded(tmp_path / "too", **skipped).capture()).verdict == "not-compared"
    # a scaled loss overflows, and its optimizer goes on with a smaller scale
    overflown = Recorded(tmp_path / "overflown", gradients={0: math.inf}).capture()
    assert verdict(overflown, overflown).verdict == "identical"
    # a step of one's own may report no loss: its weights are compared
    unreported = Recorded(tmp_path / "unreported", loss=loss).capture()
    assert verdict(unreported, Recorded(tmp_path / "same", loss=loss).capture()).verdict == "identical"
    assert verdict(unreported, baseline).verdict == "changed"


def test_other_variables_or_steps_are_not_compared(tmp_path: Path) -> None:
    baseline = Recorded(tmp_path / "old").capture()
    found = verdict(baseline, Recorded(tmp_path / "fewer", steps=2).capture())
    assert (found.verdict, found.variables, found.step_counts) == ("not-compared", None, (3, 2))
    other = Recorded(tmp_path / "other", names=("a/alpha", "b/beta", "c/gamma")).capture()
    found = verdict(baseline, other)
    assert (found.verdict, found.step_counts) == ("not-compared", None)
    assert found.variables is not None
    assert found.variables[1].first[0] == ("a/alpha", (3, 2))


def test_a_failure_is_the_candidates_or_makes_nothing_comparable(tmp_path: Path) -> None:
    failure = Failure(stage="train", error="ValueError", message="no such optimizer\nmore")
    capture = Recorded(tmp_path / "old").capture()
    assert verdict(capture, failure).verdict == "failed"
    assert verdict(capture, failure).failure == failure
    assert verdict(failure, failure).verdict == "not-compared"
    assert (verdict(failure, capture).verdict, verdict(failure, capture).failure) == ("not-compared", failure)


def test_samples_that_do_not_fit_their_answer_are_a_failure(tmp_path: Path) -> None:
    answer = Recorded(tmp_path).answer()
    np.save(tmp_path / "training" / "1.weights.npy", np.ones(3))
    broken = trained(answer, tmp_path)
    assert isinstance(broken, Failure)
    assert "1.weights.npy" in broken.message
    (tmp_path / "training" / "1.weights.npy").unlink()
    assert isinstance(trained(answer, tmp_path), Failure)


def test_numbers_survive_the_report_and_tensors_stay_out_of_it(tmp_path: Path) -> None:
    baseline = Recorded(tmp_path / "old").capture()
    candidate = Recorded(tmp_path / "new", forward={0: 1e-3}, layers=(1e-3, 0), reported={0: 0.1}).capture()
    comparison = compare_trainings(baseline, candidate)
    again = TrainingComparison.model_validate_json(comparison.model_dump_json())
    assert again == comparison.model_copy(update={"drifts": None})
    for finding in findings(baseline, candidate):
        assert type(finding).model_validate_json(finding.model_dump_json()) == finding


def subject(name: str, *, baseline: bool = False) -> Subject:
    settings = parse(SETTINGS, "validator.yml")
    plan = make_plan(settings, Requirements())
    cells = {cell.environment == plan.baseline: cell for cell in plan.cells if cell.model == name}
    model = next(model for model in settings.models if model.name == name)
    return Subject(model, cells[baseline], cells[True], plan, settings, Path(), None, BANDS)


def test_a_training_is_asked_for_as_a_job_of_its_own() -> None:
    task = CHECK.ask(subject("m"))
    assert task is not None
    assert task.own == OwnJob(inputs="train.npz")
    assert (task.options["steps"], task.options["members"], task.options["seeds"]) == (4, 0, 3)
    assert "inputs" not in task.options
    base = CHECK.ask(subject("m", baseline=True))
    assert base is not None
    assert base.options["members"] == 3
    assert CHECK.ask(subject("plain")) is None


def test_a_capture_is_read_with_its_failures(tmp_path: Path) -> None:
    cell = subject("m").cell
    folder = tmp_path / "own"
    predictions = _capture(tmp_path, {})
    failure = Failure(stage="timeout", error="timeout", message="too slow")

    def read(own: Capture | Failure | None) -> Trained | Failure:
        return CHECK.read(Evidence(cell, predictions, {"training": own} if own else {}))

    written = {
        "failure": None,
        "seconds": {"steps": 1.0},
        **Recorded(folder).answer().model_dump(mode="json"),
    }
    assert isinstance(read(_capture(folder, {"training": written})), Trained)
    assert isinstance(read(None), Failure)
    assert read(failure) == failure
    assert isinstance(read(_capture(folder, {})), Failure)
    del written["steps"]
    assert isinstance(read(_capture(folder, {"training": written})), Failure)
    stated = {"failure": {"stage": "train", "error": "E", "message": "m"}}
    assert read(_capture(folder, {"training": stated})) == Failure(stage="train", error="E", message="m")


def _capture(folder: Path, tasks: dict[str, Any]) -> Capture:
    return Capture(folder, Response.model_validate({"schema": 1, "id": "m", "failure": None, "tasks": tasks}))


RANDOM = (RandomSetting(layer="memory", setting="dropout", value=0.5),)


def drawn(seed: int) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=(16, 24))


def judged(folder: Path, baseline: dict[str, Any], candidate: dict[str, Any]) -> tuple[Any, ...]:
    sides = [
        Recorded(folder / name, **facts).capture() for name, facts in (("b", baseline), ("c", candidate))
    ]
    return training_findings(compare_trainings(*sides), BANDS)


@pytest.mark.parametrize(
    ("spread", "shift", "expected"), [(1.0, 0.0, "rounding"), (2.0, 0.0, "changed"), (1.0, 2.0, "changed")]
)
def test_draws_of_random_layers_are_compared_as_distributions(
    tmp_path: Path, spread: float, shift: float, expected: str
) -> None:
    baseline = {"draws": drawn(1), "random": RANDOM}
    candidate = {"draws": drawn(2) + shift, "spread": spread, "random": RANDOM, "loss": {0: 0.9}}
    verdict, *causes = judged(tmp_path, baseline, candidate)
    (compared,) = (each for each in causes if isinstance(each, DistributionCompared))
    assert (verdict.verdict, verdict.draws, compared.draws) == (expected, 16, 16)
    assert compared.random == RANDOM
    assert not any(isinstance(each, LossDiffers) for each in causes)


def test_the_same_draws_are_the_same_distribution(tmp_path: Path) -> None:
    same = {"draws": drawn(1), "random": RANDOM}
    verdict, compared = judged(tmp_path, same, same)
    assert (verdict.verdict, compared.p) == ("rounding", 1.0)


def test_dropout_that_is_off_is_told_and_changes_no_verdict(tmp_path: Path) -> None:
    verdict, off, *causes = judged(tmp_path, {"random": RANDOM}, {"random": RANDOM})
    assert (verdict.verdict, off, causes) == ("identical", DropoutOff(random=RANDOM), [])


def test_a_float64_run_that_memory_cannot_hold_is_told_where_anything_differs(tmp_path: Path) -> None:
    large = {"left_out": "it needs about 9.0 GiB more memory"}
    verdict, *causes = judged(tmp_path, large, large)
    assert (verdict.verdict, causes) == ("identical", [])
    verdict, *causes = judged(tmp_path, large, {**large, "weights": {0: 1e-9}})
    assert verdict.verdict == "rounding"
    assert ReferenceLeftOut(reason=large["left_out"]) in causes


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_the_side_that_is_not_finite_is_named(tmp_path: Path, side: str) -> None:
    lost = {"gradients": {0: math.nan}}
    baseline, candidate = (lost, {}) if side == "baseline" else ({}, lost)
    verdict, cause, *_ = judged(tmp_path, baseline, candidate)
    assert (verdict.verdict, cause.amount.finite, cause.amount.lost) == ("changed", False, side)


def test_the_layer_whose_own_loss_differs_is_named(tmp_path: Path) -> None:
    _, cause, *_ = judged(tmp_path, {"added": (0.2, 0.1)}, {"added": (0.2, 0.05), "loss": {0: 0.4}})
    assert isinstance(cause, LossDiffers)
    assert [each.value for each in cause.added or ()] == [0.1, 0.05]
    assert cause.layer is not None
    assert (cause.layer.name, cause.layer.class_name) == ("code", "Dense")


def test_settings_of_an_object_in_a_setting_are_named_alone() -> None:
    def scaled(factor: float | None, **more: object) -> dict[str, Any]:
        config = {"name": "SGD", "learning_rate": 0.05, "loss_scale_factor": factor}
        inner = {"class_name": "SGD", "config": config}
        return {"inner_optimizer": json.dumps({**inner, **more}), "dynamic": True}

    (change,) = setting_changes(scaled(128.0), scaled(None, module="keras.optimizers"), "LossScaleOptimizer")
    assert (change.name, change.baseline, change.candidate) == (
        "inner_optimizer.loss_scale_factor",
        128.0,
        None,
    )
    assert setting_changes(scaled(128.0), scaled(128.0, registered_name=None)) == ()
    assert setting_changes({"axis": "[1, 2]"}, {"axis": "[1]"})[0].candidate == "[1]"

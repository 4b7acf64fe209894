"""The task `training` in real environments: what is recorded, and what it is taken for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validator.checks.protocol import Earlier, Evidence, Subject
from validator.checks.training import CHECK
from validator.checks.training.types import TrainingComparison
from validator.config.load import parse
from validator.failure import Failure
from validator.matrix import common_requirements, make_plan
from validator.runner import read_capture
from validator.verdict.bands import BANDS
from worker.answers import Answers, tensor
from worker.conftest import LEGACY, NEWEST, OLDEST
from worker.support import MODELS, Environment, job, record

pytestmark = pytest.mark.environment

CHANGES = (
    "none",
    "initialiser",
    "optimiser",
    "loss",
    "norm",
    "backward",
    "metric",
    "order",
    "data",
    "stepping",
    "eager",
)
FUNCTIONS = (
    "not_finite",
    "not_in_legacy",
    "uncompiled",
    "no_model",
    "other_lengths",
    "used_up",
    "in_batches",
    "embedding",
    "images",
)


def training(identity: str, folder: Path, **options: object) -> dict[str, Any]:
    """A training job: no predictions."""
    asked = {"steps": 4, "batch_size": 8, "members": 3, "seeds": 2, **options}
    inputs = str(folder / "recording")
    made = job(identity, folder, builder="training_models:build", inputs=inputs, predict=False)
    return {**made, "tasks": {"training": asked}}


def jobs(folder: Path) -> list[dict[str, Any]]:
    make = "training_models:make"
    record(folder / "recording", {"features": np.zeros((8, 6), np.float32)})
    return [
        *(training(change, folder, function=make, arguments={"change": change}) for change in CHANGES),
        training("seed", folder, function=make, arguments={"seed": 2}),
        training("own", folder, function=make, start="own", steps=3),
        training("own seed", folder, function=make, arguments={"seed": 2}, start="own", steps=3),
        training("random", folder, function=make, arguments={"rate": 0.5}),
        training("random on", folder, function=make, arguments={"rate": 0.5}, dropout="on"),
        training("epochs", folder, function=make, epochs=2, members=2),
        training("no function", folder),
        training("first", folder, function="training_models:shared"),
        training("second", folder, function="training_models:shared"),
        *(training(name, folder, function=f"training_models:{name}") for name in FUNCTIONS),
    ]


Trainings = Callable[[str], Answers]


@pytest.fixture(scope="module")
def trainings(keras_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    """A function: name of an environment → every job, done by one worker of it."""

    @cache
    def train(name: str) -> Answers:
        environment = Environment(name, keras_python(name))
        folder = tmp_path_factory.mktemp(f"training-{name}")
        process = environment.work(folder, jobs(folder))
        assert process.returncode == 0, process.stderr[-3000:]
        return Answers(environment, folder)

    return train


@pytest.fixture(params=[OLDEST, LEGACY, NEWEST])
def trained(request: pytest.FixtureRequest, trainings: Trainings) -> Answers:
    return trainings(request.param)


def answer(trained: Answers, identity: str) -> Any:
    return trained.answer(identity, "training")


def parts(trained: Answers, identity: str, vectors: Any) -> list[np.ndarray]:
    """The samples of each tensor."""
    whole = np.load(trained.path(identity) / vectors.path)
    assert whole.shape == (sum(vectors.counts),)
    return np.split(whole, np.cumsum(vectors.counts)[:-1])


def layer_values(trained: Answers, identity: str, name: str, way: str) -> np.ndarray:
    """What the probe saw of a layer, `forward` or `backward`."""
    probe = answer(trained, identity).probe
    place = [layer.name for layer in probe.layers].index(name)
    return parts(trained, identity, getattr(probe, way))[place]


def test_recorded_steps_are_those_of_fit(trained: Answers, tmp_path: Path) -> None:
    point = answer(trained, "own").checkpoints[-1]
    assert point.step == 3
    trained.environment.run(MODELS / "training_models.py", tmp_path / "fitted.npz")
    with np.load(tmp_path / "fitted.npz") as archive:
        fitted = [archive[key] for key in archive.files]
    for entry, weights in zip(point.tensors, fitted, strict=True):
        np.testing.assert_array_equal(tensor(entry, trained.path("own")), weights)


def test_the_start_is_drawn_alike_whatever_the_initialiser(trained: Answers) -> None:
    starts = {name: answer(trained, name) for name in ("none", "seed", "initialiser", "own", "own seed")}
    digests = {name: [variable.digest for variable in start.variables] for name, start in starts.items()}
    assert digests["none"] == digests["seed"] == digests["initialiser"]
    assert digests["own"] != digests["own seed"]
    assert (starts["none"].start, starts["own"].start) == ("drawn", "built")


def test_fresh_initialisations_show_another_distribution(trained: Answers) -> None:
    deviation = {
        name: answer(trained, name).fresh.variables[0].moments[0][1]
        for name in ("none", "seed", "initialiser")
    }
    assert deviation["seed"] == pytest.approx(deviation["none"], rel=0.1)
    assert deviation["initialiser"] > 1.5 * deviation["none"]


def test_an_optimiser_shows_in_weights_after_equal_gradients(trained: Answers) -> None:
    old, new = answer(trained, "none"), answer(trained, "optimiser")
    assert old.steps[0].gradients.digests == new.steps[0].gradients.digests
    assert old.steps[0].weights.digests != new.steps[0].weights.digests
    assert new.optimizer.optimizer.epsilon == 1e-3


def test_a_reduction_shows_in_the_loss_of_equal_outputs(trained: Answers) -> None:
    old, new = answer(trained, "none").steps[0], answer(trained, "loss").steps[0]
    assert old.forward.digests == new.forward.digests
    assert new.loss == pytest.approx(8 * old.loss)


def test_a_forward_change_shows_at_its_layer(trained: Answers) -> None:
    def drift(name: str) -> float:
        sides = [layer_values(trained, change, name, "forward") for change in ("none", "norm")]
        return float(np.abs(sides[0] - sides[1]).max())

    assert drift("hidden") == 0
    assert drift("norm") > 1e-4


def test_a_backward_change_shows_behind_its_layer(trained: Answers) -> None:
    def ratio(name: str) -> float:
        old, new = (layer_values(trained, change, name, "backward") for change in ("none", "backward"))
        return float(np.linalg.norm(new) / np.linalg.norm(old))

    assert ratio("slope") == pytest.approx(1, abs=1e-5)
    assert ratio("norm") == pytest.approx(1.01, abs=1e-5)
    assert answer(trained, "none").steps[0].loss == answer(trained, "backward").steps[0].loss


def test_order_and_content_of_the_data_are_apart(trained: Answers) -> None:
    old, order, data = (answer(trained, name) for name in ("none", "order", "data"))
    assert old.steps[0].batch != order.steps[0].batch
    assert old.samples == order.samples != data.samples


def test_a_metric_shows_in_what_is_reported_alone(trained: Answers) -> None:
    old, new = answer(trained, "none").steps, answer(trained, "metric").steps
    assert [step.loss for step in old] == [step.loss for step in new]
    assert [step.weights.digests for step in old] == [step.weights.digests for step in new]
    assert old[0].reported.right == 2 * new[0].reported.right > 0


@pytest.mark.parametrize("name", ["stepping", "eager", "none", "images"])
def test_gradients_are_recorded_of_any_train_step(trained: Answers, name: str) -> None:
    recorded = answer(trained, name)
    for variable, gradient, digest in zip(
        recorded.variables,
        parts(trained, name, recorded.steps[0].gradients),
        recorded.steps[0].gradients.digests,
        strict=True,
    ):
        assert (digest is None) is not variable.trainable
        assert not variable.trainable or gradient.any()


def test_rows_of_an_embedding_are_named(trained: Answers) -> None:
    assert answer(trained, "embedding").sparse
    assert not answer(trained, "none").sparse


def test_noise_is_that_of_rounding(trained: Answers) -> None:
    noise, recorded = answer(trained, "none").noise, answer(trained, "none")
    assert len(noise.steps) == len(recorded.steps)
    assert len(noise.probe.forward) == 3
    assert all(0 < value < 1e-6 for value in noise.steps[0].forward)
    assert len(noise.steps[0].gradients[0]) == len(recorded.variables)


def test_the_reference_is_in_float64(trained: Answers) -> None:
    recorded = answer(trained, "none")
    assert recorded.reference.failure is None
    assert [layer.name for layer in recorded.reference.layers] == [
        layer.name for layer in recorded.probe.layers
    ]
    assert recorded.reference.loss == pytest.approx(recorded.probe.loss, rel=1e-6)
    double, single = (
        parts(trained, "none", side.gradients)[0] for side in (recorded.reference, recorded.probe)
    )
    assert 0 < np.abs(double - single).max() < 1e-5


def test_random_layers_are_silent_unless_asked_for(trained: Answers) -> None:
    losses = {name: answer(trained, name).steps[0].loss for name in ("none", "random", "random on")}
    assert losses["random"] == pytest.approx(losses["none"])
    assert losses["random on"] != pytest.approx(losses["none"], rel=1e-3)


def test_a_curve_has_members(trained: Answers) -> None:
    curve = answer(trained, "epochs").curve
    assert [len(run) for run in curve] == [2, 2, 2]
    assert curve[0][0].loss != curve[1][0].loss == pytest.approx(curve[0][0].loss, rel=1e-4)


def test_a_loss_that_is_no_number_is_null(trained: Answers) -> None:
    losses = [step.loss for step in answer(trained, "not_finite").steps]
    assert [loss is None for loss in losses] == [False, False, False, True]


def test_the_model_is_left_as_it_was(trained: Answers) -> None:
    assert answer(trained, "first").start_file
    assert answer(trained, "second").steps[0].loss == answer(trained, "first").steps[0].loss


def test_batches_of_the_user(trained: Answers) -> None:
    old, new = answer(trained, "none"), answer(trained, "in_batches")
    assert [step.batch for step in old.steps] == [step.batch for step in new.steps]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("uncompiled", "not compiled with an optimizer"),
        ("no function", "not compiled with an optimizer"),
        ("no_model", "gave str, not a model"),
        ("other_lengths", "differ in length: [23, 24]"),
        ("used_up", "used up by one pass"),
    ],
)
def test_what_cannot_be_trained_says_why(name: str, words: str, trained: Answers) -> None:
    failure = trained.failure(name, "training")
    assert failure.stage == "train"
    assert words in failure.message


def test_an_optimiser_that_legacy_lacks_costs_the_training_only(trained: Answers) -> None:
    if trained.environment.name == LEGACY:
        assert "LossScaleOptimizer" in trained.failure("not_in_legacy", "training").message
    else:
        assert answer(trained, "not_in_legacy").steps


SETTINGS = """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1]
matrix: {keras: ["3.3.3", legacy]}
models: [{name: m, builder: "m:build", inputs: inputs.npz, training: {}}]
"""


def subject() -> Subject:
    settings = parse(SETTINGS, "validator.yml")
    plan = make_plan(settings, common_requirements(settings, Path()))
    baseline, candidate = sorted(plan.cells, key=lambda cell: cell.environment != plan.baseline)
    return Subject(settings.models[0], candidate, baseline, plan, settings, Path(), None, BANDS)


def read(results: Answers, identity: str) -> Any:
    capture = read_capture(results.path(identity))
    assert not isinstance(capture, Failure), capture
    return CHECK.read(Evidence(subject().cell, capture, {"training": capture}))


def compared(
    baseline: Answers, candidate: Answers, name: str, base: str | None = None
) -> tuple[TrainingComparison, Any, list[Any]]:
    """The numbers, the verdict and the causes of two jobs; the same job of both sides without `base`."""
    sides = read(baseline, base or name), read(candidate, name)
    comparison = CHECK.compare(subject(), *sides, Earlier())
    assert comparison is not None
    verdict, *causes = CHECK.find(comparison, BANDS, Earlier())
    return comparison, verdict, causes


def diagnosis(*arguments: Any) -> tuple[str, Any]:
    """The verdict and the first cause, the worst."""
    _, verdict, causes = compared(*arguments)
    return verdict.verdict, causes[0] if causes else None


@pytest.mark.parametrize(
    ("change", "kind", "verdict", "fields"),
    [
        ("initialiser", "training-initialiser", "changed", {}),
        ("seed", "training-draws", "rounding", {}),
        ("own seed", "training-start", "changed", {}),
        ("optimiser", "training-optimiser", "changed", {"step": 0, "gradients_recorded": True}),
        ("loss", "training-loss", "changed", {"factor": "times", "batch_size": 8, "outputs_recorded": True}),
        ("norm", "training-forward", "changed", {"layer.name": "norm"}),
        ("backward", "training-backward", "changed", {"layer.name": "slope"}),
        ("order", "training-batches", "changed", {"difference": "order"}),
        ("data", "training-batches", "changed", {"difference": "content"}),
        ("metric", "training-metric", "metric-only", {"metric": "right"}),
    ],
)
@pytest.mark.parametrize("candidate", [OLDEST, LEGACY])
def test_a_planted_change_is_named(
    change: str, kind: str, verdict: str, fields: dict[str, Any], candidate: str, trainings: Trainings
) -> None:
    base = "own" if change == "own seed" else "none"
    _, whole, causes = compared(trainings(OLDEST), trainings(candidate), change, base)
    (cause,) = (cause for cause in causes if cause.kind == kind)
    # between Keras 2 and 3, rounding differs too
    assert cause is causes[0] or verdict == "rounding"
    assert (whole.verdict, cause.verdict) == (verdict, verdict)
    assert {name: attrgetter(name)(cause) for name in fields} == fields
    if kind in ("training-initialiser", "training-draws", "training-start"):
        assert cause.variables[0] == "hidden/kernel"


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ("optimiser", ("epsilon", 1e-7, 1e-3)),
        ("loss", ("reduction", "sum_over_batch_size", "sum")),
        ("norm", ("epsilon", 1e-3, 1e-5)),
    ],
)
@pytest.mark.parametrize("candidate", [OLDEST, LEGACY])
def test_the_setting_that_differs_is_named(
    change: str, setting: tuple[object, ...], candidate: str, trainings: Trainings
) -> None:
    _, cause = diagnosis(trainings(OLDEST), trainings(candidate), change, "none")
    assert setting in [(item.name, item.baseline, item.candidate) for item in cause.settings]


@pytest.mark.parametrize("name", ["none", "random", "stepping", "eager"])
def test_an_unchanged_model_trains_alike_in_keras_2_and_3(name: str, trainings: Trainings) -> None:
    verdict, _ = diagnosis(trainings(OLDEST), trainings(LEGACY), name)
    assert verdict in ("identical", "rounding")


@pytest.mark.parametrize("name", ["none", "in_batches"])
def test_the_same_training_is_identical(name: str, trainings: Trainings) -> None:
    oldest = trainings(OLDEST)
    comparison, verdict, _ = compared(oldest, oldest, name, "none")
    assert verdict.verdict == "identical"
    assert [step.loss_ratio for step in comparison.steps] == [0.0] * 4
    assert all(point.identical for point in comparison.checkpoints)


def test_the_gradient_of_unfused_normalisation_is_attributed(trainings: Trainings) -> None:
    _, _, causes = compared(trainings(OLDEST), trainings(LEGACY), "images")
    by_kind = {cause.kind: cause for cause in causes}
    rounding, state = by_kind["training-rounding"], by_kind["training-state"]
    assert (rounding.verdict, rounding.layer.name) == ("rounding", "norm")
    assert rounding.reference is not None  # in float64 the gradients agree
    assert (state.verdict, state.variables) == ("changed", ("norm/moving_variance",))
    assert state.counted == 128  # 8 samples of 4 x 4 positions


def test_repeated_rows_of_an_embedding_are_the_optimisers(trainings: Trainings) -> None:
    _, cause = diagnosis(trainings(OLDEST), trainings(LEGACY), "embedding")
    assert cause.kind == "training-optimiser"
    assert cause.sparse_only


def test_a_curve_is_compared_with_its_noise(trainings: Trainings) -> None:
    oldest = trainings(OLDEST)
    comparison, _, _ = compared(oldest, oldest, "epochs")
    assert len(comparison.curve) == 2
    assert all(epoch.noise > 0 and epoch.loss_baseline == epoch.loss_candidate for epoch in comparison.curve)


def test_a_loss_that_ends_in_nan_shows_its_side(trainings: Trainings) -> None:
    oldest = trainings(OLDEST)
    comparison, both, _ = compared(oldest, oldest, "not_finite")
    assert [step.loss_candidate is None for step in comparison.steps] == [False, False, False, True]
    assert both.lost_from == 3
    verdict, cause = diagnosis(oldest, oldest, "not_finite", "none")
    assert verdict == "changed"
    assert (cause.kind, cause.step, cause.candidate) == ("training-loss", 3, None)


def test_a_training_that_fails_is_judged_by_its_side(trainings: Trainings) -> None:
    oldest, legacy = trainings(OLDEST), trainings(LEGACY)
    assert read(legacy, "not_in_legacy").stage == "train"
    assert diagnosis(oldest, legacy, "not_in_legacy") == ("failed", None)
    assert diagnosis(legacy, oldest, "not_in_legacy") == ("not-compared", None)


def test_a_float64_run_that_memory_has_no_room_for_is_left_out(
    keras_python: Callable[[str], Path], tmp_path: Path
) -> None:
    environment = Environment(OLDEST, keras_python(OLDEST))
    record(tmp_path / "recording", {"features": np.zeros((8, 6), np.float32)})
    asked = training("none", tmp_path, function="training_models:make", arguments={"change": "none"})
    process = environment.work(tmp_path, [asked], memory=1)
    assert process.returncode == 0, process.stderr[-2000:]
    answer = Answers(environment, tmp_path).answer("none", "training")
    assert len(answer.steps) == 4
    assert "needs about 0.0 GiB more memory, and 0.0 GiB are left" in answer.reference.left_out
    assert not hasattr(answer.reference, "gradients")

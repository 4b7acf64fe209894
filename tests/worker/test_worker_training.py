"""Planted changes of every class, trained in real environments, and what the diagnosis calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT, environment_python
from validator.diagnose.training import judge_training
from validator.results import Failure, Report, TrainingResult
from validator.runner.training import TASK, TrainingCapture, read_training
from worker.support import MODELS, Environment, job, record

pytestmark = pytest.mark.environment

OLDEST, LEGACY = "keras-3.3.3", "legacy"

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
    """A training job: its own folder inside that of a cell, and no predictions."""
    asked = {"steps": 4, "batch_size": 8, "members": 3, "seeds": 2, **options}
    inputs = folder / "recording"
    made = job(identity, folder, builder="training_models:build", inputs=str(inputs), predict=False)
    return {**made, "folder": str(folder / identity / TASK), "tasks": {TASK: asked}}


def trained(environment: str, folder: Path) -> Path:
    """Every job of the tests in one worker."""
    record(folder / "recording", {"features": np.zeros((8, 6), np.float32)})
    jobs = [
        training(change, folder, function="training_models:make", arguments={"change": change})
        for change in CHANGES
    ]
    jobs += [
        training("seed", folder, function="training_models:make", arguments={"seed": 2}),
        training("own", folder, function="training_models:make", start="own", steps=3),
        training(
            "own seed", folder, function="training_models:make", arguments={"seed": 2}, start="own", steps=3
        ),
        training("random", folder, function="training_models:make", arguments={"rate": 0.5}),
        training("epochs", folder, function="training_models:make", epochs=2, members=2),
        training("no function", folder),
        training("first", folder, function="training_models:shared"),
        training("second", folder, function="training_models:shared"),
        *(training(name, folder, function=f"training_models:{name}") for name in FUNCTIONS),
    ]
    for one in jobs:
        Path(one["folder"]).parent.mkdir(exist_ok=True)
    done = Environment(environment, environment_python(environment)).work(folder, jobs)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def keras_3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(OLDEST, tmp_path_factory.mktemp("keras_3"))


@pytest.fixture(scope="module")
def keras_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(LEGACY, tmp_path_factory.mktemp("keras_2"))


def capture(folder: Path, name: str) -> TrainingCapture:
    found = read_training(folder / name)
    assert isinstance(found, TrainingCapture), found
    return found


def judged(old: Path, new: Path, name: str, base: str = "none") -> TrainingResult:
    return judge_training(capture(old, base), capture(new, name))


def test_the_same_training_is_identical(keras_3: Path) -> None:
    found = judged(keras_3, keras_3, "none")
    assert found.verdict == "identical"
    assert [step.loss_ratio for step in found.steps] == [0.0] * 4
    assert all(point.identical for point in found.checkpoints)


@pytest.mark.parametrize("environment", ["keras_3", "keras_2"])
def test_recorded_steps_are_those_of_fit(
    environment: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    recorded = capture(request.getfixturevalue(environment), "own")
    name = OLDEST if environment == "keras_3" else LEGACY
    path = tmp_path / "fitted.npz"
    Environment(name, environment_python(name)).run(MODELS / "training_models.py", path)
    point = recorded.answer.checkpoints[-1]
    assert point.step == 3
    with np.load(path) as archive:
        wanted = [archive[key] for key in archive.files]
    tensors = recorded.tensors(point.tensors)
    assert len(tensors) == len(wanted)
    for tensor, weights in zip(tensors, wanted, strict=True):
        np.testing.assert_array_equal(tensor.open().values.reshape(tensor.shape), weights)


@pytest.mark.parametrize(
    ("change", "cause", "verdict", "words"),
    [
        ("initialiser", "initial weights", "changed", ("`hidden/kernel`", "another distribution")),
        ("seed", "initial weights", "rounding", ("`hidden/kernel`", "another seed")),
        ("own seed", "initial weights", "changed", ("starts from other weights",)),
        ("optimiser", "optimiser", "changed", ("gradient of step 0 agrees", "`epsilon` 1e-07 → 0.001")),
        ("loss", "loss reduction or mask", "changed", ("outputs agree", "8 times as much", "reduction")),
        ("norm", "forward", "changed", ("`norm` (BatchNormalization)", "`epsilon` 0.001 → 1e-05")),
        ("backward", "backward", "changed", ("loss and outputs agree", "`slope`")),
        ("order", "data order", "changed", ("another order",)),
        ("data", "data", "changed", ("other samples",)),
        ("metric", "reported metric", "metric-only", ("`right`",)),
    ],
)
@pytest.mark.parametrize("sides", [("keras_3", "keras_3"), ("keras_3", "keras_2")])
def test_a_planted_change_is_named(
    change: str, cause: str, verdict: str, words: tuple[str, ...], sides: tuple[str, str], request: Any
) -> None:
    old, new = (request.getfixturevalue(side) for side in sides)
    found = judged(old, new, change, "own" if change == "own seed" else "none")
    named = [one for one in found.causes if one.cause == cause]
    assert named, found.message
    assert named[0].verdict == verdict
    assert found.causes[0].cause == cause, found.message
    for word in words:
        assert word in named[0].message


def test_an_unchanged_model_trains_alike_in_keras_2_and_3(keras_3: Path, keras_2: Path) -> None:
    found = judged(keras_3, keras_2, "none")
    assert found.verdict in ("identical", "rounding"), found.message


@pytest.mark.parametrize("name", ["stepping", "eager"])
def test_a_step_of_ones_own_is_recorded_with_its_gradients(name: str, keras_3: Path, keras_2: Path) -> None:
    for folder in (keras_3, keras_2):
        step = capture(folder, name).answer.steps[0]
        assert step.gradients is not None
        assert all(norm for norm in step.gradients.norms if norm is not None)
    assert judged(keras_3, keras_2, name, name).verdict in ("identical", "rounding")


def test_the_gradient_of_unfused_normalisation_is_attributed(keras_3: Path, keras_2: Path) -> None:
    found = judged(keras_3, keras_2, "images", "images")
    rounding = next(
        cause for cause in found.causes if cause.verdict == "rounding" and cause.cause == "forward"
    )
    assert rounding.layer == "norm"
    assert "in float64 the gradients agree" in rounding.message
    state = next(cause for cause in found.causes if cause.verdict == "changed")
    assert state.layer == "norm"
    assert "128/127" in state.message, state.message  # 8 samples of 4 x 4 positions


def test_repeated_rows_of_an_embedding_are_the_optimisers(keras_3: Path, keras_2: Path) -> None:
    found = judged(keras_3, keras_2, "embedding", "embedding")
    assert found.causes[0].cause == "optimiser"
    assert "adds its rows up" in found.causes[0].message


def test_random_layers_are_off_and_their_effect_is_apart(keras_3: Path, keras_2: Path) -> None:
    here, there = capture(keras_3, "random").answer, capture(keras_2, "random").answer
    assert here.dropout is not None
    assert there.dropout is not None
    assert here.dropout.layers == ("random",)
    assert here.dropout.off
    assert here.dropout.loss != here.steps[0].loss
    assert here.dropout.loss != there.dropout.loss
    assert judged(keras_3, keras_2, "random", "random").verdict in ("identical", "rounding")


def test_a_curve_has_its_noise(keras_3: Path) -> None:
    found = judged(keras_3, keras_3, "epochs", "epochs")
    assert len(found.curve) == 2
    assert all(epoch.noise > 0 and epoch.loss_baseline == epoch.loss_candidate for epoch in found.curve)


def test_a_loss_that_ends_in_nan_on_both_sides(keras_3: Path) -> None:
    found = judged(keras_3, keras_3, "not_finite", "not_finite")
    assert [step.loss_candidate is None for step in found.steps] == [False, False, False, True]
    assert "not finite from step 3 on, on both sides" in found.message


def test_a_loss_that_ends_in_nan_here_only(keras_3: Path) -> None:
    healthy, broken = capture(keras_3, "none"), capture(keras_3, "not_finite")
    found = judge_training(healthy, broken)
    assert found.verdict == "changed"
    assert "not finite" in found.message


def test_the_model_is_left_as_it_was(keras_3: Path, keras_2: Path) -> None:
    for folder in (keras_3, keras_2):
        capture(folder, "first")
        capture(folder, "second")


def test_batches_of_the_user(keras_3: Path) -> None:
    assert judged(keras_3, keras_3, "in_batches").verdict == "identical"


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
def test_what_cannot_be_trained_says_why(name: str, words: str, keras_3: Path) -> None:
    found = read_training(keras_3 / name)
    assert isinstance(found, Failure)
    assert found.stage == "train"
    assert words in found.message


def test_an_optimiser_that_legacy_lacks_costs_the_training_only(keras_3: Path, keras_2: Path) -> None:
    found = read_training(keras_2 / "not_in_legacy")
    assert isinstance(found, Failure)
    assert found.stage == "train"
    assert "LossScaleOptimizer" in found.message
    result = judge_training(capture(keras_3, "not_in_legacy"), found)
    assert result.verdict == "failed"
    assert judge_training(found, capture(keras_3, "not_in_legacy")).verdict == "not-compared"


def test_an_endless_training_costs_no_prediction(tmp_path: Path) -> None:
    (tmp_path / "training_models.py").write_text((MODELS / "training_models.py").read_text())
    np.savez(tmp_path / "inputs.npz", features=np.ones((8, 6), np.float32))
    (tmp_path / "validator.yml").write_text(
        """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
limits: {seconds: 25}
gate: {fail_on: [training]}
environments:
  keras-3.5.0: {variables: {PLANTED: optimiser}}
models:
  - name: endless
    builder: training_models:build
    inputs: inputs.npz
    training: {function: "training_models:endless"}
  - name: planted
    builder: training_models:build
    inputs: inputs.npz
    training: {function: "training_models:by_environment", batch_size: 8, steps: 2}
"""
    )
    command = [
        sys.executable,
        "-m",
        "validator",
        "run",
        "--config",
        str(tmp_path / "validator.yml"),
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1, done.stderr
    report = Report.model_validate(json.loads(done.stdout))
    endless, planted = (model.cells[0] for model in report.models)
    assert endless.verdict == "identical"
    assert endless.training is not None
    assert endless.training.failure is not None
    assert endless.training.failure.stage == "timeout"
    assert planted.verdict == "identical"
    assert planted.training is not None
    assert planted.training.causes[0].cause == "optimiser"
    assert planted.gated == ("training",)
    assert any("optimiser" in reason for reason in report.reasons)

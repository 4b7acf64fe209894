"""The gradients of a training's first step on JAX and torch, layer by layer, in real environments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worker.answers import Answers, tensor
from worker.support import Environment, job, record

RATE = 0.5
MODELS = ("masked", "looping", "lost")
ENVIRONMENTS = ("keras-3.5.0-jax", "keras-3.15.1-jax", "keras-3.5.0-torch")


def _job(name: str, folder: Path) -> dict[str, Any]:
    asked = {"steps": 2, "batch_size": 16, "members": 2, "function": f"slopes_models:{name}"}
    made = job(name, folder, builder="slopes_models:built", inputs=str(folder / "recording"), predict=False)
    return {**made, "tasks": {"training": asked}}


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def trained(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Answers:
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(f"slopes-{environment.name}")
    record(folder / "recording", {"ids": np.zeros((8, 7), np.int32)})
    process = environment.work(folder, [_job(name, folder) for name in MODELS])
    assert process.returncode == 0, process.stderr[-3000:]
    return Answers(environment, folder)


def values(trained: Answers, name: str, vectors: Any) -> list[np.ndarray]:
    """The samples of each tensor."""
    whole = np.load(trained.path(name) / vectors.path)
    return np.split(whole, np.cumsum(vectors.counts)[:-1])


@pytest.mark.parametrize("name", ["masked", "looping"])
def test_gradients_are_those_of_the_step_of_fit(trained: Answers, name: str) -> None:
    answer = trained.answer(name, "training")
    start, gradients = (values(trained, name, each) for each in (answer.start_file, answer.probe.gradients))
    after = {entry.name: tensor(entry, trained.path(name)) for entry in answer.checkpoints[0].tensors}
    assert answer.probe.loss == pytest.approx(answer.steps[0].loss, rel=1e-5)
    trainable = [place for place, variable in enumerate(answer.variables) if variable.trainable]
    assert len(trainable) > 3
    for place in trainable:
        weights = after[answer.variables[place].name].reshape(-1).astype(np.float64)
        np.testing.assert_allclose((start[place] - weights) / RATE, gradients[place], rtol=1e-3, atol=2e-6)


def test_each_layer_has_its_output_and_its_gradient(trained: Answers) -> None:
    probe = trained.answer("masked", "training").probe
    names = [layer.name for layer in probe.layers]
    expected = ["words", "reader", "nested/squeeze", "norm", "top"]
    assert [name for name in names if name in expected] == expected
    slopes = dict(zip(names, values(trained, "masked", probe.backward), strict=True))
    assert all(np.isfinite(slopes[name]).all() and slopes[name].any() for name in expected)


def test_the_gradient_at_a_layer_is_what_a_change_of_its_output_costs(trained: Answers) -> None:
    answer = trained.answer("masked", "training")
    names = [layer.name for layer in answer.probe.layers]
    slopes = dict(zip(names, values(trained, "masked", answer.probe.backward), strict=True))
    variables = [variable.name for variable in answer.variables]
    gradients = values(trained, "masked", answer.probe.gradients)
    offset = next(place for place, name in enumerate(variables) if name.endswith("norm/beta"))
    # an offset is added to each of 16 samples
    np.testing.assert_allclose(slopes["norm"].reshape(16, -1).sum(0), gradients[offset], rtol=1e-4, atol=1e-7)


def test_what_runs_inside_of_a_loop_hides_nothing_outside(trained: Answers) -> None:
    probe = trained.answer("looping", "training").probe
    names = [layer.name for layer in probe.layers]
    assert [name for name in names if "/" not in name] == ["words", "reader", "top"]
    inside = any("inner" in name for name in names)
    assert inside == (trained.environment.backend == "torch"), "JAX's loops are closed"


def test_a_gradient_that_is_lost_shows_behind_its_layer(trained: Answers) -> None:
    probe = trained.answer("lost", "training").probe
    names = [layer.name for layer in probe.layers]
    slopes = dict(zip(names, values(trained, "lost", probe.backward), strict=True))
    finite = {name: bool(np.isfinite(slopes[name]).all()) for name in ("words", "flat", "mix", "root", "top")}
    assert finite == {"words": False, "flat": False, "mix": False, "root": True, "top": True}


def test_outputs_and_gradients_of_the_first_step_are_compared(trained: Answers) -> None:
    first, second = trained.answer("masked", "training").steps
    assert first.forward is not None
    assert first.gradients is not None
    noise = trained.answer("masked", "training").noise.steps[0]
    assert (len(noise.forward), len(noise.gradients)) == (2, 2)
    if trained.environment.backend == "jax":
        assert (second.forward, second.gradients) == (None, None), "a step of fit is closed"

"""The operations of models on JAX and torch, and the task `outputs` with them, in real environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worker.answers import Answers, tensor
from worker.support import MODELS, WORKER, Environment, job, record

UNIT = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SINGLE = [
    "dense",
    "lstm",
    "text",
    "attention",
    "convolution",
    "weightless",
    "while",
    "cond",
    "algebra",
    "several",
]
HALF = {"attention_bfloat16": "bfloat16", "dense_float16": "float16", "dense_mixed": "bfloat16"}
EXACT = ["table"]
REMEMBERING = ["counter", "shaken"]


@pytest.fixture(scope="module", params=["keras-3.5.0-jax", "keras-3.15.1-jax", "keras-3.5.0-torch"])
def environment(request: pytest.FixtureRequest, keras_python: Callable[[str], Path]) -> Environment:
    return Environment(request.param, keras_python(request.param))


@dataclass(frozen=True)
class Examined:
    """What a script recorded of the models of `operations_models`."""

    folder: Path

    def __getitem__(self, name: str) -> Mapping[str, np.ndarray]:
        return np.load(self.folder / f"{name}.npz")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def examined(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Examined:
    folder = tmp_path_factory.mktemp(f"operations-{environment.name}")
    environment.run(MODELS / "operations_models.py", WORKER, folder)
    return Examined(folder)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))


@pytest.mark.parametrize("name", [*SINGLE, *HALF, *EXACT])
def test_without_noise_it_is_what_the_model_predicts(examined: Examined, name: str) -> None:
    recorded = examined[name]
    assert recorded["unmoved"].tobytes() == recorded["predicted"].tobytes()
    assert recorded["restored"]


@pytest.mark.parametrize("name", [*SINGLE, *HALF])
def test_noise_is_a_small_multiple_of_the_error_of_rounding(examined: Examined, name: str) -> None:
    recorded = examined[name]
    predicted, wide = recorded["predicted"], recorded["float64"]
    noise = recorded["members"].astype(np.float64) - predicted
    assert wide.dtype == np.float64
    assert 1 < rms(noise) / rms(predicted - wide) < 7
    assert rms(noise) < 8 * UNIT[HALF.get(name, "float32")] * rms(predicted)
    assert (noise != 0).any(axis=0).mean() > 0.9, "nearly every number moves in some member"


@pytest.mark.parametrize("name", [*SINGLE, *HALF])
def test_members_differ_and_can_be_had_again(examined: Examined, name: str) -> None:
    recorded = examined[name]
    members = recorded["members"]
    assert recorded["again"].tobytes() == members[3].tobytes()
    assert len({member.tobytes() for member in members}) == len(members)


@pytest.mark.parametrize("name", EXACT)
def test_what_moves_chooses_or_compares_does_not_move(examined: Examined, name: str) -> None:
    recorded = examined[name]
    assert all(member.tobytes() == recorded["predicted"].tobytes() for member in recorded["members"])


def test_each_operation_that_moves_chooses_or_compares_is_known(examined: Examined) -> None:
    shares = examined["choosing"]
    assert len(shares) > 40
    assert {name: share for name, share in shares.items() if share > 0} == {}


def test_each_operation_that_rounds_moves(examined: Examined) -> None:
    shares = examined["inexact"]
    assert len(shares) > 25
    assert {name: share for name, share in shares.items() if share < 0.4} == {}


def test_float64_computes_with_the_numbers_that_the_model_holds(examined: Examined) -> None:
    stored = examined["weights"]
    inputs, *weights = (stored[name].astype(np.float64) for name in ("inputs", "0", "1", "2", "3"))
    expected = np.tanh(inputs @ weights[0] + weights[1]) @ weights[2] + weights[3]
    np.testing.assert_allclose(examined["dense"]["float64"], expected, rtol=1e-11)


def test_float64_sees_an_epsilon_that_half_precision_hides(examined: Examined) -> None:
    before, after = examined["attention_bfloat16"], examined["epsilon"]
    noise = before["members"].astype(np.float64) - before["predicted"]
    assert rms(after["predicted"].astype(np.float64) - before["predicted"]) < rms(noise)
    assert rms(after["float64"] - before["float64"]) > 1e-6 * rms(before["float64"])


@pytest.mark.parametrize("name", REMEMBERING)
def test_states_and_seeds_go_from_batch_to_batch_as_in_predict(examined: Examined, name: str) -> None:
    recorded = examined[name]
    predicted = recorded["predicted"]
    assert recorded["unmoved"].tobytes() == predicted.tobytes()
    assert rms(recorded["float64"] - predicted) < 1e-6
    assert 0 < rms(recorded["moved"] - predicted) < 1e-6
    assert rms(predicted[1] - predicted[0]) > 0.1
    assert recorded["restored"]


@pytest.fixture(scope="module")
def ran(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp(f"outputs-{environment.name}")
    process = environment.work(folder, outputs_jobs(folder))
    assert process.returncode == 0, process.stderr[-2000:]
    return Answers(environment, folder)


def outputs_jobs(folder: Path) -> list[dict[str, Any]]:
    random = np.random.default_rng(1)
    features = record(folder / "features", {"features": random.standard_normal((10, 4)).astype("float32")})
    cells = record(folder / "cells", {"cells": random.standard_normal((10, 7, 16)).astype("float32")})
    recorded = {"bfloat16": cells}
    tasks = {"outputs": {"noise": {"members": 3}, "reference": {}}}
    return [
        job(
            name,
            folder,
            inputs=recorded.get(name, features),
            builder=f"operations_models:{name.partition(' ')[0]}",
            tasks=tasks,
            evaluate=False,
        )
        for name in ("dense", "dense again", "bfloat16", "host")
    ]


def numbers(stored: np.ndarray) -> np.ndarray:
    """The values of a tensor; bfloat16 is stored as its bits."""
    halves = (stored.astype(np.uint32) << 16).view(np.float32) if stored.dtype == np.uint16 else stored
    return halves.astype(np.float64)


def members(ran: Answers, identity: str) -> list[np.ndarray]:
    (output,) = ran.answer(identity, "outputs").noise.outputs
    return [numbers(tensor(entry, ran.path(identity))) for entry in output.members]


def predicted(ran: Answers, identity: str) -> np.ndarray:
    return numbers(ran.array(identity))


@pytest.mark.parametrize("name", ["dense", "bfloat16"])
def test_the_task_answers_with_operations(ran: Answers, name: str) -> None:
    answer = ran.answer(name, "outputs")
    assert (answer.noise.method, answer.noise.members, answer.noise.batches) == ("operations", 3, [0, 1, 2])
    assert (answer.reference.how, answer.reference.batches) == ("graph", [0, 1, 2])
    (output,) = answer.reference.outputs
    wide = tensor(output, ran.path(name))
    noise = np.stack([member - predicted(ran, name) for member in members(ran, name)])
    assert wide.dtype == np.float64
    assert 0.5 < rms(noise) / rms(wide - predicted(ran, name)) < 7


def test_another_process_draws_the_same_members(ran: Answers) -> None:
    pairs = zip(members(ran, "dense"), members(ran, "dense again"), strict=True)
    assert all(member.tobytes() == again.tobytes() for member, again in pairs)


def test_code_that_jax_cannot_trace_has_its_weights_moved(ran: Answers) -> None:
    answer = ran.answer("host", "outputs")
    expected = ("weights", "not-traceable") if ran.environment.backend == "jax" else ("operations", "")
    assert (answer.noise.method, answer.noise.reason) == expected
    assert all(0 < rms(member - predicted(ran, "host")) < 1e-5 for member in members(ran, "host"))

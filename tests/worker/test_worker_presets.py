"""Presets of KerasHub, saved and loaded by the real package, and where it is not installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from validator.environments import Uv
from worker.conftest import NEWEST
from worker.support import MODELS, Environment, Results, job, record

pytestmark = [pytest.mark.environment, pytest.mark.matrix]

INPUTS = {
    "token_ids": (np.arange(24).reshape(2, 12) % 50).astype(np.int32),
    "segment_ids": np.zeros((2, 12), np.int32),
    "padding_mask": np.ones((2, 12), np.int32),
}
#: What the environment has, or what tokenisers alone need.
LEFT_OUT = ("tensorflow", "tensorflow-text", "keras", "numpy", "absl-py", "rich")


@pytest.fixture(scope="module")
def hub(keras_python, tmp_path_factory) -> Path:
    """A folder with KerasHub for the newest environment, beside it."""
    folder = tmp_path_factory.mktemp("hub")
    never = folder / "overrides.txt"
    never.write_text("".join(f"{name} ; sys_platform == 'none'\n" for name in LEFT_OUT))
    uv = Uv.bundled(os.environ)
    python = keras_python(NEWEST)
    command = [
        uv.binary,
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        "--target",
        str(folder / "packages"),
    ]
    subprocess.run([*command, "--override", str(never), "keras-hub==0.32.0"], check=True)
    return folder / "packages"


@pytest.fixture(scope="module")
def presets(hub: Path, keras_python, tmp_path_factory) -> Results:
    folder = tmp_path_factory.mktemp("presets")
    environment = Environment(NEWEST, keras_python(NEWEST))
    environment.run(MODELS / "make_presets.py", hub, folder)
    inputs = record(folder / "inputs", INPUTS)

    def do(name: str, artifact: str, **fields: object) -> dict[str, object]:
        return job(name, folder, artifact=str(folder / artifact), inputs=inputs, **fields)

    wide = {"precision": "float64", "jit": "as-saved"}
    jobs = [do("task", "task"), do("backbone", "backbone"), do("headless", "headless")]
    jobs += [do("float64", "task", variant=wide)]
    process = environment.work(folder, jobs, paths=[str(hub)])
    return Results(environment, folder, process)


def test_a_task_predicts_as_it_was_saved(presets: Results) -> None:
    assert presets["task"].artifact_kind == "preset"
    expected = np.load(presets.folder / "expected.npy")
    assert np.allclose(presets.array("task"), expected, rtol=1e-5, atol=1e-7)
    assert presets["task"].weights.unfilled_count == 0


def test_a_backbone_alone(presets: Results) -> None:
    assert set(presets.tensors("backbone")) == {"pooled_output", "sequence_output"}


def test_another_precision(presets: Results) -> None:
    assert presets["float64"].policy == "float64"
    assert np.allclose(presets.array("float64"), presets.array("task"), rtol=1e-4, atol=1e-6)


def test_a_head_without_weights_is_not_compared_as_if_it_had_some(presets: Results) -> None:
    stage, _, message = presets.failure("headless")
    assert stage == "load"
    assert "headless" in message or "variables" in message


def test_an_environment_without_the_package(presets: Results, tmp_path: Path) -> None:
    alone = job(
        "alone", tmp_path, artifact=str(presets.folder / "task"), inputs=str(presets.folder / "inputs")
    )
    process = presets.environment.work(tmp_path, [alone])
    _, _, message = Results(presets.environment, tmp_path, process).failure("alone")
    assert message.endswith("add keras-hub to `requirements`")

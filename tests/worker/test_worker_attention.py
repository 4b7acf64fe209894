"""The switch for flash attention: turned for one job, refused where there is none or a layer chose itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from worker.support import FEATURES, Environment, Results, job, record

pytestmark = pytest.mark.environment

VARIANTS = {
    "off": ("attending", {}, "flash-off"),
    "as saved": ("attending", {}, "as-saved"),
    "on": ("attending", {}, "flash-on"),
    "nothing asks": ("dense", {}, "flash-off"),
    "own off": ("attending", {"flash": False}, "flash-off"),
}


def worked(environment: Environment, folder: Path) -> Results:
    inputs = record(folder / "inputs", {"features": FEATURES})
    jobs = [
        job(
            name,
            folder,
            builder=f"attention_models:{builder}",
            builder_arguments=arguments,
            inputs=inputs,
            variant={"precision": "as-saved", "jit": "as-saved", "attention": attention},
        )
        for name, (builder, arguments, attention) in VARIANTS.items()
    ]
    jobs.append(
        job(
            "elsewhere",
            folder,
            builder="attention_models:dense",
            inputs=inputs,
            variables={"NOT_SET_HERE": "1"},
        )
    )
    return Results(environment, folder, environment.work(folder, jobs))


def test_the_newest_keras_has_the_switch(keras_python: Callable[[str], Path], tmp_path: Path) -> None:
    name = "keras-3.15.1"
    results = worked(Environment(name, keras_python(name)), tmp_path)
    for identity in ("off", "as saved", "on", "nothing asks", "own off"):
        assert results[identity].outputs
    kinds = {identity: [note.kind for note in results[identity].notes] for identity in VARIANTS}
    assert kinds["nothing asks"] == ["attention"]
    assert kinds["off"] == kinds["on"] == kinds["as saved"] == []
    # a job that needs a variable which this process lacks is left for another
    assert not results.path("elsewhere").exists()


def test_an_old_keras_has_none(oldest: Environment, tmp_path: Path) -> None:
    results = worked(oldest, tmp_path)
    stage, error, message = results.failure("off")
    assert (stage, error) == ("load", "UnusableError")
    assert "keras 3.3.3 has no switch for flash attention; Keras has one from 3.7.0 on" in message
    assert results["as saved"].outputs

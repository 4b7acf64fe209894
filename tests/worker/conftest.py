"""Environments for the worker's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.support import MODELS, WORKER, Environment, Results
from worker.worker_jobs import jobs

sys.path.insert(0, str(WORKER))  # what needs no Keras is tested in this process

OLDEST, LEGACY, NEWEST = "keras-3.3.3", "legacy", "keras-3.15.1"


@pytest.fixture(scope="session")
def oldest(keras_python: Callable[[str], Path]) -> Environment:
    return Environment(OLDEST, keras_python(OLDEST))


@pytest.fixture(scope="session")
def legacy(keras_python: Callable[[str], Path]) -> Environment:
    return Environment(LEGACY, keras_python(LEGACY))


@pytest.fixture(scope="session", params=["keras-2.15.0", OLDEST, LEGACY, NEWEST])
def results(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """Every job of `worker_jobs` done by one worker of the environment."""
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(request.param)
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    environment.run(MODELS / "make_artifacts.py", artifacts)
    process = environment.work(folder, jobs(folder, artifacts))
    return Results(environment, folder, process)

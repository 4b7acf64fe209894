"""Environments for the worker's tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from worker.support import MODELS, WORKER, Environment, Results
from worker.worker_jobs import jobs

sys.path.insert(0, str(WORKER))  # what needs no Keras is tested in this process

OLDEST, LEGACY, NEWEST = "keras-3.3.3", "legacy", "keras-3.15.1"


def interpreter(environment: str) -> Path:
    """The Python of an installed environment."""
    return Path(os.environ["KUV_ENVS"], environment, "bin", "python")


@pytest.fixture(scope="session")
def oldest() -> Environment:
    return Environment(OLDEST, interpreter(OLDEST))


@pytest.fixture(scope="session")
def legacy() -> Environment:
    return Environment(LEGACY, interpreter(LEGACY))


@pytest.fixture(scope="session", params=[OLDEST, LEGACY, NEWEST])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Every job of `worker_jobs` done by one worker of the environment."""
    environment = Environment(request.param, interpreter(request.param))
    folder = tmp_path_factory.mktemp(request.param)
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    environment.run(MODELS / "make_artifacts.py", artifacts)
    process = environment.work(folder, jobs(folder, artifacts))
    return Results(environment, folder, process)

"""The worker as a process: what it refuses, survives and leaves behind. Death and limits: tests/runner."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from worker.support import WORKER, Environment, Results, job, record
from worker.worker_jobs import FEATURES

pytestmark = pytest.mark.environment


def _facts(folder: Path) -> dict:
    return json.loads((folder / "environment.json").read_text())


def test_a_dead_job_leaves_its_end_and_the_next_goes_on(oldest: Environment, tmp_path: Path) -> None:
    inputs = record(tmp_path / "inputs", {"features": FEATURES})
    jobs = [
        job(name, tmp_path, builder=f"worker_models:{builder}", inputs=inputs)
        for name, builder in (("first", "dense"), ("dies", "dying_builder"), ("last", "dense"))
    ]
    process = oldest.work(tmp_path, jobs)
    assert process.returncode == 0
    results = Results(oldest, tmp_path, process)
    ends = [json.loads((results.path(name) / "ended").read_text()) for name in ("first", "dies", "last")]
    assert [end["exit"] for end in ends] == [0, 7, 0]
    assert not (tmp_path / "dies" / "response.json").exists()
    assert np.array_equal(results.array("first"), results.array("last"))
    assert _facts(tmp_path)["isolation"] == "fork"


def test_a_process_for_each_job_gives_the_same_bytes(oldest: Environment, tmp_path: Path) -> None:
    inputs = record(tmp_path / "inputs", {"features": FEATURES})
    arrays = []
    for isolation in ("fork", "process"):
        folder = tmp_path / isolation
        jobs = [
            job(
                what,
                folder,
                builder="worker_models:subclassed",
                builder_arguments={"what": what},
                inputs=inputs,
            )
            for what in ("random", "nested")
        ]
        for _ in range(1 if isolation == "fork" else len(jobs)):  # such a worker ends after one job
            process = oldest.work(folder, jobs, KERAS_VALIDATOR_ISOLATION=isolation)
        assert _facts(folder)["isolation"] == isolation
        results = Results(oldest, folder, process)
        arrays.append(results.array("random").tobytes() + results.array("nested", "scores").tobytes())
    assert arrays[0] == arrays[1]


COMPUTES = """
import sys
sys.path.insert(0, sys.argv[1])
import tensorflow
from keras_capture.wire import forking
assert forking.backend_started() is None
if sys.argv[2] == "computes":
    tensorflow.constant(1)
elif sys.argv[2] == "threads":
    import threading
    threading.Thread(target=sys.stdin.read, daemon=True).start()
print(forking.choose_isolation())
"""


@pytest.mark.parametrize(
    ("what", "isolation", "reason"),
    [
        ("imports", "fork", ""),
        ("computes", "process", "tensorflow computed"),
        ("threads", "process", "2 threads"),
    ],
)
def test_it_forks_only_where_that_is_safe(
    oldest: Environment, what: str, isolation: str, reason: str
) -> None:
    command = [str(oldest.python), "-I", "-c", COMPUTES, str(WORKER), what]
    with subprocess.Popen(
        command, env=oldest.variables(), stdin=-1, stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().strip() == isolation
        assert process.stdin is not None
        process.stdin.close()
        assert reason in process.stderr.read()


def test_an_environment_that_is_not_what_it_should_be_starts_no_job(
    oldest: Environment, legacy: Environment, tmp_path: Path
) -> None:
    jobs = [job("never", tmp_path, builder="worker_models:dense", inputs="worker_models:inputs")]
    for environment, asked, words in (
        (oldest, True, "TF_USE_LEGACY_KERAS must be set to 1"),
        (legacy, False, "TF_USE_LEGACY_KERAS must be unset"),
    ):
        assert environment.work(tmp_path, jobs, legacy=asked).returncode == 0
        failure = _facts(tmp_path)["failure"]
        assert failure["stage"] == "import"
        assert words in failure["message"]
        assert not (tmp_path / "never").exists()


def test_another_backend_than_asked_for_is_an_import_failure(oldest: Environment, tmp_path: Path) -> None:
    """jax is not installed here, so Keras cannot be imported at all."""
    assert oldest.work(tmp_path, [], KERAS_BACKEND="jax").returncode == 0
    failure = _facts(tmp_path)["failure"]
    assert (failure["stage"], failure["error"]) == ("import", "ModuleNotFoundError")
    assert "jax" in failure["message"]

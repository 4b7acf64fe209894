"""The worker as a process: what it refuses, survives and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from worker.support import WORKER, Environment, Results, job, record
from worker.worker_jobs import FEATURES

pytestmark = pytest.mark.environment


def _facts(folder: Path) -> dict:
    return json.loads((folder / "environment.json").read_text())


def test_a_dead_worker_loses_one_job(oldest: Environment, tmp_path: Path) -> None:
    """The next worker goes on with the jobs that never started."""
    inputs = record(tmp_path / "inputs", {"features": FEATURES})
    jobs = [
        job(name, tmp_path, builder=f"worker_models:{builder}", inputs=inputs)
        for name, builder in (("first", "dense"), ("dies", "dying_builder"), ("last", "dense"))
    ]
    assert oldest.work(tmp_path, jobs).returncode == 7
    assert [(tmp_path / name / "response.json").exists() for name in ("first", "dies", "last")] == [1, 0, 0]
    stamp = (tmp_path / "first" / "response.json").stat().st_mtime_ns
    process = oldest.work(tmp_path, jobs)
    assert process.returncode == 0
    assert Results(oldest, tmp_path, process)["last"].failure is None
    assert not (tmp_path / "dies" / "response.json").exists()
    assert (tmp_path / "first" / "response.json").stat().st_mtime_ns == stamp


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


def test_a_worker_ends_with_its_runner(oldest: Environment, tmp_path: Path) -> None:
    """The runner holds the other end of a pipe; however it dies, the worker and its children go too."""
    (tmp_path / "request.json").write_text(
        json.dumps(
            {
                "schema": 1,
                "environment": "oldest",
                "legacy": False,
                "backend": "tensorflow",
                "pythonpath": [str(Path(__file__).parent / "models")],
                "seed": 0,
                "jobs": [job("hangs", tmp_path, builder="worker_models:hanging_builder", inputs="a:b")],
            }
        )
    )
    reading, writing = os.pipe()
    worker = subprocess.Popen(
        [str(oldest.python), "-I", str(WORKER), str(tmp_path)],
        env=oldest.variables(KERAS_VALIDATOR_LIFELINE=str(reading)),
        pass_fds=(reading,),
        start_new_session=True,
    )
    os.close(reading)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "hangs" / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert worker.poll() is None
        os.close(writing)
        assert worker.wait(timeout=30) == -signal.SIGKILL
    finally:
        worker.kill()

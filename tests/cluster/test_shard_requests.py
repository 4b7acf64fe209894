"""What a shard of a cluster is asked, and what cannot be asked of a cluster."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT
from validator.cluster import Executor, collect, connected
from validator.errors import CannotJudgeError, ConfigurationError
from validator.matrix import AskedMoves, MatrixSelection, Shard
from validator.pipeline.clustered import key_of
from validator.pipeline.run import Request, produce, requested
from validator.pipeline.shard_request import ShardRequest

CONFIG = """version: 1
requirements: [tensorflow-cpu==2.17.1]
matrix: {keras: ["3.3.3", "3.5.0"]}
models: [{name: a, builder: "little:model", inputs: "little:inputs"}]
"""
CLUSTER = Executor(scheduler="dask://127.0.0.1:9", wait_seconds=0.5)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "validator.yml").write_text(CONFIG)
    (tmp_path / "little.py").write_text("")
    return tmp_path / "validator.yml"


def shard(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "validator", "shard", str(folder), "--output", str(folder / "run")],
        input=text,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_shard_is_asked_what_the_client_was() -> None:
    asked = ShardRequest(
        tool="0" * 64,
        config="a/validator.yml",
        shard="2/3",
        only=("a@b",),
        base="1" * 40,
        head="2" * 40,
        models=("a",),
        instant="2026-01-01T00:00:00Z",
        pins={"s3://b/k": "0" * 64},
        origin=False,
    )
    read = ShardRequest.model_validate_json(asked.model_dump_json())
    request = requested(read, Path("out"))
    assert request == Request(
        Path("a/validator.yml"),
        ("a@b",),
        Path("out"),
        base="1" * 40,
        head="2" * 40,
        selection=MatrixSelection(("a",)),
        moves=AskedMoves(),
        origin=False,
        shard=Shard(2, 3),
        instant="2026-01-01T00:00:00Z",
        pins={"s3://b/k": "0" * 64},
    )


@pytest.mark.parametrize("text", ["", "{}\n", "nothing\n", '{"config": "v.yml", "shard": "1/1", "x": 1}\n'])
def test_a_request_that_is_none_is_refused_in_a_sentence(text: str, tmp_path: Path) -> None:
    done = shard(text, tmp_path)
    assert done.returncode == 2
    assert "the shard's request cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_whose_tool_was_installed_anew_refuses(tmp_path: Path) -> None:
    request = ShardRequest(tool="0" * 64, config="v.yml", shard="1/1")
    done = shard(request.model_dump_json() + "\n", tmp_path)
    assert done.returncode == 2
    assert "this worker has keras-validator" in done.stderr


def test_the_command_is_not_in_the_help() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "validator", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert " shard " not in done.stdout


def test_a_cluster_makes_its_shards_itself(config: Path) -> None:
    with pytest.raises(ConfigurationError, match="--executor cannot be combined with --shard"):
        Request(config, shard=Shard(1, 2), executor=CLUSTER)


def test_a_cache_of_this_machine_is_none_of_a_cluster(config: Path) -> None:
    with pytest.raises(ConfigurationError, match="--cache is of this machine"):
        produce(Request(config, cache=config.parent / "kept", executor=CLUSTER, quiet=True))


def test_the_python_of_this_machine_is_on_no_worker(config: Path) -> None:
    request = Request(config, selection=MatrixSelection((), "", ("current",)), executor=CLUSTER, quiet=True)
    with pytest.raises(ConfigurationError, match="the Python of this machine, which no worker has"):
        produce(request)


@pytest.mark.parametrize("address", ["dask://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_a_scheduler_that_cannot_be_reached_is_named(address: str) -> None:
    executor = Executor(scheduler=address, wait_seconds=0.5)
    refusal = pytest.raises(CannotJudgeError, match=f"the scheduler {address} cannot be reached")
    with refusal, connected(executor, lambda _: None):
        pass


def test_parts_are_kept_for_the_same_files_and_locks_whenever_those_were_resolved(tmp_path: Path) -> None:
    def key(code: str, lock: str, instant: str, only: str = "") -> str:
        (tmp_path / "little.py").write_text(code)
        (tmp_path / "head.txt").write_text(lock)
        files = collect(tmp_path, [], {}, ())
        files = replace(files, bundle=files.bundle.model_copy(update={"local": ("head.txt",)}))
        asked = ShardRequest(
            tool="0", config="v.yml", shard="1/1", instant=instant, only=(only,) if only else ()
        )
        return key_of(files, asked.model_dump_json(), None)

    first = key("x = 1", "# inputs 1\nkeras==3.5.0\n", "2026-01-01T00:00:00Z")
    assert first == key("x = 1", "# inputs 2\nkeras==3.5.0\n", "2026-01-02T00:00:00Z")
    assert first != key("x = 2", "# inputs 1\nkeras==3.5.0\n", "2026-01-01T00:00:00Z")
    assert first != key("x = 1", "# inputs 1\nkeras==3.5.1\n", "2026-01-01T00:00:00Z")
    assert first != key("x = 1", "# inputs 1\nkeras==3.5.0\n", "2026-01-01T00:00:00Z", "a@b")

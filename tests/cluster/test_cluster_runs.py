"""Whole runs on Dask, with real Keras: equal to a run of this machine, whatever happens to the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bench.cluster import MODELS, write_project
from tests.cluster.servers import Servers, hosts, servers
from tests.conftest import ROOT
from tests.pipeline.test_sentences import decided

pytestmark = [pytest.mark.environment, pytest.mark.matrix]


def run(project: Path, *arguments: str, background: bool = False) -> Any:
    command = [sys.executable, "-m", "validator", "run", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "CI": "true"}
    process = subprocess.Popen(
        command, cwd=project, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if background:
        return process
    output, _ = process.communicate(timeout=900)
    return subprocess.CompletedProcess(command, process.returncode, output, "")


def run_from_elsewhere(project: Path, *arguments: str) -> Any:
    """The same from the folder above: `-m` imports from the current folder first."""
    output = str(project / arguments[-1])
    config = str(project / "validator.yml")
    return run(project.parent, "--config", config, *arguments[:-1], output)


def report(project: Path, name: str) -> Any:
    return json.loads((project / name / "report.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 40 compared cells, and in `whole` its run on this machine."""
    project = write_project(tmp_path_factory.mktemp("whole") / "project", MODELS)
    done = run(project, "--output", "whole")
    assert done.returncode == 1, done.stdout
    return project


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of four compared cells, and in `whole` its run on this machine."""
    project = write_project(tmp_path_factory.mktemp("small") / "project", 2)
    done = run(project, "--output", "whole")
    assert done.returncode == 0, done.stdout
    return project


def without_scheduler(process: Any, cluster: Servers, file: Path) -> str:
    """What a run says whose scheduler is killed once a file is there: it ends with exit code 3."""
    for _ in range(1200):
        if file.is_file() or process.poll() is not None:
            break
        time.sleep(0.1)
    cluster.kill("scheduler")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 3, output
    return str(output)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Servers]:
    with servers(tmp_path) as running:
        yield running


def describe(project: Path, **settings: object) -> str:
    file = project / "cluster.yml"
    file.write_text(json.dumps(settings))
    return str(file)


def test_four_processes_come_to_what_this_machine_does(whole: Path) -> None:
    options = {"n_workers": 4, "threads_per_worker": 1, "dashboard_address": ":0"}
    done = run(whole, "--executor", describe(whole, cluster="LocalCluster", options=options), "--output", "o")
    assert done.returncode == 1, done.stdout
    assert decided(report(whole, "o")) == decided(report(whole, "whole"))
    assert len(report(whole, "o")["models"]) == MODELS
    assert "shard 4/4 is done" in done.stdout
    assert "dashboard of the cluster: http" in done.stdout
    assert not (whole / "o" / "cluster").exists()


def commit(project: Path, message: str) -> None:
    git = ["git", "-C", str(project), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", message], check=True)


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A branch that upgrades keras and makes a package of the models' module, with another factor in it."""
    project = write_project(tmp_path_factory.mktemp("upgraded") / "project", 2)
    settings = (project / "validator.yml").read_text().splitlines()
    matrix = ("matrix:", "requirements:")
    (project / "validator.yml").write_text(
        "\n".join(each for each in settings if not each.startswith(matrix))
    )
    pins = "keras==%s\ntensorflow-cpu==2.17.1\nnumpy==1.26.4\n"
    (project / "requirements.txt").write_text(pins % "3.3.3")
    (project / ".gitignore").write_text(".keras-validator\n__pycache__\nkept-*\ncluster.yml\n")
    # What looks like the tool must not be run in its place.
    (project / "validator.py").write_text("raise SystemExit('this is not the tool')\n")
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(project)], check=True)
    commit(project, "base")
    subprocess.run(["git", "-C", str(project), "switch", "--quiet", "--create", "upgrade"], check=True)
    (project / "requirements.txt").write_text(pins % "3.5.0")
    code = (project / "little.py").read_text().replace('"tanh"', '"sigmoid"')
    (project / "little.py").unlink()
    (project / "little").mkdir()
    (project / "little" / "__init__.py").write_text(code)
    commit(project, "upgrade")
    return project


@pytest.mark.parametrize("asked", [("--base", "main"), ("--with", "keras==3.4.1")])
def test_a_pull_request_is_read_on_workers_as_it_is_here(
    upgraded: Path, cluster: Servers, asked: tuple[str, str]
) -> None:
    name = asked[0].strip("-")
    here = run_from_elsewhere(upgraded, *asked, "--output", f"kept-{name}")
    address = cluster.start_scheduler()
    cluster.start_worker("first")
    done = run_from_elsewhere(upgraded, *asked, "--executor", address, "--output", f"kept-{name}-dask")
    assert done.returncode == here.returncode, done.stdout
    one, other = report(upgraded, f"kept-{name}"), report(upgraded, f"kept-{name}-dask")
    assert decided(other) == decided(one)
    effects = {cell["effect"] for model in one["models"] for cell in model["cells"]}
    assert effects == ({"model", "packages"} if name == "base" else {None})
    assert (other["commit"], other["upgrade"]) == (one["commit"], one["upgrade"])


@pytest.mark.skipif(os.getuid() != 0, reason="network namespaces need root")
def test_two_hosts_without_a_common_disk_come_to_what_this_machine_does(
    whole: Path, cluster: Servers
) -> None:
    with contextlib.ExitStack() as stack:
        try:
            namespaces = stack.enter_context(hosts(["kvhost1", "kvhost2"]))
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces: {error}")
        stack.callback(cluster.end)
        address = cluster.start_scheduler("10.199.7.1")
        for (
            name,
            namespace,
        ) in namespaces.items():  # nothing but uv's cache and the scheduler is reached there
            cluster.start_worker(name, namespace=namespace, variables={"UV_OFFLINE": "1"})
        done = run(whole, "--executor", address, "--output", "hosts")
        assert done.returncode == 1, done.stdout
        assert decided(report(whole, "hosts")) == decided(report(whole, "whole"))
        for number in (2, 3):
            assert f"shard {number - 1}/2 on tcp://10.199.7." in done.stdout


def test_a_worker_that_is_killed_costs_a_retry_of_its_shard(small: Path, cluster: Servers) -> None:
    address = cluster.start_scheduler()
    cluster.start_worker("first")
    process = run(small, "--executor", address, "--output", "killed", background=True)
    cluster.wait_for_shard("first")
    left = cluster.children("first")
    cluster.start_worker("second")
    cluster.kill("first")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert decided(report(small, "killed")) == decided(report(small, "whole"))
    assert "is run again: on tcp://" in output
    assert psutil.wait_procs(left, timeout=60)[1] == []


def test_a_scheduler_that_is_killed_ends_the_run_and_the_next_one_does_the_rest(
    small: Path, cluster: Servers
) -> None:
    address = cluster.start_scheduler()
    cluster.start_worker("first")
    process = run(small, "--executor", address, "--output", "resumed", background=True)
    first = small / "resumed" / "cluster" / "part-1-of-2.json"
    output = without_scheduler(process, cluster, first)
    assert "1 of 2 shards are done and kept: run the same command again" in " ".join(output.split())
    assert report(small, "resumed")["verdict"] == "inconclusive"
    cluster.end()
    address = cluster.start_scheduler()
    cluster.start_worker("again")
    done = run(small, "--executor", address, "--output", "resumed")
    assert done.returncode == 0, done.stdout
    assert "1 of 2 shards are done already" in done.stdout
    assert decided(report(small, "resumed")) == decided(report(small, "whole"))


def test_a_worker_of_another_version_runs_nothing(small: Path, cluster: Servers, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(ROOT / "validator", other / "validator", ignore=shutil.ignore_patterns("__pycache__"))
    package = other / "validator" / "__init__.py"
    package.write_text(package.read_text() + "\n# changed\n")
    address = cluster.start_scheduler()
    cluster.start_worker("other", package=other)
    settings = describe(small, scheduler=address, wait_seconds=5)
    refused = run(small, "--executor", settings, "--output", "versions")
    assert refused.returncode == 3, refused.stdout
    assert "it has keras-validator" in refused.stdout
    cluster.start_worker("same")
    done = run(small, "--executor", settings, "--output", "versions")
    assert done.returncode == 0, done.stdout
    assert decided(report(small, "versions")) == decided(report(small, "whole"))


@pytest.mark.skipif(os.getuid() != 0, reason="a small disk is mounted, which needs root")
def test_a_full_disk_on_one_host_costs_a_retry_elsewhere(
    small: Path, cluster: Servers, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted: {mounted.stderr.decode()}")
    try:
        (disk / "filler").write_bytes(b"0" * (56 << 10))
        address = cluster.start_scheduler()
        cluster.start_worker("full", host_folder=disk / "host")
        cluster.start_worker("other")
        done = run(small, "--executor", describe(small, scheduler=address), "--output", "full")
        assert done.returncode == 0, done.stdout
        assert decided(report(small, "full")) == decided(report(small, "whole"))
        assert "No space left on device" in done.stdout
    finally:
        cluster.end()
        subprocess.run(["umount", str(disk)], check=False)


def test_files_come_from_the_common_store_where_there_is_one(
    small: Path, cluster: Servers, tmp_path: Path
) -> None:
    address = cluster.start_scheduler()
    cluster.start_worker("first")
    store = (tmp_path / "store").as_uri()
    few = 1 / 2**30  # a byte through the scheduler
    refused = run(small, "--executor", describe(small, scheduler=address, transfer_gib=few), "--output", "s")
    assert refused.returncode == 3, refused.stdout
    assert "name a `store` that all workers reach" in " ".join(refused.stdout.split())
    done = run(
        small,
        "--executor",
        describe(small, scheduler=address, transfer_gib=few, store=store),
        "--output",
        "s",
    )
    assert done.returncode == 0, done.stdout
    assert decided(report(small, "s")) == decided(report(small, "whole"))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one model that changes in 3.5.0, with 400 samples, and in `whole` its run here."""
    project = write_project(tmp_path_factory.mktemp("long") / "project", 1)
    code = project / "little.py"
    code.write_text(code.read_text().replace("n % 7 == 0", "n == 1"))
    np.savez(project / "inputs.npz", x=np.random.default_rng(3).normal(size=(400, 4)).astype(np.float32))
    done = run(project, "--output", "whole")
    assert done.returncode == 1, done.stdout
    return project


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_long_recording_is_predicted_by_all_workers(
    long: Path, cluster: Servers, tmp_path: Path, is_stored: bool
) -> None:
    address = cluster.start_scheduler()
    cluster.start_worker("first")
    cluster.start_worker("second")
    store = {"store": (tmp_path / "store").as_uri(), "transfer_gib": 1 / 2**30} if is_stored else {}
    settings = describe(long, scheduler=address, samples=100, **store)
    done = run(long, "--executor", settings, "--output", "divided")
    assert done.returncode == 1, done.stdout
    assert "shard 1/2, samples 2/2 is done" in done.stdout
    assert "predicts all of its samples" not in done.stdout
    divided = report(long, "divided")
    assert divided["cache_notes"] == []
    assert decided(divided) == decided(report(long, "whole"))


def test_what_was_predicted_before_the_scheduler_was_killed_is_not_predicted_again(
    long: Path, cluster: Servers, tmp_path: Path
) -> None:
    address = cluster.start_scheduler()
    cluster.start_worker("first")
    cluster.start_worker("second")
    settings = describe(tmp_path, scheduler=address, samples=100)  # it is no file of the project
    process = run(long, "--executor", settings, "--output", "resumed", background=True)
    first = long / "resumed" / "cluster" / "samples-1-of-2-of-part-1-of-2.json"
    without_scheduler(process, cluster, first)
    cluster.end()
    address = cluster.start_scheduler()
    cluster.start_worker("third")
    cluster.start_worker("fourth")
    settings = describe(tmp_path, scheduler=address, samples=100)
    done = run(long, "--executor", settings, "--output", "resumed")
    assert done.returncode == 1, done.stdout
    assert "shard 1/2, samples 1/2 on" not in done.stdout
    assert "shard 2/2, samples" in done.stdout
    assert decided(report(long, "resumed")) == decided(report(long, "whole"))


def test_a_worker_that_stops_is_overtaken(small: Path, cluster: Servers) -> None:
    address = cluster.start_scheduler()
    cluster.start_worker("slow")
    settings = describe(small, scheduler=address, slow_seconds=1)
    process = run(small, "--executor", settings, "--output", "slow", background=True)
    cluster.wait_for_shard("slow")
    os.killpg(cluster.processes["slow"].pid, signal.SIGSTOP)
    cluster.start_worker("fast")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert decided(report(small, "slow")) == decided(report(small, "whole"))


def test_ctrl_c_leaves_no_process_on_a_worker(small: Path, cluster: Servers) -> None:
    address = cluster.start_scheduler()
    cluster.start_worker("first")
    process = run(small, "--executor", address, "--output", "interrupted", background=True)
    cluster.wait_for_shard("first")
    left = cluster.children("first")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert psutil.wait_procs(left, timeout=60)[1] == []

"""SSHCluster over a real sshd of this host, which is given a key and a port of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.cluster import write_project
from tests.cluster.test_cluster_runs import describe, report, run
from tests.conftest import ROOT
from tests.pipeline.test_sentences import decided

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

pytestmark = [
    pytest.mark.environment,
    pytest.mark.matrix,
    pytest.mark.skipif(SSHD is None or not shutil.which("ssh-keygen"), reason="there is no OpenSSH server"),
    pytest.mark.skipif(importlib.util.find_spec("asyncssh") is None, reason="asyncssh is not installed"),
]

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host-key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
SetEnv {variables}
"""
#: What a worker needs to reach a package index as this process does; a host has settings of its own.
PASSED = ("UV_", "PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
MARK = "KERAS_VALIDATOR_HOST_FOLDER"


@dataclass(frozen=True)
class Sshd:
    """A server, whose folder has `key`, which it lets in, and `other`, which it does not."""

    folder: Path
    port: int

    def connect(self, key: str = "key") -> dict[str, object]:
        return {"port": self.port, "known_hosts": None, "client_keys": [str(self.folder / key)]}

    def options(self, connect: object = None) -> dict[str, object]:
        """Options of a scheduler and two workers."""
        return {
            "hosts": ["127.0.0.1"] * 3,
            "connect_options": connect or self.connect(),
            "scheduler_options": {"host": "127.0.0.1", "port": 0, "dashboard_address": ":0"},
            "worker_options": {"host": "127.0.0.1", "nthreads": 1, "local_directory": str(self.folder)},
        }

    def processes(self) -> list[psutil.Process]:
        """What runs for its sessions: what has the variable that it sets, and what that started."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == str(self.folder / "host"):
                    found |= {process, *process.children(recursive=True)}
        return list(found)

    def wait_for(self, part: str, run: subprocess.Popen[str]) -> list[psutil.Process]:
        """Wait for a process by a part of its command; all that run then."""
        for _ in range(1200):
            running = self.processes()
            for process in running:
                with contextlib.suppress(psutil.Error):
                    if part in " ".join(process.cmdline()):
                        return running
            assert run.poll() is None, run.communicate()[0]
            time.sleep(0.1)
        raise AssertionError(part)

    def is_left_alone(self, seconds: float = 90) -> bool:
        """Whether nothing runs any more: a worker that has no scheduler gives up after a minute."""
        end = time.monotonic() + seconds
        while self.processes() and time.monotonic() < end:
            time.sleep(0.5)
        return not self.processes()


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host-key", "key", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {name: value for name, value in os.environ.items() if name.startswith(PASSED)}
    variables |= {"PYTHONPATH": str(ROOT), MARK: str(folder / "host")}
    listed = " ".join(f'"{name}={value}"' for name, value in variables.items() if '"' not in value)
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(port=port, folder=folder, variables=listed))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # without which a server of root does not start
    assert SSHD is not None
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        else:
            pytest.skip(f"sshd does not start: {(folder / 'log').read_text()}")
        yield Sshd(folder, port)
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of four compared cells, and in `whole` its run on this machine."""
    project = write_project(tmp_path_factory.mktemp("small") / "project", 2)
    done = run(project, "--output", "whole")
    assert done.returncode == 0, done.stdout
    return project


def test_two_workers_come_to_what_this_machine_does(small: Path, sshd: Sshd) -> None:
    file = describe(small, cluster="SSHCluster", options=sshd.options())
    done = run(small, "--executor", file, "--output", "ssh")
    assert done.returncode == 0, done.stdout
    assert decided(report(small, "ssh")) == decided(report(small, "whole"))
    for shard in ("1/2", "2/2"):
        assert f"shard {shard} on tcp://127.0.0.1:" in done.stdout
        assert f"shard {shard} is done" in done.stdout
    assert sshd.is_left_alone()


def test_what_does_not_start_is_one_sentence_that_names_the_host(small: Path, sshd: Sshd) -> None:
    one_refused = [sshd.connect(), sshd.connect(), sshd.connect("other")]
    options = sshd.options()
    refusals = {
        "Permission denied": sshd.options(sshd.connect("other")),
        "denied for user": sshd.options(one_refused),
        "Connect call failed": sshd.options(sshd.connect() | {"port": 1}),
        "Host key is not trusted": sshd.options(
            sshd.connect() | {"known_hosts": str(sshd.folder / "key.pub")}
        ),
        "/none/python": options | {"remote_python": "/none/python"},
        "unexpected keyword argument 'threads'": options | {"worker_options": {"threads": 1}},
    }
    for part, asked in refusals.items():
        file = describe(small, cluster="SSHCluster", options=asked)
        done = run(small, "--executor", file, "--output", "refused")
        assert done.returncode == 2, done.stdout
        assert part in done.stdout
        assert done.stdout.startswith("keras-validator: SSHCluster does not start on 127.0.0.1: ")
        assert len(done.stdout.strip().splitlines()) == 1, done.stdout
    assert sshd.is_left_alone()


def test_hosts_without_keras_validator_are_named(small: Path, sshd: Sshd) -> None:
    bare = sshd.folder / "bare-python"
    bare.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {shlex.quote(sys.executable)} "$@"\n')
    bare.chmod(0o755)
    if (
        subprocess.run([bare, "-c", "import validator"], cwd="/", check=False, capture_output=True).returncode
        == 0
    ):
        pytest.skip("keras-validator is installed where the tests run")
    options = sshd.options() | {"remote_python": str(bare)}
    file = describe(small, cluster="SSHCluster", options=options, wait_seconds=5)
    done = run(small, "--executor", file, "--output", "bare")
    assert done.returncode == 3, done.stdout
    assert "it lacks keras-validator or what it needs (No module named 'validator')" in done.stdout
    assert "Traceback" not in done.stdout
    assert sshd.is_left_alone()


@pytest.mark.parametrize("part", ["distributed.Scheduler", "/validator/worker"])
def test_ctrl_c_leaves_no_process(small: Path, sshd: Sshd, part: str) -> None:
    options = sshd.options()
    own = {"host": "127.0.0.1", "death_timeout": 15, "local_directory": str(sshd.folder)}
    file = describe(small, cluster="SSHCluster", options=options | {"worker_options": own})
    process = run(small, "--executor", file, "--output", "interrupted", background=True)
    running = sshd.wait_for(part, process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert psutil.wait_procs(running, timeout=90)[1] == []
    assert sshd.is_left_alone()

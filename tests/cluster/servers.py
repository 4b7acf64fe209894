"""Schedulers and workers of Dask as processes of their own, on this host or in a network namespace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil

from tests.conftest import ROOT


@dataclass
class Servers:
    """A scheduler and its workers; each writes a log into the folder. `hosts`: name → folder of that host."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    address: str = ""

    def start_scheduler(self, host: str = "127.0.0.1", namespace: Sequence[str] = ()) -> str:
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        options = ["--host", host, "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self._start("scheduler", [*namespace, *_dask("scheduler"), *options], {})
        for _ in range(300):
            with contextlib.suppress(OSError, ValueError):
                self.address = json.loads(file.read_text())["address"]
                return self.address.replace("tcp://", "dask://")
            time.sleep(0.1)
        raise AssertionError((self.folder / "scheduler.log").read_text())

    def start_worker(
        self,
        name: str,
        *,
        package: Path = ROOT,
        host_folder: Path | None = None,
        namespace: Sequence[str] = (),
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--name", name]
        options += ["--local-directory", str(self.folder / f"scratch-{name}")]
        own = {
            "PYTHONPATH": str(package),
            "KERAS_VALIDATOR_HOST_FOLDER": str(host_folder or self.folder / f"host-{name}"),
        }
        self._start(name, [*namespace, *_dask("worker"), self.address, *options], {**own, **variables})

    def children(self, name: str) -> list[psutil.Process]:
        """What a server started and still runs."""
        return psutil.Process(self.processes[name].pid).children(recursive=True)

    def kill(self, name: str) -> None:
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def wait_for_shard(self, name: str) -> None:
        """Wait until a worker runs models."""
        for _ in range(1200):
            if any("/validator/worker" in " ".join(_command(each)) for each in self.children(name)):
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / f"{name}.log").read_text())

    def end(self) -> None:
        for name in reversed(list(self.processes)):
            self.kill(name)

    def _start(self, name: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env={**os.environ, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
            )


def _dask(what: str) -> list[str]:
    return [sys.executable, "-m", f"distributed.cli.dask_{what}"]


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


@contextlib.contextmanager
def hosts(names: Sequence[str], network: str = "10.199.7") -> Iterator[dict[str, list[str]]]:
    """Network namespaces, each a host behind a bridge: name → the words before a command that runs there.

    They reach this host at `<network>.1` and one another, and nothing else. CalledProcessError without root.
    """

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    bridge = "kvbridge"
    with contextlib.ExitStack() as undo:
        ip("link", "add", bridge, "type", "bridge")
        undo.callback(subprocess.run, ["ip", "link", "del", bridge], check=False)
        ip("addr", "add", f"{network}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for number, name in enumerate(names, start=2):
            ip("netns", "add", name)
            undo.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
            ip("link", "add", f"kv{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"kv{number}", "master", bridge, "up")
            ip("-n", name, "addr", "add", f"{network}.{number}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
        yield {name: ["ip", "netns", "exec", name] for name in names}


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    running = Servers(folder)
    try:
        yield running
    finally:
        running.end()

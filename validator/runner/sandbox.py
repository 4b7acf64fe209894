"""What workers may open, and what becomes of processes that they leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

WORKER = Path(__file__).resolve().parent.parent / "worker"
_LANDLOCK = WORKER / "keras_capture" / "wire" / "landlock.py"
_GET_CHILD_SUBREAPER = 37  # man 2 prctl
#: Variables of a job of GitHub Actions that name where its files and tokens lie.
_OF_JOB = ("RUNNER_TEMP", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_EVENT_PATH")
#: Variables of a worker that list folders which it reads.
_LISTING = ("PATH", "LD_LIBRARY_PATH")
_END_SECONDS = 5.0


@dataclass(frozen=True)
class Sandbox:
    """What a worker may open beside its own folder, where the kernel has Landlock.

    Attributes:
        read: what it may read although it lies in a hidden folder.
        write: what it may write.
        environments: a folder of environments: packages may write to their own, as Python's bytecode is
            written, until a job begins.
    """

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    environments: Path | None = None

    def command(self, python: Path, folder: Path) -> list[str]:
        """What stands before a worker's command: it is confined to a folder before its Python starts."""
        if not sys.platform.startswith("linux"):
            return []
        environment = (python.parent.parent, python.resolve().parent.parent)
        is_own = self.environments is not None and python.is_relative_to(self.environments)
        own = environment[:1] if is_own else ()
        listed = (path for name in _LISTING for path in os.environ.get(name, "").split(os.pathsep) if path)
        policy = {
            "write": [str(path) for path in (folder, *self.write, *own)],
            "hidden": hidden(),
            "read": [*map(str, (WORKER, *environment, folder, *self.read, *self.write)), *listed],
        }
        return [sys.executable, "-IS", str(_LANDLOCK), json.dumps(policy)]


@functools.cache
def can_confine() -> bool:
    """Whether this system has Landlock: Linux 5.19 or newer, unless a container forbids it."""
    spec = importlib.util.spec_from_file_location("keras_validator_landlock", _LANDLOCK)
    assert spec is not None  # noqa: S101 - the file is a part of this package
    assert spec.loader is not None  # noqa: S101
    landlock = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(landlock)
    return bool(landlock.version() >= landlock.OLDEST)


def hidden() -> list[str]:
    """What no worker may read: hidden files of the home directory, and the files of a CI's job."""
    home = os.path.realpath(os.path.expanduser("~"))  # where no user has one it stays, and hides nothing
    files = [Path(value) for name in _OF_JOB if os.path.isabs(value := os.environ.get(name, ""))]
    return [os.path.join(home, ".*"), *(str(path.resolve()) for path in files)]


def end_orphans(guards: Collection[int]) -> None:
    """Kill what this process adopted: daemons of a worker whose guard was killed. `guards` are alive.

    Nothing where it adopts none, as in a program that uses this tool as a library.
    """
    until = time.monotonic() + _END_SECONDS
    while (orphans := _orphans(guards)) and time.monotonic() < until:
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _orphans(guards: Collection[int]) -> list[int]:
    """Children in a session of their own that are no guards: uv and git stay in that of this process."""
    if not _adopts():
        return []
    own = os.getsid(0)
    children = [child.pid for child in psutil.Process().children() if child.pid not in guards]
    return [pid for pid in children if _session(pid) not in (own, None)]


def _adopts() -> bool:
    adopts = ctypes.c_int(0)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_GET_CHILD_SUBREAPER, ctypes.byref(adopts), 0, 0, 0)
    return bool(adopts.value)


def _session(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid)
    return None

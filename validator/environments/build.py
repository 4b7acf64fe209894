"""Installs a locked environment into a virtual environment that is empty, reusable or out of date."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from validator.config.settings import Install
from validator.environments.lock import lock
from validator.environments.uv import Uv, index_arguments
from validator.matrix import Environment
from validator.results import Failure

#: Written when an installation is complete, removed before anything is changed.
MARKER = ".keras-validator-installed"


@dataclass(frozen=True)
class Built:
    """An installed environment: its interpreter, its lock, and whether it was there already."""

    python: Path
    lock: Path
    reused: bool


def create(venv: Path, python: str, uv: Uv) -> Failure | None:
    """Make an empty virtual environment of a Python version where there is none. Nox makes its own."""
    if (venv / "pyvenv.cfg").exists():
        return None
    made = uv.run("install", ["venv", "--python", python, str(venv)])
    return made if isinstance(made, Failure) else None


def build(environment: Environment, install: Install, venv: Path, locks: Path, uv: Uv) -> Built | Failure:
    """Bring a virtual environment to its lock.

    Args:
        environment: what it must hold.
        install: where packages come from.
        venv: a virtual environment of the right Python, new or from an earlier run.
        locks: the folder of locks.
        uv: resolver and installer.

    Returns:
        The built environment, or the failure (`resolve` or `install`) in uv's words. A failed installation
        carries no marker, so the next build starts it again.
    """
    with _alone(venv):
        return _build(environment, install, venv, locks, uv)


@contextlib.contextmanager
def _alone(venv: Path) -> Iterator[None]:
    """Two runs that share an environment build it one after the other; the second finds it built."""
    with venv.with_name(f".{venv.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(environment: Environment, install: Install, venv: Path, locks: Path, uv: Uv) -> Built | Failure:
    python = venv / "bin" / "python"
    locked = lock(environment, install, python, locks, uv)
    if isinstance(locked, Failure):
        return locked
    marker = venv / MARKER
    digest = hashlib.sha256(locked.read_bytes()).hexdigest()
    if marker.is_file() and marker.read_text(encoding="utf-8") == digest:
        return Built(python, locked, reused=True)
    marker.unlink(missing_ok=True)
    arguments = ["pip", "sync", str(locked), "--python", str(python), *index_arguments(install)]
    installed = uv.run("install", arguments, cwd=venv)
    if isinstance(installed, Failure):
        return installed
    marker.write_text(digest, encoding="utf-8")
    return Built(python, locked, reused=False)

"""What a run has finished, noted as each job ends: a run that was interrupted goes on from there.

A mark is a small file about a capture that stays where it is. It counts on the machine that measured it, as
long as the capture is what its job left, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from validator.base import Frozen
from validator.documents import read_model
from validator.failure import Failure
from validator.runner.captures import Capture, EnvironmentFacts, read_capture
from validator.runner.kept import KeptCapture, Machine
from validator.runner.request import Job, write_text
from validator.runner.seals import sealed

COMPLETE = "complete"
_MOST = 20_000
_APART = frozenset(
    {".git", ".keras-validator", ".nox", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
)


class _Mark(Frozen):
    job: str
    key: str
    machine: Machine
    measured: datetime
    facts: EnvironmentFacts
    seal: dict[str, str]


@dataclass(frozen=True)
class Marks:
    """The marks of a run, in a folder of it. Those of an earlier run count where `resumes` says so."""

    root: Path
    machine: Machine
    resumes: bool = False

    def restore(self, key: str, job: Job) -> KeptCapture | str | None:
        """The capture that an interrupted run left; why it is not used, or None where there is none."""
        try:
            mark = read_model(self._path(job), _Mark)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return f"what the interrupted run noted of {job.id} cannot be read, so it runs again"
        if (mark.job, mark.key) != (job.id, key):
            return f"a file, a setting or a package changed after {job.id} had ended, so it runs again"
        if mark.machine != self.machine:
            return f"{job.id} was measured on another machine than this one ({self.machine.processor})"
        read = read_capture(Path(job.folder), job.id)
        capture = read if isinstance(read, Failure) else sealed(read, sys.maxsize)
        if isinstance(capture, Failure) or dict(capture.seal) != mark.seal:
            return f"the files of {job.id} are not those that the interrupted run left, so it runs again"
        return KeptCapture(capture, mark.measured, mark.facts)

    def keep(self, key: str, job: Job, capture: Capture, facts: EnvironmentFacts) -> None:
        """Note that a job ended with this capture.

        Raises:
            OSError: the mark cannot be written.
        """
        mark = _Mark(
            job=job.id,
            key=key,
            machine=self.machine,
            measured=datetime.now(timezone.utc).replace(microsecond=0),
            facts=facts,
            seal=dict(capture.seal),
        )
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(self._path(job), mark.model_dump_json(by_alias=True))

    def clear(self) -> None:
        """Forget all."""
        shutil.rmtree(self.root, ignore_errors=True)

    def complete(self) -> None:
        """Note that nothing is left to run."""
        with contextlib.suppress(OSError):
            write_text(self.root / COMPLETE, "")

    def _path(self, job: Job) -> Path:
        return self.root / f"{hashlib.sha256(job.id.encode()).hexdigest()[:32]}.json"


def stamps(*paths: Path, excluded: Collection[Path] = ()) -> str | None:
    """A digest of the names, inodes, sizes and times of files, and of all below folders; nothing is read.

    Without what is excluded, what git and tools keep, virtual environments, and the files that this process
    prints to. None where that are more than 20,000 files, or they cannot be looked at.
    """
    walk = _Walk(frozenset(os.path.realpath(path) for path in excluded), _printed_to())
    try:
        for path in paths:
            walk.add(path)
    except (OSError, _TooManyError):
        return None
    return walk.total.hexdigest()


class _TooManyError(Exception):
    """More files than are looked at in every run."""


class _Walk:
    """Adds up what files look like, and goes into each folder once, links too."""

    def __init__(self, excluded: frozenset[str], printed_to: set[tuple[int, int]]) -> None:
        self.total = hashlib.sha256()
        self._excluded, self._printed_to = excluded, printed_to
        self._seen: set[str] = set()
        self._count = 0

    def add(self, path: Path) -> None:
        self._stamp(path)
        for root, folders, names in os.walk(path, followlinks=True):
            below = [name for name in sorted(folders) if not self._is_apart(Path(root, name))]
            for name in sorted((*names, *below)):
                self._stamp(Path(root, name))
            folders[:] = [name for name in below if self._is_new(Path(root, name))]

    def _is_apart(self, folder: Path) -> bool:
        is_tools = folder.name in _APART or (folder / "pyvenv.cfg").is_file()
        return is_tools or os.path.realpath(folder) in self._excluded

    def _is_new(self, folder: Path) -> bool:
        place = os.path.realpath(folder)
        is_new = place not in self._seen
        self._seen.add(place)
        return is_new

    def _stamp(self, path: Path) -> None:
        self._count += 1
        if self._count > _MOST:
            raise _TooManyError
        try:
            state = path.stat() if path.exists() else path.lstat()
        except FileNotFoundError:  # it went meanwhile
            return
        if (state.st_dev, state.st_ino) in self._printed_to or str(path) in self._excluded:
            return
        kind = stat.S_IFMT(state.st_mode)
        changing = () if stat.S_ISDIR(kind) else (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        self.total.update(f"{path}\0{kind} {state.st_ino} {changing}\0".encode(errors="replace"))


def _printed_to() -> set[tuple[int, int]]:
    """The files behind stdout and stderr, such as a log in the project's folder."""
    states = []
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            states.append(os.fstat(descriptor))
    return {(state.st_dev, state.st_ino) for state in states if stat.S_ISREG(state.st_mode)}

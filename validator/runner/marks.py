"""What a run has finished, noted as each job ends: a run that was interrupted goes on from there.

A mark is a small file about a capture that stays where it is. It counts on the machine that measured it, as
long as the capture is what its job left, byte for byte.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
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
            return f"{job.id} is not what it was when the run was interrupted, so it runs again"
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
        """Forget all: the run is complete, or begins anew."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _path(self, job: Job) -> Path:
        return self.root / f"{hashlib.sha256(job.id.encode()).hexdigest()[:32]}.json"


def stamps(path: Path, *excluded: Path) -> str:
    """A digest of the names, sizes and times of a file, or of all below a folder; nothing is read.

    Without hidden folders, virtual environments, compiled modules, and what is excluded.

    Raises:
        OSError: there is no such path.
    """
    total = hashlib.sha256(_stamp(path))
    seen = {*map(os.path.realpath, excluded)}
    for root, folders, names in os.walk(path, followlinks=True):
        kept = (name for name in folders if not name.startswith(".") and name != "__pycache__")
        folders[:] = sorted(name for name in kept if not _is_apart(Path(root, name), seen))
        for name in sorted(names):
            total.update(_stamp(Path(root, name)))
    return total.hexdigest()


def _stamp(path: Path) -> bytes:
    state = path.stat() if path.exists() else path.lstat()
    if stat.S_ISDIR(state.st_mode):
        return f"{path}\0".encode(errors="replace")
    return f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="replace")


def _is_apart(folder: Path, seen: set[str]) -> bool:
    """Whether a folder is not gone into: it was, as through another link, or it is a virtual environment."""
    place = os.path.realpath(folder)
    if place in seen or (folder / "pyvenv.cfg").is_file():
        return True
    seen.add(place)
    return False

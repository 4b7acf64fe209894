"""Captures of earlier runs as files of a cache: written whole, read back only where every byte is as it was.

An entry is a zip of a capture's files and `entry.json`. It is data from elsewhere: nothing in it is executed,
linked or unpickled, its sizes are bounded, and its names stay in the folder of the job.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import platform
import time
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError

from validator.base import Frozen
from validator.documents import first_problem, read_bytes
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.runner.captures import WORKER_FOLDER, Capture, EnvironmentFacts, read_capture
from validator.runner.request import Job, write_text
from validator.runner.sandbox import WORKER
from validator.storage.tensors import StoredTensor

#: Bytes of an entry, of its files once unpacked, of all entries, and how long one is used.
ENTRY_LIMIT, UNPACKED_LIMIT, TOTAL_LIMIT = 64 << 20, 256 << 20, 256 << 20
DAYS = 14
_FILES = 4096
_LEFT_OUT = frozenset({"started", "ended", "predicted.json"})
_ENTRY = "entry.json"


class Machine(Frozen):
    """What of a machine decides in which order numbers are added: no capture is used on another one."""

    processor: str
    features: str = Field(description="SHA-256 of the instruction sets.")
    cores: int
    system: str = Field(description="System, architecture, and C library.")

    @classmethod
    def this(cls, cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
        """The machine that this process runs on."""
        try:
            lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # not Linux
            lines = []
        fields: dict[str, str] = {}
        for line in lines:
            key, _, value = line.partition(":")
            fields.setdefault(key.strip().lower(), value.strip())
        flags = " ".join(sorted((fields.get("flags") or fields.get("features") or "").split()))
        return cls(
            processor=fields.get("model name") or platform.processor() or platform.machine(),
            features=hashlib.sha256(flags.encode()).hexdigest(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            system=" ".join((platform.system(), platform.machine(), *platform.libc_ver())),
        )

    @property
    def digest(self) -> str:
        """The same in 16 digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class _Entry(Frozen):
    schema_version: int = Field(default=1, alias="schema", ge=1, le=1)
    key: str
    machine: Machine
    measured: datetime
    facts: EnvironmentFacts
    files: dict[str, str] = Field(max_length=_FILES, description="Path in the capture → SHA-256.")


@dataclass(frozen=True)
class KeptCapture:
    """A capture that was restored: when it was measured (UTC), and what its worker saw of its environment."""

    capture: Capture
    measured: datetime
    facts: EnvironmentFacts


@dataclass(frozen=True)
class CaptureStore:
    """The entries in a folder. `machine` is the one that they are used on."""

    root: Path
    machine: Machine

    def restore(self, key: str, job: Job, place: Path) -> KeptCapture | str | None:
        """Put a kept capture into the folder of its job; why it is not used, or None where there is none.

        `place` is the folder of the job's environment.
        """
        path = self._path(key)
        try:
            content = read_bytes(path, ENTRY_LIMIT)
        except FileNotFoundError:
            return self._elsewhere(key)
        except (OSError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error)
            return f"the entry of {job.id} in the cache cannot be read: {reason}"
        with contextlib.suppress(OSError):
            os.utime(path)  # what was used last is kept longest
        try:
            return self._unpacked(content, key, job, place)
        except ValidationError as error:
            reason = first_problem(error)
        except (
            ValueError,
            OSError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
        ) as error:
            reason = str(error) or type(error).__name__
        path.unlink(missing_ok=True)
        return f"the entry of {job.id} in the cache was ignored: {reason}"

    def keep(self, key: str, job: Job, capture: Capture, facts: EnvironmentFacts) -> str | None:
        """Write a capture as an entry; why it is not kept, or None where it is."""
        files = {name: path.read_bytes() for name, path in _files(capture.folder).items()}
        if sum(map(len, files.values())) > UNPACKED_LIMIT:
            return f"{job.id} is not kept: its capture is larger than {UNPACKED_LIMIT >> 20} MiB"
        entry = _Entry(
            key=key,
            machine=self.machine,
            measured=datetime.now(timezone.utc).replace(microsecond=0),
            facts=facts,
            files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        )
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_ENTRY, entry.model_dump_json(by_alias=True))
            for name, content in files.items():
                archive.writestr(f"files/{name}", content)
        if len(packed.getbuffer()) > ENTRY_LIMIT:
            return f"{job.id} is not kept: its capture is larger than {ENTRY_LIMIT >> 20} MiB, compressed"
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_bytes(packed.getvalue())
        temporary.replace(path)
        return None

    def prune(self) -> None:
        """Remove what is too old to be used, and the oldest entries beyond the bound of all together."""
        entries = sorted(self.root.glob("*.zip"), key=lambda path: -path.stat().st_mtime)
        total, oldest = 0, time.time() - DAYS * 86400
        for path in entries:
            total += path.stat().st_size
            if total > TOTAL_LIMIT or path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / f"{key}-{self.machine.digest}.zip"

    def _elsewhere(self, key: str) -> str | None:
        """Why an entry of another machine is not used; None where there is none."""
        if not any(self.root.glob(f"{key}-*.zip")):
            return None
        return f"what is kept was measured on another machine than this one ({self.machine.processor})"

    def _unpacked(self, content: bytes, key: str, job: Job, place: Path) -> KeptCapture | str:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sizes = [info.file_size for info in archive.infolist()]
            if len(sizes) > _FILES + 1 or sum(sizes) > UNPACKED_LIMIT + ENTRY_LIMIT:
                raise ValueError("it is too large")
            entry = _Entry.model_validate_json(_member(archive, _ENTRY))
            if entry.key != key or entry.machine != self.machine:
                raise ValueError("it is about something else")
            if not timedelta(0) <= datetime.now(timezone.utc) - entry.measured <= timedelta(days=DAYS):
                return f"{job.id} was measured more than {DAYS} days ago, so it runs again"
            files = {name: _member(archive, f"files/{name}") for name in entry.files}
        for name, data in files.items():
            if hashlib.sha256(data).hexdigest() != entry.files[name]:
                raise ValueError("its files are not those that were kept")
        for name, data in files.items():
            _write(Path(job.folder), name, data)
        capture = read_capture(Path(job.folder), job.id)
        if isinstance(capture, Failure):
            raise ValueError("it holds no capture of this job")
        write_text(place / WORKER_FOLDER / "environment.json", entry.facts.model_dump_json(by_alias=True))
        return KeptCapture(capture, entry.measured, entry.facts)


def can_spot(capture: Capture) -> bool:
    """Whether a batch can be held against a capture: not where outputs are text, ragged, or of no batch."""
    try:
        outputs = capture.outputs
        plain = (each.batched and not each.ragged and each.storage != "utf8" for each in outputs)
        return all(plain) and all(each.size for each in outputs) and bool(outputs)
    except (ConfigurationError, ValueError):
        return False


def same_batch(kept: Capture, batch: Capture) -> bool:
    """Whether the outputs of a capture begin with those of one batch, byte for byte.

    Where that cannot be told, as of ragged outputs, they do not.
    """
    try:
        pairs = list(zip(kept.outputs, batch.outputs, strict=True))
        return bool(pairs) and all(_begins_with(whole, part) for whole, part in pairs)
    except (ConfigurationError, ValueError):
        return False


def _begins_with(whole: StoredTensor, part: StoredTensor) -> bool:
    alike = (whole.name, whole.dtype, whole.storage) == (part.name, part.dtype, part.storage)
    if not alike or whole.ragged or part.ragged or not (whole.batched and part.batched):
        return False
    if whole.storage == "utf8" or whole.shape[1:] != part.shape[1:] or not part.size:
        return False
    return whole.open().values[: part.size].tobytes() == part.open().values.tobytes()


@functools.cache
def worker_digest() -> str:
    """SHA-256 of the worker's code."""
    total = hashlib.sha256()
    for path in sorted(WORKER.rglob("*.py")):
        total.update(path.relative_to(WORKER).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _files(folder: Path) -> dict[str, Path]:
    """The files of a capture by their path in it, without those of the process, and of jobs of their own."""
    files = {}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("+"))
        for name in sorted(names):
            path = Path(root, name)
            if name not in _LEFT_OUT and path.is_file() and not path.is_symlink():
                files[path.relative_to(folder).as_posix()] = path
    return files


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file of an entry, of no more bytes than its head says."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"it lacks {name!a}") from None
    with archive.open(info) as file:
        content = file.read(UNPACKED_LIMIT + 1)
    if len(content) != info.file_size:
        raise ValueError("its sizes are wrong")
    return content


def _write(folder: Path, name: str, content: bytes) -> None:
    parts = PurePosixPath(name).parts
    odd = any(part in ("..", ".") or part.startswith("+") for part in parts)
    if not parts or name != "/".join(parts) or odd or "\0" in name:  # an absolute one has "/" as a part
        raise ValueError(f"it has a file of the name {name!a}")
    path = folder.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

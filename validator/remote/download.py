"""Writes files of a store to disk: resumed, tried again where a connection breaks, within time and size."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from validator.documents import read_json
from validator.remote.store import Holding, Store, StoredFile, Stream, TransientError, UnusableError

_TRIES = 5  # in a row, of which none brings a byte
_MOST_FILES = 10_000
_NAME = 255  # bytes, as file systems have it


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes of one address; `pause`: seconds before the second try, doubled with each further."""

    seconds: float
    size: int
    pause: float = 1.0


class OverdueError(Exception):
    """The time of a download is over."""


@dataclass
class Download:
    """The files of one address on their way into a folder. Partial ones stay, with the version they are of.

    `received`: bytes on disk.
    """

    store: Store
    folder: Path
    limits: Limits
    sleep: Callable[[float], None] = time.sleep
    versions: dict[str, str] = field(default_factory=dict)
    received: int = 0

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.limits.seconds
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError, ValueError):
            earlier = read_json(self._state)
            if isinstance(earlier, dict):
                self.versions.update({name: str(version) for name, version in earlier.items()})

    @property
    def _state(self) -> Path:
        return self.folder / "versions.json"

    def run(self, holding: Holding) -> Path:
        """Download everything; the file or folder that came of it.

        Raises the errors of stores, OverdueError, and OSError where the disk takes no more.
        """
        check(holding, self.limits.size)
        content = self.folder / "content"
        for file in holding.files:
            before = self.received
            target = content / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file(file, target)
            self.received = before + target.stat().st_size
        return content if holding.is_folder else content / holding.files[0].name

    def _file(self, file: StoredFile, target: Path) -> None:
        failures = 0
        while not self._is_complete(file, target):
            before = _size(target)
            try:
                stream = self.store.open(file, before, self.versions.get(file.name, ""))
                self._receive(stream, file, target)
                return
            except TransientError:
                failures = 1 if _size(target) > before else failures + 1
                if failures >= _TRIES:
                    raise
            self._check_time(self.limits.pause * 2 ** (failures - 1))
            self.sleep(self.limits.pause * 2 ** (failures - 1))

    def _is_complete(self, file: StoredFile, target: Path) -> bool:
        """Whether an earlier run left the whole file."""
        same = file.version and self.versions.get(file.name) == file.version
        return bool(same) and file.size is not None and _size(target) == file.size

    def _receive(self, stream: Stream, file: StoredFile, target: Path) -> None:
        before = self.received
        self._check_size(before + (stream.size or 0))
        self._note(file.name, stream.version)
        with target.open("r+b" if target.exists() else "w+b") as output:
            output.truncate(stream.start)
            output.seek(stream.start)
            for piece in stream.pieces:
                output.write(piece)
                self._check_size(before + output.tell())
                self._check_time(0)
            size = output.tell()
        if stream.size is not None and size != stream.size:
            if size > stream.size:
                target.unlink()
            raise TransientError(f"ends after {size:,} of {stream.size:,} bytes")

    def _note(self, name: str, version: str) -> None:
        """Keep the version that the bytes to come are of; before them, so that a kill leaves no wrong one."""
        if self.versions.get(name) != version:
            self.versions[name] = version
            self._state.write_text(json.dumps(self.versions), encoding="utf-8")

    def _check_size(self, size: int) -> None:
        if size > self.limits.size:
            raise UnusableError(too_large(self.limits.size))

    def _check_time(self, more: float) -> None:
        if time.monotonic() + more > self._deadline:
            raise OverdueError


def check(holding: Holding, most: int) -> None:
    """Refuse what must not be written: too much, or names that lead elsewhere.

    Raises:
        UnusableError: what it is, and what to do.
    """
    if not holding.files:
        raise UnusableError("is an empty folder; name that of a model or a recording")
    if len(holding.files) > _MOST_FILES:
        raise UnusableError(f"holds more than {_MOST_FILES:,} files; name the folder of a model")
    if sum(file.size or 0 for file in holding.files) > most:
        raise UnusableError(too_large(most))
    for file in holding.files:
        parts = PurePosixPath(file.name).parts
        plain = file.name.isprintable() and "\\" not in file.name and not file.name.startswith("/")
        if not parts or not plain or ".." in parts or any(len(part.encode()) > _NAME for part in parts):
            raise UnusableError(f"holds a file with the name {file.name[:80]!a}; rename it")


def too_large(most: int) -> str:
    """Why more than `most` bytes are not fetched."""
    return f"holds more than {most / 2**30:g} GiB; raise limits.fetch_gib if that is meant"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

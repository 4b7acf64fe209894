"""Whether an installed environment still is what its lock says: its packages, and the files of each."""

from __future__ import annotations

import base64
import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from validator.upgrade import name_of, pinned

_CODE = frozenset({".py", ".so"})  # what runs: TensorFlow alone has 10,000 headers beside it
_CLOCK_SECONDS = 2.0  # by which the clocks of two file systems may be off


@dataclass(frozen=True)
class RecordedFile:
    """A file of an installed package as its wheel's RECORD has it."""

    package: str
    path: Path
    size: int | None
    digest: str  # "sha256=" and 43 characters of URL-safe base64; empty where the wheel lacks both

    def is_damaged(self) -> bool:
        """Whether it is not what the wheel says; of libraries only the size is read."""
        try:
            if self.size not in (None, self.path.stat().st_size):
                return True
            if self.path.suffix != ".py" or not self.digest:
                return False
            content = self.path.read_bytes()
        except OSError:
            return True
        algorithm, _, digest = self.digest.partition("=")
        own = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        return algorithm == "sha256" and own != digest

    def is_changed(self, since: float) -> bool:
        """Whether it is gone, of another size, or was written after the installation (seconds, Unix time)."""
        try:
            facts = self.path.stat()
        except OSError:
            return True
        return self.size not in (None, facts.st_size) or facts.st_mtime > since + _CLOCK_SECONDS


def pins(lock: str) -> dict[str, Version | None]:
    """Package → version of a lock; None for what is pinned to a URL."""
    lines = (line.partition(" #")[0].rstrip("\\ ").strip() for line in lock.splitlines())
    named = {name_of(line): pinned(line) for line in lines if name_of(line)}
    return {name: Version(version) if version else None for name, version in named.items()}


def differs_from(lock: str, venv: Path) -> str:
    """The first package that is not installed as the lock says; empty where all are."""
    locked, installed = pins(lock), dict(_installed(venv))
    for name in sorted(locked.keys() | installed.keys()):
        if name not in installed:
            return f"{name} is missing"
        if name not in locked:
            return f"{name} is installed beside it"
        if locked[name] is not None and locked[name] != installed[name]:
            return f"{name} is {installed[name]} instead of {locked[name]}"
    return ""


def is_edited(venv: Path, since: float) -> bool:
    """Whether code of a package was changed after its installation (seconds, Unix time)."""
    return any(all(file.is_changed(since) for file in files) for files in _by_path(venv))


def damaged(venv: Path) -> tuple[str, ...]:
    """The packages whose code is not what their wheels say."""
    broken = (files for files in _by_path(venv) if all(file.is_damaged() for file in files))
    return tuple(dict.fromkeys(file.package for files in broken for file in files))


def _by_path(venv: Path) -> Iterable[list[RecordedFile]]:
    """Each file as every package has it that names it: where several do, what one of them says is enough."""
    files: dict[Path, list[RecordedFile]] = {}
    for file in _recorded(venv):
        files.setdefault(file.path, []).append(file)
    return files.values()


def _installed(venv: Path) -> Iterator[tuple[str, Version | None]]:
    for folder in _metadata(venv):
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        try:
            yield canonicalize_name(name), Version(version)
        except InvalidVersion:
            yield canonicalize_name(name), None


def _recorded(venv: Path) -> Iterator[RecordedFile]:
    for folder in _metadata(venv):
        record = folder / "RECORD"
        rows = (
            csv.reader(record.read_text(encoding="utf-8", errors="replace").splitlines())
            if record.is_file()
            else ()
        )
        for path, digest, size in (row for row in rows if len(row) == 3):
            if Path(path).suffix in _CODE:
                name = canonicalize_name(folder.name.removesuffix(".dist-info").rpartition("-")[0])
                yield RecordedFile(name, folder.parent / path, int(size) if size else None, digest)


def _metadata(venv: Path) -> list[Path]:
    return sorted(venv.glob("lib/python*/site-packages/*.dist-info"))

"""What was fetched, kept by digest: `files/<sha256>/<name>`, and which address held it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from validator.base import Frozen
from validator.documents import file_digest, read_model
from validator.text import redact


class CachedContent(Frozen):
    """What an address held when it was fetched. `versions`: name of a file → its version."""

    address: str = Field(description="Without credentials.")
    name: str
    sha256: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Cache:
    """A folder of content by digest, of entries by address, and of downloads that are not complete."""

    folder: Path

    def entry(self, address: str) -> CachedContent | None:
        """What an address held, if that is still here, whole and unchanged."""
        try:
            entry = read_model(self._index(address), CachedContent)
            intact = digest(self.path(entry)) == entry.sha256
        except (OSError, ValueError):
            return None
        return entry if intact else None

    def path(self, entry: CachedContent) -> Path:
        """Where the content of an entry lies."""
        return self.folder / "files" / entry.sha256 / entry.name

    def partial(self, address: str) -> Path:
        """A folder for the download of an address."""
        return self.folder / "partial" / _key(address)

    def keep(self, address: str, content: Path, sha256: str, versions: Mapping[str, str]) -> CachedContent:
        """Move a complete download to its digest, and forget the partial one."""
        entry = CachedContent(
            address=redact(address), name=content.name, sha256=sha256, versions=dict(versions)
        )
        target = self.path(entry)
        target.parent.mkdir(parents=True, exist_ok=True)
        for file in files_below(content):
            file.chmod(0o444)
        _remove(target)
        content.replace(target)
        index = self._index(address)
        index.parent.mkdir(parents=True, exist_ok=True)
        partial = index.with_suffix(".tmp")
        partial.write_text(entry.model_dump_json(indent=1), encoding="utf-8")
        partial.replace(index)
        shutil.rmtree(self.partial(address), ignore_errors=True)
        return entry

    def _index(self, address: str) -> Path:
        return self.folder / "addresses" / f"{_key(address)}.json"


def entries_of(folder: Path, digests: Collection[str]) -> Iterator[Path]:
    """The files in a cache's folder that say which addresses held contents of these digests."""
    for path in sorted((folder / "addresses").glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            if read_model(path, CachedContent).sha256 in digests:
                yield path


def digest(content: Path) -> str:
    """SHA-256 of a file; of a folder, that of the lines `<sha256>  ./<name>` of its files, sorted by name.

    The latter is what `find . -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum` prints in it.
    """
    if content.is_file():
        return file_digest(content)
    if not content.is_dir():
        raise FileNotFoundError(content)
    total = hashlib.sha256()
    names = sorted(os.fsencode(file.relative_to(content).as_posix()) for file in files_below(content))
    for name in names:
        total.update(f"{file_digest(content / os.fsdecode(name))}  ./".encode() + name + b"\n")
    return total.hexdigest()


def files_below(content: Path) -> Iterator[Path]:
    """The file itself, or every file below a folder."""
    if content.is_file():
        yield content
    for root, _, names in os.walk(content):
        yield from (Path(root, name) for name in names)


def _key(address: str) -> str:
    return hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()

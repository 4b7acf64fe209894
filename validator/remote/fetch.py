"""Fetches an address into the cache, or takes it from there, and says in a sentence why it cannot."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from validator.errors import CannotJudgeError, ConfigurationError, ValidatorError
from validator.remote.cache import Cache, CachedContent, digest, files_below
from validator.remote.download import Download, Limits, OverdueError
from validator.remote.store import (
    AbsentError,
    Holding,
    RefusedError,
    Store,
    StoreError,
    TransientError,
)
from validator.remote.stores import LOGINS, scheme_of, store_of
from validator.text import plain, redact

__all__ = ["Fetched", "Fetcher", "Limits"]


@dataclass(frozen=True)
class Fetched:
    """An address whose content is here. `size`: bytes; `pinned`: whether it had to have this digest."""

    address: str = field(repr=False)
    path: Path
    sha256: str
    size: int
    pinned: bool


@dataclass(frozen=True)
class Fetcher:
    """Fetches into a folder. `say` gets a line when a download begins."""

    folder: Path
    limits: Limits
    say: Callable[[str], None]

    def fetch(self, address: str, pin: str | None, where: str) -> Fetched:
        """The content of an address. `where`: who names it, as the beginning of a sentence.

        What is pinned and in the cache needs no network. Otherwise the store is asked, and what it still has
        in the version of the cache is not fetched again.

        Raises:
            ConfigurationError: there is no such file, access is refused, the digest is another one, it is too
                large, or a package is missing.
            CannotJudgeError: the store cannot be reached, the time is over, or the disk is full.
        """
        cache = Cache(self.folder)
        entry = cache.entry(address)
        if entry is None or entry.sha256 != pin:
            try:
                entry = self._current(cache, address, entry)
            except (StoreError, OverdueError, OSError) as error:
                raise self._refusal(error, address, where) from None
        if pin is not None and entry.sha256 != pin:
            raise ConfigurationError(
                f"{where}: {redacted(address)} has the SHA-256 {entry.sha256}, and validator.yml pins {pin}; "
                "if the change is meant, run `keras-validator pin`"
            )
        path = cache.path(entry)
        size = sum(file.stat().st_size for file in files_below(path))
        return Fetched(address, path, entry.sha256, size, pin is not None)

    def _current(self, cache: Cache, address: str, entry: CachedContent | None) -> CachedContent:
        """What the address holds now: in the cache, or fetched."""
        store, place = store_of(address)
        holding = store.holding(place)
        if entry is not None and _is_current(store, holding, entry):
            return entry
        known = [file.size for file in holding.files if file.size is not None]
        size = f" ({_bytes(sum(known))})" if known else ""
        self.say(f"fetching {redacted(address)}{size}")
        download = Download(store, cache.partial(address), self.limits)
        self._check_room(sum(known), download.folder)
        content = download.run(holding)
        return cache.keep(address, content, digest(content), download.versions)

    def _check_room(self, size: int, folder: Path) -> None:
        missing = size - sum(file.stat().st_size for file in files_below(folder))
        if missing > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _refusal(self, error: Exception, address: str, where: str) -> ValidatorError:
        """The sentence, and the exit code, of what went wrong."""
        begin, scheme = f"{where}: {redacted(address)}", scheme_of(address)
        resumes = "the next run goes on from there"
        if isinstance(error, OverdueError):
            return CannotJudgeError(
                f"{begin} is not fetched within {self.limits.seconds:g} s (limits.fetch_seconds); {resumes}"
            )
        if isinstance(error, TransientError):
            return CannotJudgeError(f"{begin} {error}; check the network and run again, which resumes")
        if isinstance(error, RefusedError):
            return ConfigurationError(f"{begin} {error}; {LOGINS[scheme]}")
        if isinstance(error, AbsentError):
            private = f", or if it is private, {LOGINS[scheme]}" if scheme == "hf" else ""
            return ConfigurationError(f"{begin} {error}; correct the address{private}")
        if isinstance(error, OSError):
            return CannotJudgeError(
                f"{begin} cannot be written to {self.folder}: {error.strerror or error}; "
                f"free some space: {resumes}"
            )
        return ConfigurationError(f"{begin} {error}")


def _is_current(store: Store, holding: Holding, entry: CachedContent) -> bool:
    names = {file.name for file in holding.files}
    versions = entry.versions
    return names == versions.keys() and all(
        store.is_current(file, versions[file.name]) for file in holding.files
    )


def redacted(address: str) -> str:
    """An address without credentials, on one line."""
    return plain(redact(address), 300)


def _bytes(size: int) -> str:
    """`12.3 MB`, as stores show sizes."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"

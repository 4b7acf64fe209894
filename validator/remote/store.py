"""What a place that keeps files must do for a download, and what can go wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

PIECE = 4 << 20  # bytes that are read and written at once


@dataclass(frozen=True)
class StoredFile:
    """A file that lies elsewhere.

    Attributes:
        place: what its store calls it; may hold credentials, and is never shown.
        name: below the address, with `/`; of a single file its own name.
        size: bytes; None where only a download tells.
        version: another one with other content, such as an ETag; empty where only a download tells.
    """

    place: str = field(repr=False)
    name: str
    size: int | None = None
    version: str = ""


@dataclass(frozen=True)
class Holding:
    """What an address holds: a file, or a folder with all files below it."""

    files: tuple[StoredFile, ...]
    is_folder: bool = False


@dataclass(frozen=True)
class Stream:
    """The rest of a file from byte `start` on: 0 where it cannot be resumed, or has changed meanwhile.

    `size`: of the whole file; None where the store does not say. `version`: as of a `StoredFile`.
    """

    start: int
    size: int | None
    version: str
    pieces: Iterator[bytes]


class Store(Protocol):
    """A place that keeps files. Every method raises the errors below, and nothing else."""

    def holding(self, place: str) -> Holding:
        """What an address holds."""

    def open(self, file: StoredFile, start: int, version: str) -> Stream:
        """Read a file, from a byte on if it still has the version that the bytes before are from."""

    def is_current(self, file: StoredFile, version: str) -> bool:
        """Whether a file is known to have the content that it had with that version."""


class StoreError(Exception):
    """Why a store gives nothing, as the end of a sentence without the address."""


class AbsentError(StoreError):
    """There is no such file."""


class RefusedError(StoreError):
    """The store wants credentials, or others."""


class UnusableError(StoreError):
    """The address, or what answers, cannot be used as it is; the text says what to do."""


class TransientError(StoreError):
    """Another try may succeed: a cut connection, a store that is busy or cannot be reached."""

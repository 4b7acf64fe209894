"""A history on disk: one line of JSON a run. Lines are appended whole, and none is ever rewritten."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydantic_core
from pydantic import ValidationError

from validator.documents import MAX_BYTES, first_problem, read_bytes
from validator.errors import ConfigurationError
from validator.history.types import SCHEMA, HistoryRun

#: A line of a thousand cells has half of it.
_LONGEST = 1 << 20

Why = Literal["truncated", "no-json", "newer", "other"]


@dataclass(frozen=True)
class Skipped:
    """A line that is not read, and stays where it is. `line` counts from 1; `detail` says what is wrong."""

    line: int
    why: Why
    detail: str = ""


@dataclass(frozen=True)
class History:
    """What a file holds: its entries by time, and the lines that are not read."""

    entries: tuple[HistoryRun, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def dump(entry: HistoryRun) -> str:
    """The line of an entry, with its end."""
    return entry.model_dump_json(by_alias=True, exclude_defaults=False) + "\n"


def check_place(path: Path) -> None:
    """Refuse a place that no line can be appended to, before anything is run.

    Raises:
        ConfigurationError: it is a folder, a pipe, or in a folder that is a file.
    """
    for folder in path.parents:
        if folder.exists():
            if not folder.is_dir():
                raise ConfigurationError(f"history {path}: {folder} is a file; name a file in a folder")
            break
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"history {path}: it is not a file; name one, such as history.jsonl")


def append(path: Path, entry: HistoryRun) -> None:
    """Add an entry, whole or not at all, whoever else writes meanwhile.

    A last line that was cut off stays, on a line of its own.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(22, "it is not a regular file", str(path))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _write(descriptor, dump(entry).encode())
    finally:
        os.close(descriptor)


def _write(descriptor: int, line: bytes) -> None:
    """Write a line at the end; on a full disk nothing of it stays."""
    size = os.fstat(descriptor).st_size
    ended = not size or os.pread(descriptor, 1, size - 1) == b"\n"
    data = line if ended else b"\n" + line
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def read(path: Path) -> History:
    """Read a history. A line that is twice there counts once, as after a job that ran again.

    Raises:
        ConfigurationError: there is no such file, it cannot be read, or it has no entry at all.
    """
    try:
        text = read_bytes(path).decode("utf-8", "replace")
    except FileNotFoundError:
        why = "there is no such file; a run with `--history` or `history` in validator.yml writes it"
        raise ConfigurationError(f"{path}: {why}") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; name a history that a run wrote") from None
    except ValueError:
        why = f"it is larger than {MAX_BYTES >> 20} MiB; move its oldest lines into another file"
        raise ConfigurationError(f"{path}: {why}") from None
    lines = list(_lines(text))
    entries = {each: None for each in lines if isinstance(each, _Read)}
    skipped = tuple(each for each in lines if isinstance(each, Skipped))
    if not entries:
        raise ConfigurationError(f"{path}: {_nothing(skipped)}")
    ordered = sorted((each.entry for each in entries), key=lambda entry: entry.time)
    return History(tuple(ordered), skipped)


def _nothing(skipped: tuple[Skipped, ...]) -> str:
    if not skipped:
        return "it has no run yet; a run with `--history` adds one"
    first = skipped[0]
    return f"no line of it is a run of keras-validator; line {first.line}: {first.detail}"


@dataclass(frozen=True)
class _Read:
    """An entry, by its text."""

    text: str
    entry: HistoryRun

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Read) and self.text == other.text


def _lines(text: str) -> Iterator[_Read | Skipped]:
    complete = text.endswith("\n")
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _line(line.strip(), number, cut=number == len(lines) and not complete)


def _line(line: str, number: int, *, cut: bool) -> _Read | Skipped:
    if len(line) > _LONGEST:
        return Skipped(number, "other", f"it is longer than {_LONGEST:,} characters")
    try:
        value = pydantic_core.from_json(line, allow_inf_nan=False)
    except ValueError as error:
        return Skipped(number, "truncated" if cut else "no-json", f"it is not JSON: {error}")
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        return Skipped(number, "newer", f"it is of schema {schema}, and this version reads {SCHEMA}")
    try:
        return _Read(line, HistoryRun.model_validate_json(line, by_name=False, by_alias=True))
    except ValidationError as error:
        return Skipped(number, "other", first_problem(error))

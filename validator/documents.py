"""Files that others wrote, read within bounds, whatever lies in their place: a pipe, a folder, gigabytes."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from collections import Counter
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import JsonValue, ValidationError

from validator.base import Frozen
from validator.text import plain

MAX_BYTES = 64 << 20
DEPTH_LIMIT = 32
_BLOCK = 1 << 20
_INTEGER_DIGITS = 18
_T = TypeVar("_T", bound=Frozen)


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading. OSError where there is none, or what may block, as a pipe does."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def file_digest(path: Path) -> str:
    """SHA-256 of a regular file of any size. OSError where there is none."""
    total = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


def read_bytes(path: Path, most: int = MAX_BYTES) -> bytes:
    """Read a file of at most `most` bytes. OSError where there is none, ValueError where it is larger."""
    content = bytearray()
    with open_regular(path) as file:  # as many bytes as are asked for are set aside first: not all at once
        while block := file.read(_BLOCK):
            content += block
            if len(content) > most:
                raise ValueError(f"it is larger than {most:,} bytes")
    return bytes(content)


def read_json(path: Path, most: int = MAX_BYTES) -> JsonValue:
    """Read a JSON file of at most `most` bytes.

    Raises:
        OSError: there is no such file.
        ValueError: it is larger, or not JSON; the message says why, without the path.
    """
    content = read_bytes(path, most)
    try:
        value: JsonValue = json.loads(content)
        if b"\\ud" in content.lower():  # perhaps half of a surrogate pair, which is no text
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    return value


def read_model(path: Path, kind: type[_T], most: int = MAX_BYTES) -> _T:
    """Read a JSON file as a typed value. Raises as `read_json`; a value of another form is a ValueError."""
    value = read_json(path, most)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None


def check_json(content: bytes) -> JsonValue:
    """Parse, and refuse what JSON allows and no document of ours has: of equal keys, parsers keep either.

    Raises:
        ValueError: the message says why: `it has the key 'x' twice`.
    """
    try:
        text = content.decode("utf-8")
        parsed: JsonValue = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError(f"it is nested more than {DEPTH_LIMIT} deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON (line {error.lineno}, column {error.colno})") from None
    level: list[Any] = [[parsed]]
    for _ in range(DEPTH_LIMIT + 1):
        groups = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for group in groups for child in group if isinstance(child, dict | list)]
        if not level:
            return parsed
    raise ValueError(f"it is nested more than {DEPTH_LIMIT} deep")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"it has the key {plain(twice, 60)!r} twice")
    return unique


def _finite(digits: str) -> float:
    """Some fields may hold infinity in memory, but a document writes null instead."""
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"it holds {plain(digits, 20)}, a number that is out of range")
    return value


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _INTEGER_DIGITS:
        raise ValueError(f"it holds a whole number of {len(digits)} digits")
    return int(digits)


def first_problem(error: ValidationError) -> str:
    """Where a value has another form, and how, on one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]

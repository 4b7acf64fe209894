"""Text that came out of a pull request: decoded once, capped, checked for its shape, and safe to show."""

from __future__ import annotations

import codecs
import json
import posixpath
import re
import sys
from collections.abc import Mapping
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from validator.errors import ConfigurationError
from validator.text import plain, redact

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Bytes of one manifest. The largest real locks are about half of it.
MAX_BYTES = 5_000_000
#: Characters of a name or path inside a message.
MAX_CHARACTERS = 200

# The four-byte marks stand first: UTF-32-LE begins with the mark of UTF-16-LE.
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Document(BaseModel):
    """A part of a TOML or JSON manifest: unknown keys are ignored, nothing is converted."""

    model_config = ConfigDict(
        frozen=True, strict=True, populate_by_name=True, alias_generator=lambda name: name.replace("_", "-")
    )


D = TypeVar("D", bound=Document)


def show(text: str) -> str:
    """Return `text` as a message or a report may carry it: redacted, on one line, capped."""
    return plain(redact(text), MAX_CHARACTERS)


def decode(data: bytes, where: str) -> str:
    """Return the text of a manifest, by its byte order mark and UTF-8 without one; line ends are LF."""
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{where} has {len(data):,} bytes; a manifest may have {MAX_BYTES:,}.")
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{where} is not {encoding.upper()} text (byte {error.start}); save it as UTF-8."
        ) from None
    if "\0" in text:
        raise ConfigurationError(f"{where} contains a NUL character; it is not a manifest.")
    return text.replace("\r\n", "\n")


def parse_toml(text: str, where: str) -> Mapping[str, object]:
    """Return the tables of a TOML text; a `ConfigurationError` names the line."""
    try:
        # TOML knows no other line break than LF and CRLF, so a lone CR is left for the parser to refuse.
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rpartition(" (at ")
        number = re.match(r"line (\d+)", place)
        line = number[1] if number else text.rstrip("\n").count("\n") + 1  # "at end of document"
        raise ConfigurationError(f"{where}:{line} is not valid TOML: {show(message)}.") from None
    except RecursionError:
        raise ConfigurationError(f"{where} is nested too deeply to be a manifest.") from None


def parse_json(text: str, where: str) -> object:
    """Return the value of a JSON text; a `ConfigurationError` names the line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{where}:{error.lineno} is not valid JSON: {error.msg}.") from None
    except (RecursionError, ValueError):  # ValueError: a number with too many digits
        reason = "it is nested too deeply or too large"
        raise ConfigurationError(f"{where} is not usable JSON; {reason}.") from None


def compose_yaml(text: str, where: str) -> yaml.Node | None:
    """Return the root node of a YAML text.

    Nodes are composed and never constructed: no tag runs code, and an alias is a reference, so a document
    that multiplies aliases costs what it weighs.
    """
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        reason = getattr(error, "problem", None) or error
        raise ConfigurationError(f"{where}{line} is not valid YAML: {show(str(reason))}.") from None
    except RecursionError:
        raise ConfigurationError(f"{where} is nested too deeply to be a manifest.") from None


def validated(shape: type[D], value: object, where: str, key: str = "") -> D:
    """Return a parsed value as `shape`; a `ConfigurationError` names the first key that does not fit."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in ((key, *first["loc"]) if key else first["loc"]))
        raise ConfigurationError(f"{where}: {show(place) or 'the document'}: {show(first['msg'])}.") from None


def table(value: object, where: str, key: str = "") -> Mapping[str, object]:
    """Return `value` if it is a mapping; anything else is a `ConfigurationError`."""
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: {show(key) or 'the document'} must be a table.")
    return value


def join(folder: str, path: str, where: str) -> str:
    """Return `path`, written in a file of `folder`, relative to the root; it may not leave the repository."""
    joined = posixpath.normpath(posixpath.join(folder, path))
    if path.startswith("/") or re.match(r"^[A-Za-z]:", path) or "\\" in path or joined.split("/")[0] == "..":
        raise ConfigurationError(
            f"{where} names {show(path)}, which is outside the repository; use a relative path inside it."
        )
    return "" if joined == "." else joined


class Lines:
    """The lines of a text, numbered from 1: where in a file a value was written."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._hits: dict[str, int] = {}

    def find(self, pattern: str, after: int | None = None) -> int | None:
        """Return the next line that matches, below `after` or else below the last hit of the pattern."""
        start = self._hits.get(pattern, 0) if after is None else after
        search = re.compile(pattern).search
        rest = enumerate(self._lines[start:], start=start + 1)
        number = next((number for number, line in rest if search(line)), None)
        if number is not None:
            self._hits[pattern] = number
        return number

    def blocks(self, header: str, count: int) -> tuple[int | None, ...]:
        """Return where each of `count` tables called `header` has its `version`, else where it begins."""
        headers = [number for number, line in enumerate(self._lines, start=1) if line.strip() == header]
        # A header inside a multi-line string would shift every line after it: then no line is given.
        if len(headers) != count:
            return (None,) * count
        return tuple(self._version(header) for header in headers)

    def _version(self, header: int) -> int:
        number = self.find(r"^(version = |\[)", header)
        return number if number is not None and self._lines[number - 1].startswith("version") else header

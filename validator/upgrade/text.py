"""Text that came out of a pull request: decoded once, capped, and made safe to show."""

from __future__ import annotations

import codecs
import json
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping

import yaml

from validator.errors import ConfigurationError
from validator.text import plain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Bytes of one manifest. The largest real locks are about half of it.
MAX_BYTES = 5_000_000
#: Characters of a name or path inside a message.
MAX_SHOWN = 200

# The four-byte marks stand first: UTF-32-LE begins with the mark of UTF-16-LE.
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")


def printable(text: str) -> str:
    """Return `text` as a message may carry it: one line of visible characters, capped."""
    return plain(text, MAX_SHOWN)


def redact(text: str) -> str:
    """Replace the credentials of every URL in `text` by `***`, keeping the `git@` of an SSH address."""

    def hide(match: re.Match[str]) -> str:
        login = match.group()[len(match["scheme"]) :]
        return match.group() if login == "git@" else f"{match['scheme']}***@"

    return _CREDENTIALS.sub(hide, text)


def show(text: str) -> str:
    """Return `text` as a message or a report may carry it: redacted, on one line, capped."""
    return printable(redact(text))


def decode(data: bytes, where: str) -> str:
    """Return the text of a manifest, by its byte order mark and UTF-8 without one.

    Raises:
        ConfigurationError: the bytes are not text, or there are more than `MAX_BYTES`.
    """
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
    return text


def parse_toml(text: str, where: str) -> Mapping[str, object]:
    """Return the tables of a TOML text; a `ConfigurationError` names the line."""
    try:
        # TOML knows no other line break than LF and CRLF, so a lone CR is left for the parser to refuse.
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words, _, place = str(error).rpartition(" (at ")
        number = re.match(r"line (\d+)", place)
        line = number[1] if number else text.rstrip("\n").count("\n") + 1  # "at end of document"
        raise ConfigurationError(f"{where}:{line} is not valid TOML: {printable(words)}.") from None
    except RecursionError:
        raise ConfigurationError(f"{where} is nested too deeply to be a manifest.") from None


def parse_json(text: str, where: str) -> Mapping[str, object]:
    """Return the members of a JSON object; a `ConfigurationError` names the line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{where}:{error.lineno} is not valid JSON: {error.msg}.") from None
    except (RecursionError, ValueError):
        raise ConfigurationError(
            f"{where} is not usable JSON; it is nested too deeply or too large."
        ) from None
    return table(value, where)


def compose_yaml(text: str, where: str) -> yaml.Node | None:
    """Return the root node of a YAML text.

    Nodes are composed and never constructed: no tag runs code, and an alias is a reference, so a document
    that multiplies aliases costs what it weighs.
    """
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise ConfigurationError(
            f"{where}{line} is not valid YAML: {printable(str(error.problem))}."
        ) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where} is not valid YAML: {printable(str(error))}.") from None
    except RecursionError:
        raise ConfigurationError(f"{where} is nested too deeply to be a manifest.") from None


def table(value: object, where: str, key: str = "") -> Mapping[str, object]:
    """Return `value` if it is a mapping; an absent one is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: {printable(key) or 'the document'} must be a table.")
    return value


def sequence(value: object, where: str, key: str) -> tuple[object, ...]:
    """Return `value` if it is an array; an absent one is empty."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ConfigurationError(f"{where}: {printable(key)} must be an array.")
    return tuple(value)


def string(value: object, where: str, key: str) -> str:
    """Return `value` if it is a string; an absent one is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ConfigurationError(f"{where}: {printable(key)} must be a string.")
    return value


def join(folder: str, path: str, where: str) -> str:
    """Return `path`, written in a file of `folder`, relative to the root of the repository.

    Raises:
        ConfigurationError: the path is absolute or leaves the repository.
    """
    joined = posixpath.normpath(posixpath.join(folder, path))
    if path.startswith("/") or re.match(r"^[A-Za-z]:", path) or "\\" in path or joined.split("/")[0] == "..":
        raise ConfigurationError(
            f"{where} names {show(path)}, which is outside the repository; use a relative path inside it."
        )
    return "" if joined == "." else joined


class Lines:
    """The lines of a text, searched from the place of the last find: where in a file a value was written."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._found: dict[str, int] = {}

    def find(self, *parts: str, after: int = 0) -> int | None:
        """Return the number (from 1) of the next line that contains every part, or None."""
        key = "\0".join(parts)
        start = max(self._found.get(key, 0), after)
        for number, line in enumerate(self._lines[start:], start=start + 1):
            if all(part in line for part in parts):
                self._found[key] = number
                return number
        return None

    def key(self, name: str) -> int | None:
        """Return the next line that sets `name`, bare or quoted."""
        return self._search(rf"""^\s*["']?{re.escape(name)}["']?\s*=""")

    def requirement(self, name: str, after: int = 0) -> int | None:
        """Return the first line below `after` in which a string begins with the package `name`."""
        pattern = rf"""["']{re.escape(name)}(?![A-Za-z0-9]|[._-]+[A-Za-z0-9])"""
        numbers = (number for number, line in self._from(after) if re.search(pattern, line))
        return next(numbers, None)

    def _search(self, pattern: str) -> int | None:
        for number, line in self._from(self._found.get(pattern, 0)):
            if re.search(pattern, line):
                self._found[pattern] = number
                return number
        return None

    def _from(self, after: int) -> Iterator[tuple[int, str]]:
        return enumerate(self._lines[after:], start=after + 1)

    def headers(self, header: str) -> tuple[int, ...]:
        """Return the numbers of the lines that are exactly `header`."""
        return tuple(number for number, line in enumerate(self._lines, start=1) if line.strip() == header)

    def starting(self, prefix: str, after: int) -> int | None:
        """Return the first line from `after` on that starts with `prefix`, up to the next table."""
        for number, line in enumerate(self._lines[after:], start=after + 1):
            if line.startswith(prefix):
                return number
            if line.startswith("["):
                return None
        return None

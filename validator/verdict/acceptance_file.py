"""keras-acceptances.yml as text: read with errors by line, written without touching what else is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import JsonValue

from validator.config.load import parse_as, read_yaml
from validator.errors import ConfigurationError
from validator.verdict.acceptances import Acceptance, Acceptances, Proposal

_NEEDS = "it needs at least `version: 1`"
_HEAD = """\
# Known changes of upgrades that are accepted, and why. Each holds for one cell, one upgrade, and no worse a
# result than it says. `keras-validator accept` and `keras-validator review` write them; review them as code.
version: 1
acceptances:
"""
#: What people read stands first.
_ORDER = ("cell", "reason", "by", "created", "until", "model", "packages", "verdict", "findings", "metrics")


def read(path: Path) -> tuple[Acceptance, ...]:
    """The entries of a file; none where there is no file.

    Raises:
        ConfigurationError: it cannot be used; the message names file, line, and the nearest name.
    """
    try:
        text = read_yaml(path)
    except FileNotFoundError:
        return ()
    return parse(text, str(path))


def parse(text: str, name: str) -> tuple[Acceptance, ...]:
    """The entries of the text of a file; messages call it `name`. Raises as `read` does."""
    return parse_as(text, name, Acceptances, _NEEDS).acceptances


def entry_text(entry: Proposal, people: Mapping[str, str] | None = None) -> str:
    """An entry as it stands in the file. `people`: what a person has to fill in, where it is a proposal."""
    values: dict[str, JsonValue] = entry.model_dump(mode="json", exclude_defaults=True)
    values |= people or {}
    ordered = {key: values[key] for key in _ORDER if key in values}
    lines = []
    for key, value in ordered.items():
        if key == "findings" and isinstance(value, list):
            lines += ["findings:", *(f"- {_flow(each)}" for each in value)]
        elif key in ("created", "until"):
            lines += [f"{key}: {value}"]
        else:
            lines += [f"{key}: {_flow(value)}"]
    first, *rest = lines
    return "".join([f"- {first}\n", *(f"  {line}\n" for line in rest)])


def _flow(value: JsonValue) -> str:
    """A value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")


def with_entry(text: str, entry: Acceptance, name: str) -> str:
    """The text of a file with an entry: in place of the one for the same cell and upgrade, else at the end.

    All else stays, comments too. Empty text is a new file.

    Raises:
        ConfigurationError: the file cannot be read, or not be extended as it is written; it says what to add.
    """
    before = parse(text, name) if text.strip() else ()
    expected = [*before]
    at = next((at for at, each in enumerate(before) if each.target == entry.target), None)
    if at is None:
        changed = _appended(text, entry)
        expected.append(entry)
    else:
        changed = _replaced(text, at, entry)
        expected[at] = entry
    try:
        if parse(changed, name) == tuple(expected):
            return changed
    except ConfigurationError:
        pass
    raise ConfigurationError(
        f"{name}: cannot be extended as it is written; add to `acceptances`:\n{entry_text(entry)}"
    )


def _entries(text: str) -> yaml.Node | None:
    """The node of the list of entries; None where the file has none."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == "acceptances"), None)


def _appended(text: str, entry: Acceptance) -> str:
    if not text.strip():
        return _HEAD + entry_text(entry)
    text = text.rstrip("\n") + "\n"
    entries = _entries(text)
    if entries is None:
        return f"{text}acceptances:\n{entry_text(entry)}"
    if not entries.value:  # `[]`, or nothing behind the colon
        start, end = entries.start_mark.index, entries.end_mark.index
        return f"{text[:start].rstrip(' ')}\n{entry_text(entry)}{text[end:].removeprefix(chr(10))}"
    last = entries.value[-1].end_mark.line
    lines = text.splitlines(keepends=True)
    while last > 0 and not _content(
        lines[last - 1]
    ):  # comments behind the last entry stay behind the new one
        last -= 1
    return "".join([*lines[:last], _indented(entry, entries), *lines[last:]])


def _content(line: str) -> bool:
    """Whether a line belongs to an entry: no comment at the left, and not empty."""
    return bool(line.strip()) and not line.startswith("#")


def _replaced(text: str, at: int, entry: Acceptance) -> str:
    entries = _entries(text)
    if entries is None:
        return text
    lines = text.splitlines(keepends=True)
    start, end = entries.value[at].start_mark.line, entries.value[at].end_mark.line
    while end > start + 1 and not _content(lines[end - 1]):
        end -= 1
    return "".join([*lines[:start], _indented(entry, entries), *lines[end:]])


def _indented(entry: Acceptance, entries: yaml.Node) -> str:
    """An entry as far to the right as the list is."""
    space = " " * entries.start_mark.column
    return "".join(f"{space}{line}" for line in entry_text(entry).splitlines(keepends=True))

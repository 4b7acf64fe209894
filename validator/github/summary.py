"""The files of a step: its job summary and its outputs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from validator.github.edition import Render, fit

#: GitHub drops a larger summary as a whole and fails the step.
SUMMARY_LIMIT = 1024 * 1024
#: Room left for what later commands of the same step append.
_MARGIN = 16 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


def append_summary(path: Path, render: Render) -> bool:
    """Append what `render` says to the step's summary, below GitHub's limit; whether there was room.

    What is there stays. Raises OSError when the file cannot be written.
    """
    written = path.stat().st_size if path.exists() else 0
    room = SUMMARY_LIMIT - _MARGIN - written
    text = fit(render, room, room, lambda text: len(text.encode("utf-8")))
    if text is None:
        return False
    with path.open("ab") as file:
        # One write: another process may append too, and half a summary must not become half a tag.
        file.write(b"\n" * bool(written) + text.rstrip("\n").encode("utf-8") + b"\n")
    return True


def write_outputs(path: Path, outputs: Mapping[str, str]) -> None:
    """Append the step's outputs. A value can hold anything: its end is a delimiter nobody can guess.

    Raises ValueError for a name GitHub would not take, OSError when the file cannot be written.
    """
    lines = []
    for name, value in outputs.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an output")
        delimiter = f"end-{secrets.token_hex(16)}"
        text = value.replace("\r\n", "\n").replace("\r", "\n")
        lines.append(f"{name}<<{delimiter}\n{text}\n{delimiter}\n")
    with path.open("ab") as file:
        file.write("".join(lines).encode("utf-8", "replace"))

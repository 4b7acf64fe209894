"""The pages that tell people what to type, and what of them is run: a comment before each block says so.

`<!-- project: NAME -->` once a page: the folder that `projects.py` prepares. `<!-- file: PATH -->`: the block
is written there. `<!-- run -->`, `<!-- run: CODE -->`: its commands are run, and end with that code (0).
`<!-- not run: REASON -->`. `<!-- workflow: NAME -->`, `<!-- gitlab: NAME -->`: tests of their own run it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("how-to/*.md"), *DOCS.glob("tutorial/*.md"), DOCS / "index.md"])
COMMANDS = frozenset({"console", "bash", "sh", "shell"})
_BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.M | re.S)
_PROJECT = re.compile(r"^<!-- project: (?P<name>[\w-]+) -->$", re.M)


@dataclass(frozen=True)
class Step:
    """A block of a page: a file to write, commands to run, or commands that are not run, with the reason."""

    kind: Literal["file", "run", "not run", "shown", "workflow", "gitlab"]
    language: str
    text: str
    argument: str = ""


def project(page: Path) -> str:
    """The name of the project that a page is about; empty where it has none."""
    match = _PROJECT.search(page.read_text(encoding="utf-8"))
    return match["name"] if match else ""


def steps(page: Path) -> list[Step]:
    """The blocks of a page, in their order."""
    found = []
    for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        kind, _, argument = (match["mark"] or "shown").partition(": ")
        found.append(Step(kind, match["kind"], match["text"], argument))  # type: ignore[arg-type]
    return found

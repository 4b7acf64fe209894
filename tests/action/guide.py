"""The workflows that the documentation prints, by name."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PAGES = (ROOT / "docs" / "github.md", *sorted((ROOT / "docs" / "how-to").glob("*.md")))
_BLOCK = re.compile(r"<!-- (workflow|job|steps): ([\w-]+) -->\n```yaml\n(.*?)```", re.DOTALL)
_VALIDATE = "      - id: validate\n        uses: OWNER/keras-upgrade-validator@v1\n"


def _workflows() -> dict[str, str]:
    """Whole workflows; what is printed alone, a job or steps, has its place in the one with two jobs."""
    printed = [block for page in _PAGES for block in _BLOCK.findall(page.read_text(encoding="utf-8"))]
    workflows = {name: text for kind, name, text in printed if kind == "workflow"}
    jobs = {name: text for kind, name, text in printed if kind == "job"}
    steps = {name: text for kind, name, text in printed if kind == "steps"}
    assert _VALIDATE in workflows["two-jobs"]
    return (
        workflows
        | {name: f"{workflows['two-jobs']}\n{text}" for name, text in jobs.items()}
        | {name: workflows["two-jobs"].replace(_VALIDATE, text) for name, text in steps.items()}
    )


WORKFLOWS = _workflows()

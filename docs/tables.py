"""Generates the tables of README.md and docs/ from the actions and the settings.

A table is the text between `<!-- table: NAME -->` and `<!-- /table -->`. NAME is `inputs` or `outputs` for
action.yml, `report inputs` or `report outputs` for report/action.yml and so on, `settings` for
validator.yml, or `executor` for the file that describes a cluster. From the root of the repository:

    python docs/tables.py            updates every table
    python docs/tables.py --check    exits with code 1 if a table is out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from validator.cluster import Executor  # noqa: E402
from validator.config import Settings  # noqa: E402

FILES = ("README.md", "docs/github.md", "docs/settings.md", "docs/how-to/cluster.md")
_PLACE = re.compile(r"(<!-- table: (?P<name>[a-z ]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
_ACTIONS = {
    "": "action.yml",
    "report ": "report/action.yml",
    "plan ": "plan/action.yml",
    "merge ": "merge/action.yml",
}


def updated(text: str) -> str:
    """The text with every table in it updated. KeyError for an unknown table."""
    every = tables()
    return _PLACE.sub(lambda match: f"{match[1]}\n{every[match['name']]}\n{match[3]}", text)


def tables() -> dict[str, str]:
    """Every table by name."""
    every = {
        name: _table(("key", "default", "description"), _settings(model))
        for name, model in (("settings", Settings), ("executor", Executor))
    }
    for prefix, path in _ACTIONS.items():
        action = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
        inputs = ((f"`{name}`", _words(value)) for name, value in action["inputs"].items())
        outputs = ((f"`{name}`", _words(value)) for name, value in action["outputs"].items())
        every[f"{prefix}inputs"] = _table(("input", "description"), inputs)
        every[f"{prefix}outputs"] = _table(("output", "description"), outputs)
    return every


def _words(value: dict[str, Any]) -> str:
    needed = " Required." if value.get("required") else ""
    default = f" Default `{value['default']}`." if "default" in value else ""
    return f"{' '.join(str(value['description']).split())}{needed}{default}"


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        listed = "[]" if inner is not None and "tuple" in str(field.annotation) else ""
        named = ".NAME" if inner is not None and "dict" in str(field.annotation) else ""
        if inner is None:
            yield f"`{prefix}{name}`", _default(field), field.description or ""
        else:
            yield from _settings(inner, f"{prefix}{name}{listed}{named}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value in (None, (), {}, ""):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`[{', '.join(map(str, value))}]`" if isinstance(value, tuple) else f"`{value}`"


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main() -> int:
    """Update or check the tables of every existing file."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in FILES:
        path = ROOT / name
        if path.is_file() and updated(text := path.read_text(encoding="utf-8")) != text:
            stale.append(name)
            if not check:
                path.write_text(updated(text), encoding="utf-8")
    if stale:
        print(f"{'out of date' if check else 'updated'}: {', '.join(stale)}")  # noqa: T201
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())

"""Keeps the tables of README.md and docs/ what action.yml and the settings say.

A table stands between `<!-- table: NAME -->` and `<!-- /table -->`. NAME is `inputs` or `outputs` of
action.yml, `report inputs` or `report outputs` of report/action.yml, or `settings` for validator.yml. From
the root of the repository:

    python docs/tables.py            writes every table anew
    python docs/tables.py --check    exit code 1 where one is out of date
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

from validator.config import Settings  # noqa: E402

FILES = ("README.md", "docs/github.md", "docs/settings.md")
_PLACE = re.compile(r"(<!-- table: (?P<name>[a-z ]+) -->\n).*?(<!-- /table -->)", re.DOTALL)
_ACTIONS = {"": "action.yml", "report ": "report/action.yml"}


def updated(text: str) -> str:
    """A text with every table in it written anew. KeyError for a table that does not exist."""
    every = tables()
    return _PLACE.sub(lambda found: f"{found[1]}\n{every[found['name']]}\n{found[3]}", text)


def tables() -> dict[str, str]:
    """Every table by name."""
    found = {"settings": _table(("key", "default", "what"), _settings(Settings))}
    for prefix, path in _ACTIONS.items():
        action = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
        inputs = ((f"`{name}`", _words(value)) for name, value in action["inputs"].items())
        outputs = ((f"`{name}`", _words(value)) for name, value in action["outputs"].items())
        found[f"{prefix}inputs"] = _table(("input", "what"), inputs)
        found[f"{prefix}outputs"] = _table(("output", "what"), outputs)
    return found


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
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


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
    """Write or check the tables of every file that is there."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name in FILES:
        path = ROOT / name
        if path.is_file() and updated(text := path.read_text(encoding="utf-8")) != text:
            stale.append(name)
            if not check:
                path.write_text(updated(text), encoding="utf-8")
    if stale:
        print(f"{'out of date' if check else 'written'}: {', '.join(stale)}")  # noqa: T201
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())

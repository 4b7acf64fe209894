"""What differs between two trees of Keras, as changes that can be made one by one, most likely ones first."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from validator.origin.modules import Item, Mixture, Pair, compose, parse
from validator.origin.types import Unit

#: Where the code of Keras 3 lies; `keras/api` and the like only list names.
_CODE = "keras/src/"
_CONTEXT = 2  # unchanged lines around a hunk
_MOST_LINES = 200  # of the diff of one unit


@dataclass(frozen=True, order=True)
class Change:
    """One change to a tree: an item is edited, added or removed; `hunk` numbers a part of an edit."""

    path: str
    key: str
    action: Literal["edit", "add", "remove"] = "edit"
    hunk: int = -1


@dataclass(frozen=True)
class Executed:
    """What a run used of a tree: modules that were imported, functions that ran by file and first line."""

    modules: frozenset[str]
    functions: frozenset[tuple[str, int]]

    @classmethod
    def read(cls, path: Path) -> Executed:
        """Read what a worker left; an empty one where it left none, since it died."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            functions = frozenset((str(file), int(line)) for file, line in value["functions"])
            return cls(frozenset(map(str, value["modules"])), functions)
        except (OSError, ValueError, KeyError, TypeError):
            return cls(frozenset(), frozenset())

    @property
    def by_file(self) -> dict[str, list[int]]:
        """File → first lines of functions that ran."""
        lines: dict[str, list[int]] = defaultdict(list)
        for file, line in self.functions:
            lines[file].append(line)
        return lines


@dataclass(frozen=True)
class Tree:
    """A tree of Keras: the folder that `keras` lies in, and what the case used of it."""

    folder: Path
    trace: Executed


class Difference:
    """The changes from one tree to another, in the modules that either run imported."""

    def __init__(self, old: Tree, new: Tree) -> None:
        self.old, self.new = old, new
        self.pairs: dict[str, Pair] = {}
        imported = old.trace.modules | new.trace.modules
        for path in sorted(imported or self._all()):
            pair = self._pair(path)
            if pair is not None:
                self.pairs[path] = pair

    def _all(self) -> Iterator[str]:
        """Every module, where neither run said what it imported."""
        for file in self.old.folder.glob(f"{_CODE}**/*.py"):
            yield str(file.relative_to(self.old.folder))

    def _pair(self, path: str) -> Pair | None:
        if not path.startswith(_CODE) or path.endswith(("/version.py", "_test.py")):
            return None
        files = self.old.folder / path, self.new.folder / path
        if not all(file.is_file() for file in files):
            return None
        before, after = (file.read_text(encoding="utf-8") for file in files)
        try:
            return Pair(parse(before), parse(after)) if before != after else None
        except SyntaxError:  # newer than the Python of this tool
            return None

    @cached_property
    def edits(self) -> list[Change]:
        """Every item of both trees with other code, the likeliest first."""
        changes = [Change(path, key) for path, pair in self.pairs.items() for key in pair.changed]
        return sorted(changes, key=self.rank)

    @cached_property
    def additions(self) -> list[Change]:
        """Methods and statements that only the new tree has."""
        return [Change(path, key, "add") for path, pair in self.pairs.items() for key in pair.added]

    @cached_property
    def removals(self) -> list[Change]:
        """Items that only the old tree has."""
        return [Change(path, key, "remove") for path, pair in self.pairs.items() for key in pair.removed]

    def rank(self, change: Change) -> int:
        """0: a function that ran; 1: the rest of its class; 2: the rest of a module; 3: all others."""
        key = change.key.partition("#")[0]
        ran = self._ran[change.path]
        owner, dot, _ = key.partition(".")
        if key in ran or any(name.startswith(f"{key}.") for name in ran):
            return 0
        if key.startswith("="):
            return 2
        attribute = dot and (key.endswith(".<class>") or ".=" in key)
        return 1 if attribute and any(name.startswith(f"{owner}.") for name in ran) else 3

    @cached_property
    def _ran(self) -> Mapping[str, set[str]]:
        """File → keys of the functions that ran in either tree."""
        ran: dict[str, set[str]] = defaultdict(set)
        for tree, side in ((self.old, "before"), (self.new, "after")):
            lines = tree.trace.by_file
            for path, pair in self.pairs.items():
                items: Mapping[str, Item] = getattr(pair, side)
                spans = [
                    (item.line, item.last, key) for key, item in items.items() if item.kind == "function"
                ]
                for line in lines.get(path, ()):
                    ran[path].update(key.partition("#")[0] for a, b, key in spans if a <= line <= b)
        return ran

    def hunks(self, change: Change) -> list[Change]:
        """The parts of an edit."""
        count = len(self.pairs[change.path].hunks(change.key))
        return [Change(change.path, change.key, "edit", number) for number in range(count)]

    def sources(self, changes: Iterable[Change], withheld: Collection[Change] = ()) -> dict[str, str]:
        """Path → text of every module that is not the old tree's.

        What is new is there anyway, but for `withheld`, of which `changes` name those that are added.
        """
        chosen: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            chosen[change.path].append(change)
        texts = {}
        for path, pair in self.pairs.items():
            added = {change.key for change in chosen[path] if change.action == "add"}
            kept_out = {change.key for change in withheld if change.path == path} - added
            texts[path] = compose(pair, _mixture(chosen[path], kept_out))
        return texts

    def mirrored(self, change: Change, other: Difference) -> Change | None:
        """The same change in the difference from the new tree to the old; None where that cannot name it."""
        if change.action != "edit":
            return Change(change.path, change.key, "remove" if change.action == "add" else "add")
        if change.hunk < 0:
            return change
        i1, i2, j1, j2 = self.pairs[change.path].hunks(change.key)[change.hunk]
        back = enumerate(other.pairs[change.path].hunks(change.key))
        number = next((number for number, hunk in back if hunk == (j1, j2, i1, i2)), None)
        return None if number is None else Change(change.path, change.key, "edit", number)

    def units(self, changes: Sequence[Change], *, reverse: bool = False) -> tuple[Unit, ...]:
        """What is changed, unit by unit, with the number of lines; `reverse`: from the new to the old."""
        units = []
        for (path, key), parts in _by_unit(changes).items():
            added = removed = 0
            for i1, i2, j1, j2 in self._spans(path, key, parts):
                old, new = self._lines(path, key)
                removed += sum(bool(line.strip()) for line in old[i1:i2])
                added += sum(bool(line.strip()) for line in new[j1:j2])
            if reverse:
                added, removed = removed, added
            units.append(Unit(path=path, name=_name(key), added=added, removed=removed))
        return tuple(units)

    def diff(self, changes: Sequence[Change], *, reverse: bool = False) -> str:
        """The changes as a unified diff; each hunk names its function. `reverse`: from the new to the old."""
        lines: list[str] = []
        for (path, key), parts in sorted(_by_unit(changes).items()):
            if f"--- a/{path}" not in lines:
                lines += [f"--- a/{path}", f"+++ b/{path}"]
            for head, body in self._hunk_lines(path, key, parts, reverse):
                lines += [head, *body[:_MOST_LINES]]
                lines += [f" … {len(body) - _MOST_LINES} more lines"] if len(body) > _MOST_LINES else []
        return "\n".join(lines) + "\n" if lines else ""

    def _hunk_lines(
        self, path: str, key: str, parts: Sequence[Change], reverse: bool
    ) -> Iterator[tuple[str, list[str]]]:
        """The head and the lines of each hunk."""
        old, new = self._lines(path, key)
        before, after = self.pairs[path].before.get(key), self.pairs[path].after.get(key)
        for i1, i2, j1, j2 in self._spans(path, key, parts):
            first, last = max(i1 - _CONTEXT, 0), min(i2 + _CONTEXT, len(old))
            lead, rest = i1 - first, last - i2
            sides = [
                f"{(before.line if before else 0) + first},{last - first}",
                f"{(after.line if after else 0) + max(j1 - lead, 0)},{lead + j2 - j1 + rest}",
            ]
            gone, come = old[i1:i2], new[j1:j2]
            if reverse:
                sides.reverse()
                gone, come = come, gone
            body = [f" {line}" for line in old[first:i1]]
            body += [f"-{line}" for line in gone] + [f"+{line}" for line in come]
            yield (
                f"@@ -{sides[0]} +{sides[1]} @@ {_name(key)}",
                [*body, *(f" {line}" for line in old[i2:last])],
            )

    def _lines(self, path: str, key: str) -> tuple[list[str], list[str]]:
        pair = self.pairs[path]
        before, after = pair.before.get(key), pair.after.get(key)
        return before.lines if before else [], after.lines if after else []

    def _spans(self, path: str, key: str, parts: Sequence[Change]) -> list[tuple[int, int, int, int]]:
        old, new = self._lines(path, key)
        if not old or not new:
            return [(0, len(old), 0, len(new))]
        hunks = self.pairs[path].hunks(key)
        if any(part.action == "remove" for part in parts):
            return [(0, len(old), 0, 0)]
        chosen = [part.hunk for part in parts]
        return list(hunks) if -1 in chosen else [hunks[number] for number in sorted(chosen)]


def _mixture(changes: Sequence[Change], withheld: set[str]) -> Mixture:
    hunks: dict[str, tuple[int, ...]] = {}
    for change in changes:
        if change.hunk >= 0:
            hunks[change.key] = (*hunks.get(change.key, ()), change.hunk)
    return Mixture(
        whole=frozenset(each.key for each in changes if each.action == "edit" and each.hunk < 0),
        hunks=hunks,
        withheld=frozenset(withheld),
        dropped=frozenset(each.key for each in changes if each.action == "remove"),
    )


def _by_unit(changes: Iterable[Change]) -> dict[tuple[str, str], list[Change]]:
    units: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        units.setdefault((change.path, change.key), []).append(change)
    return units


def _name(key: str) -> str:
    """A unit as people call it."""
    bare = key.partition("#")[0]
    if bare.endswith(".<class>"):
        return f"class {bare.removesuffix('.<class>')}"
    return bare.replace(".=", ".").removeprefix("=")

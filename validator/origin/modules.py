"""A Python module as a list of items: imports, functions, methods, class headers, statements.

Two versions of a module are compared item by item, and any mixture of them is a text again. Lines of a diff
would not do: edits of one function stand in several hunks that run only together.
"""

from __future__ import annotations

import ast
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Kind = Literal["import", "function", "class", "header", "statement", "docstring"]
#: Lines [i1, i2) of the old text become lines [j1, j2) of the new one.
Hunk = tuple[int, int, int, int]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Item:
    """A stretch of a module, with the comments and empty lines before it.

    Attributes:
        key: what it is called: `function`, `Class.method`, `Class.<class>`, `=name` for a statement.
        line: number of its first line in the file, from 1.
        last: number of its last line.
        code: its syntax tree without docstrings and positions; equal where only words changed.
        items: of a class, its header first.
    """

    key: str
    kind: Kind
    text: str
    line: int
    last: int
    code: str
    items: tuple[Item, ...] = ()

    def __iter__(self) -> Iterator[Item]:
        """The item and those in it; a class stands for its parts."""
        if self.items:
            yield from self.items
        else:
            yield self

    @cached_property
    def lines(self) -> list[str]:
        """The lines of its text."""
        return self.text.split("\n")

    @cached_property
    def prose(self) -> frozenset[int]:
        """Which lines, from 0, are docstring, comment or empty."""
        blank = {at for at, line in enumerate(self.lines) if not line.strip() or line.strip().startswith("#")}
        try:
            tree = ast.parse(_dedented(self.lines))
        except SyntaxError:  # the header of a class alone
            return frozenset(blank)
        for node in ast.walk(tree):
            if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and _has_docstring(node):
                blank.update(range(node.body[0].lineno - 1, node.body[0].end_lineno or 0))
        return frozenset(blank)


def parse(text: str) -> tuple[Item, ...]:
    """The items of a module, in their order. SyntaxError where it is none."""
    return _items(ast.parse(text).body, "", text.split("\n"), (0, text.count("\n") + 1))


def _items(
    body: Sequence[ast.stmt], prefix: str, lines: list[str], span: tuple[int, int]
) -> tuple[Item, ...]:
    outcome: list[Item] = []
    seen: Counter[str] = Counter()
    position, end = span
    for place, node in enumerate(body):
        stop = min(node.end_lineno or 0, end)
        if stop <= position:  # a second statement on a line goes with the first
            continue
        kind, key = _kind(node, prefix, first=place == 0)
        seen[key] += 1
        if seen[key] > 1:  # the setter of a property, a function per branch
            key += f"#{seen[key]}"
        text = "\n".join(lines[position:stop])
        inner: tuple[Item, ...] = ()
        if isinstance(node, ast.ClassDef) and not prefix:
            inner = _class(node, lines, (position, stop))
        outcome.append(Item(key, kind, text, position + 1, stop, _code(node, kind), inner))
        position = stop
    return tuple(outcome)


def _class(node: ast.ClassDef, lines: list[str], span: tuple[int, int]) -> tuple[Item, ...]:
    begin = _first_line(node.body[0])
    head = "\n".join(lines[span[0] : begin])
    code = "".join(ast.dump(part) for part in (*node.bases, *node.keywords, *node.decorator_list))
    header = Item(f"{node.name}.<class>", "header", head, span[0] + 1, begin, code)
    return (header, *_items(node.body, f"{node.name}.", lines, (begin, span[1])))


def _first_line(node: ast.stmt) -> int:
    """From 0, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)]) - 1


def _kind(node: ast.stmt, prefix: str, *, first: bool) -> tuple[Kind, str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return "function", prefix + name
        case ast.ClassDef(name=name):
            return ("statement", prefix + name) if prefix else ("class", f"class {name}")
        case ast.Import() | ast.ImportFrom():
            return "import", f"{prefix}import {ast.unparse(node)}"
        case ast.Expr(value=ast.Constant(value=str())) if first:
            return "docstring", f"{prefix}<docstring>"
    return "statement", f"{prefix}={_called(node)}"


def _called(node: ast.stmt) -> str:
    """What a statement assigns to, or its first line."""
    match node:
        case ast.Assign(targets=targets):
            return ",".join(ast.unparse(target) for target in targets)
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return ast.unparse(target)
    return ast.unparse(node).splitlines()[0][:60]


def _code(node: ast.stmt, kind: Kind) -> str:
    if kind == "docstring":
        return ""
    for inner in ast.walk(node):  # the tree is read once, so that it may be changed
        if isinstance(inner, (*_FUNCTIONS, ast.ClassDef)) and _has_docstring(inner):
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.dump(node)


def _has_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    first = node.body[0]
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def _dedented(lines: Sequence[str]) -> str:
    filled = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    margin = min(filled, default=0)
    return "\n".join(line[margin:] for line in lines)


@dataclass(frozen=True)
class Pair:
    """Two versions of a module."""

    old: tuple[Item, ...]
    new: tuple[Item, ...]
    _hunks: dict[str, tuple[Hunk, ...]] = field(default_factory=dict)

    @cached_property
    def before(self) -> dict[str, Item]:
        """The items of the old version by key, those of classes instead of the classes."""
        return {part.key: part for item in self.old for part in item}

    @cached_property
    def after(self) -> dict[str, Item]:
        """Those of the new one."""
        return {part.key: part for item in self.new for part in item}

    @property
    def changed(self) -> list[str]:
        """Keys of both versions with other code."""
        both = ((item, self.after.get(key)) for key, item in self.before.items())
        return [item.key for item, other in both if other is not None and item.code != other.code]

    @property
    def added(self) -> list[str]:
        """Keys of statements and methods in classes that only the new version has.

        Whole functions and classes that are new do nothing until somebody calls them.
        """
        news = (item for key, item in self.after.items() if key not in self.before)
        return [item.key for item in news if _acts(item)]

    @property
    def removed(self) -> list[str]:
        """Keys that only the old version has."""
        gone = (item for key, item in self.before.items() if key not in self.after)
        return [item.key for item in gone if item.kind in ("function", "statement", "header")]

    def hunks(self, key: str) -> tuple[Hunk, ...]:
        """Where the two texts of an item differ in code."""
        if key not in self._hunks:
            old, new = self.before[key], self.after[key]
            matcher = difflib.SequenceMatcher(None, old.lines, new.lines, autojunk=False)
            self._hunks[key] = tuple(
                (i1, i2, j1, j2)
                for tag, i1, i2, j1, j2 in matcher.get_opcodes()
                if tag != "equal"
                and not (old.prose >= set(range(i1, i2)) and new.prose >= set(range(j1, j2)))
            )
        return self._hunks[key]

    def partly(self, key: str, numbers: Sequence[int]) -> str:
        """The old text of an item with some hunks of the new one."""
        lines, hunks = list(self.before[key].lines), self.hunks(key)
        for number in sorted(numbers, reverse=True):
            i1, i2, j1, j2 = hunks[number]
            lines[i1:i2] = self.after[key].lines[j1:j2]
        return "\n".join(lines)


def _acts(item: Item) -> bool:
    """Whether an item does something by being there: a method may override one, a statement runs."""
    in_class = "." in item.key.removeprefix("=").split("=")[0] and item.kind != "import"
    return item.kind == "statement" or (item.kind == "function" and in_class)


@dataclass(frozen=True)
class Mixture:
    """Which changes of a pair are made: whole items and hunks of them, what is not added, what is removed."""

    whole: frozenset[str] = frozenset()
    hunks: dict[str, tuple[int, ...]] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()


def compose(pair: Pair, mixture: Mixture) -> str:
    """The old module with some changes of the new one. What is new is added, and nothing is removed."""
    return "\n".join(_merged(pair, mixture, pair.old, pair.new)) + "\n"


def _merged(pair: Pair, mixture: Mixture, old: Sequence[Item], new: Sequence[Item]) -> Iterator[str]:
    known = {item.key for item in old}
    following = _following(new, known, mixture)
    counterparts = {item.key: item for item in new}
    front = True  # still before the first item that is not a docstring or a class's header
    for item in old:
        if front and item.kind not in ("docstring", "header"):
            yield from (added.text for added in following.pop("", ()))
            front = False
        if item.key not in mixture.dropped:
            if item.items:
                other = counterparts.get(item.key)
                yield from _merged(pair, mixture, item.items, other.items if other else ())
            else:
                yield _text(pair, mixture, item)
        if not front:
            yield from (added.text for added in following.pop(item.key, ()))
    for rest in following.values():
        yield from (added.text for added in rest)


def _following(new: Sequence[Item], known: set[str], mixture: Mixture) -> dict[str, list[Item]]:
    """New items by the known item that they follow; "" for those before any."""
    following: dict[str, list[Item]] = {}
    before = ""
    for item in new:
        if item.key in known:
            before = item.key if item.kind not in ("docstring", "header") else ""
        elif item.key not in mixture.withheld and item.kind != "docstring":
            following.setdefault(before, []).append(item)
    return following


def _text(pair: Pair, mixture: Mixture, item: Item) -> str:
    if item.key in mixture.whole:
        return pair.after[item.key].text
    if item.key in mixture.hunks:
        return pair.partly(item.key, mixture.hunks[item.key])
    return item.text

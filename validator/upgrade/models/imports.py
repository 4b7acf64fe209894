"""What the text of a Python module imports and names, read from its syntax: nothing is run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

_IMPORTERS = frozenset({"import_module", "__import__", "run_module", "find_spec"})
#: Calls that look for modules themselves: which, is known when they run.
_WALKERS = frozenset({"walk_packages", "iter_modules", "run_path", "exec_module", "spec_from_file_location"})
_LINE = re.compile(r"^\s*(?:from\s+(\.*)([\w.]*)\s+import\s+\(?(.*)|import\s+(.+))$", re.MULTILINE)
_LONGEST = 300  # characters of a text that may name a file


@dataclass(frozen=True, order=True)
class ImportedModule:
    """A module that is imported: `level` dots, a dotted name, and the names taken from it (`*` is every)."""

    level: int
    module: str
    names: tuple[str, ...] = ()


@dataclass
class ModuleSource:
    """What a module imports, and which texts in it may name a file.

    `starts` are beginnings of dotted names that are completed when the module runs; `open`: what it imports
    cannot be told from its text. `moves_path`: it names `sys.path`, so modules may lie anywhere.
    """

    imports: set[ImportedModule] = field(default_factory=set)
    starts: set[ImportedModule] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    open: bool = False
    moves_path: bool = False


def read_module(text: str) -> ModuleSource:
    """Return what a module imports; text that this Python cannot parse is read line by line, and `open`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an escape in somebody's text
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ModuleSource(imports=set(_by_line(text)), open=True)
    source = ModuleSource(moves_path="sys.path" in text)
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                source.imports |= {ImportedModule(0, alias.name) for alias in names}
            case ast.ImportFrom(module, names, level):
                taken = tuple(alias.name for alias in names)
                source.imports.add(ImportedModule(level, module or "", taken))
            case ast.Call():
                _add_call(source, node)
            case ast.Constant(str() as value) if 0 < len(value) <= _LONGEST and "\n" not in value:
                source.texts.add(value)
    return source


def _add_call(source: ModuleSource, node: ast.Call) -> None:
    """A call that imports by name, such as `importlib.import_module("net.blocks")`."""
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name in _WALKERS:
        source.open = True
    if name not in _IMPORTERS:
        return
    values = [*node.args[:1], *(each.value for each in node.keywords if each.arg in {"name", "mod_name"})]
    package = [*node.args[1:2], *(each.value for each in node.keywords if each.arg == "package")]
    for value in values[:1]:
        begin = _literal(value)
        if begin.startswith(".") and package:
            begin = _literal(package[0]) + begin
        if isinstance(value, ast.Constant) and begin:
            source.imports.add(_dotted(begin))
        elif begin.strip("."):
            source.starts.add(_dotted(begin))
        else:
            source.open = True


def _literal(value: ast.expr) -> str:
    """The text of an expression as far as it is written down from its start."""
    match value:
        case ast.Constant(str() as text):
            return text
        case ast.JoinedStr([ast.Constant(str() as text), *_]):
            return text
        case ast.BinOp(left, ast.Add() | ast.Mod(), _):
            return _literal(left).partition("%")[0]
        case ast.Call(ast.Attribute(ast.Constant(str() as text), "format")):
            return text.partition("{")[0]
    return ""


def _dotted(text: str) -> ImportedModule:
    name = text.lstrip(".")
    return ImportedModule(len(text) - len(name), name)


def _by_line(text: str) -> Iterator[ImportedModule]:
    for dots, module, names, plain in _LINE.findall(text):
        for name in plain.split(","):
            if name.split():
                yield ImportedModule(0, name.split()[0])
        if dots or module:
            taken = re.sub(r"[()\\]|#.*", " ", names).split(",")
            yield ImportedModule(len(dots), module, tuple(name.split()[0] for name in taken if name.split()))

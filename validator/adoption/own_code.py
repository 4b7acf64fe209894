"""Finds which modules of a repository define the custom objects that a model's file names. Nothing runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from validator.documents import read_bytes

_FRAMEWORKS = frozenset({"keras", "tf_keras", "tensorflow", "builtins", "keras_nlp", "keras_hub", "keras_cv"})
_MOST_BYTES = 4 << 20
_TRAINS = frozenset({"fit", "train_on_batch"})


@dataclass(frozen=True)
class OwnModules:
    """`modules` define what the file names; `absent` are custom objects that no module defines.

    `running`: those of the modules that train when they are imported. `packages`: what they import that is
    neither the standard library's nor the repository's.
    """

    modules: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass
class _Module:
    name: str
    defines: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    trains: bool = False


def find_own_modules(config: Mapping[str, object], folder: Path, files: Sequence[Path]) -> OwnModules:
    """Look for the custom objects of a saved configuration in Python files below `folder`.

    A custom object is what the configuration says is not the framework's, and, in files of Keras 2 that do
    not say, any class of the repository that has its name.
    """
    custom, plain = _named(config)
    if not custom and not plain:
        return OwnModules()
    modules = [module for path in files if (module := _read(path, folder))]
    chosen: dict[str, _Module] = {}
    absent = []
    for name in sorted(custom | plain):
        defining = sorted((module for module in modules if name in module.defines), key=_preference)
        if defining:
            chosen.setdefault(defining[0].name, defining[0])
        elif name in custom:
            absent.append(name)
    own = {module.name.partition(".")[0] for module in modules}
    imported = {package for module in chosen.values() for package in module.imports}
    return OwnModules(
        modules=tuple(chosen),
        absent=tuple(absent),
        running=tuple(name for name, module in chosen.items() if module.trains),
        packages=tuple(sorted(imported - own - _FRAMEWORKS - _standard())),
    )


def has_lambda(config: object) -> bool:
    """Whether Python bytecode is in the configuration, which `safe_mode` refuses."""
    if isinstance(config, Mapping):
        return config.get("class_name") == "__lambda__" or any(map(has_lambda, config.values()))
    return isinstance(config, list | tuple) and any(map(has_lambda, config))


def _named(config: object) -> tuple[set[str], set[str]]:
    """Names of custom objects; and of classes whose origin the file does not give."""
    custom: set[str] = set()
    plain: set[str] = set()
    for entry in _entries(config):
        name, module = str(entry["class_name"]), entry.get("module")
        registered = str(entry.get("registered_name") or "")
        if name == "function" and isinstance(entry.get("config"), str):
            name = str(entry["config"])
        if ">" in name or ">" in registered:
            custom.add((registered if ">" in registered else name).rpartition(">")[2])
        elif "module" not in entry:
            plain.add(name)
        elif module is None or str(module).partition(".")[0] not in _FRAMEWORKS:
            custom.add(name)
    return custom - {"__lambda__", "__tensor__", "__numpy__", "__typespec__"}, plain


def _entries(config: object) -> Iterator[Mapping[str, object]]:
    """Every serialised object in a configuration."""
    if isinstance(config, Mapping):
        if "class_name" in config and "config" in config:
            yield config
        for part in config.values():
            yield from _entries(part)
    elif isinstance(config, list | tuple):
        for part in config:
            yield from _entries(part)


def _read(path: Path, folder: Path) -> _Module | None:
    parts = path.relative_to(folder).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    if not parts or not all(part.isidentifier() for part in parts):
        return None
    try:
        tree = ast.parse(read_bytes(path, _MOST_BYTES))
    except (OSError, SyntaxError, ValueError):
        return None
    module = _Module(".".join(parts))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            module.defines |= {node.name, *_registered(node)}
        elif isinstance(node, ast.Expr | ast.Assign):
            module.trains = module.trains or any(map(_is_training, ast.walk(node)))
    module.imports |= set(_imported(tree))
    return module


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def _registered(node: ast.ClassDef | ast.FunctionDef) -> Iterator[str]:
    """The names under which decorators register a class: `register_keras_serializable("pkg", "Name")`."""
    for call in node.decorator_list:
        if isinstance(call, ast.Call):
            words = {word.arg: word.value for word in call.keywords}
            named = words.get("name") or (call.args[1] if len(call.args) > 1 else None)
            if isinstance(named, ast.Constant):
                yield str(named.value)


def _is_training(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TRAINS


def _preference(module: _Module) -> tuple[bool, bool, int, str]:
    """A module that is safe to import before one that trains; not a test; the nearest one."""
    return module.trains, "test" in module.name, module.name.count("."), module.name


def _standard() -> frozenset[str]:
    import sys

    return frozenset(sys.stdlib_module_names)

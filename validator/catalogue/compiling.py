"""Reads how a model is compiled from the source that does it. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from validator.catalogue.description import UNKNOWN, Compiled, compilation_features

__all__ = ["compilation", "compilation_features", "compile_calls", "constant", "is_spelled_out", "last"]


def compile_calls(tree: ast.AST) -> list[ast.Call]:
    """Every call of a method `compile`."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "compile"
    ]


def compilation(call: ast.Call, tree: ast.Module) -> Compiled:
    """What a call of `compile` says, with the names that it is given followed to where they are made."""
    assigned = {**_assigned(tree), **_bound(call, tree)}
    words = {word.arg: word.value for word in _keywords(call, tree) if word.arg}
    places = dict(zip(("optimizer", "loss"), call.args, strict=False))
    every: dict[str, ast.expr] = {
        name: _resolved(value, assigned) for name, value in {**places, **words}.items()
    }
    optimizer = every.get("optimizer")
    settings: dict[str, object] = {}
    if isinstance(optimizer, ast.Call):
        settings = {word.arg: constant(word.value) for word in optimizer.keywords if word.arg}
    metrics = (*_strings(every.get("metrics")), *_strings(every.get("weighted_metrics")))
    return Compiled(
        losses=tuple(_strings(every.get("loss"))),
        metrics=metrics,
        optimizer=_optimizer(optimizer),
        settings=settings,
        loss_weights="loss_weights" in every,
        by_name=isinstance(every.get("loss"), ast.Dict),
    )


def is_spelled_out(call: ast.Call, tree: ast.Module) -> bool:
    """Whether every keyword of a call is known: none comes from a mapping that is made elsewhere."""
    return all(word.arg is not None for word in _keywords(call, tree))


def _keywords(call: ast.Call, tree: ast.Module) -> list[ast.keyword]:
    """The keywords of a call; what a helper hands on by `**options` is what it was called with."""
    keywords = []
    for word in call.keywords:
        helper, calls = _helper(call, tree)
        handed = isinstance(word.value, ast.Name) and helper is not None and helper.args.kwarg is not None
        if word.arg is None and handed and len(calls) == 1:
            own = {argument.arg for argument in helper.args.args} if helper else set()
            keywords += [each for each in calls[0].keywords if each.arg not in own]
        else:
            keywords.append(word)
    return keywords


def _helper(call: ast.Call, tree: ast.Module) -> tuple[ast.FunctionDef | None, list[ast.Call]]:
    """The function of a module that a call stands in, and the calls of that function there."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(each is call for each in ast.walk(node)):
            calls = (each for each in ast.walk(tree) if isinstance(each, ast.Call))
            named = [each for each in calls if isinstance(each.func, ast.Name) and each.func.id == node.name]
            return node, named
    return None, []


def _bound(call: ast.Call, tree: ast.Module) -> dict[str, ast.expr]:
    """Parameter of the helper that a call stands in → what it is given, where it is called once."""
    helper, calls = _helper(call, tree)
    if helper is None or len(calls) != 1:
        return {}
    names = [argument.arg for argument in helper.args.args]
    defaults = dict(zip(reversed(names), reversed(helper.args.defaults), strict=False))
    given = dict(zip(names, calls[0].args, strict=False))
    words = {word.arg: word.value for word in calls[0].keywords if word.arg and word.arg in names}
    return {**defaults, **given, **words}


def _resolved(value: ast.expr, assigned: Mapping[str, ast.expr]) -> ast.expr:
    """The value of a name that is assigned once, and of `name or default`; itself for anything else."""
    if isinstance(value, ast.Name):
        return assigned.get(value.id, value)
    if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
        first, *others = (_resolved(each, assigned) for each in value.values)
        none = isinstance(first, ast.Constant) and not first.value
        return others[0] if none else value if isinstance(first, ast.Name) else first
    return value


def _assigned(tree: ast.AST) -> dict[str, ast.expr]:
    """Name → its value, of names that are assigned once."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, []).append(node.value)
    return {name: each[0] for name, each in values.items() if len(each) == 1}


def _optimizer(node: ast.expr | None) -> str:
    if isinstance(node, ast.Call):
        return last(node.func)
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "" if node is None else UNKNOWN


def _strings(node: ast.AST | None) -> Iterator[str]:
    """Losses or metrics as they are spelled: strings, calls, functions of Keras; `UNKNOWN` for a name."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.Call):
        yield last(node.func)
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _strings(value)
    elif isinstance(node, ast.List | ast.Tuple):
        for value in node.elts:
            yield from _strings(value)
    elif node is not None:
        yield UNKNOWN


def constant(node: ast.AST) -> object:
    """A setting as it is spelled out; `UNKNOWN` for one that is computed."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return UNKNOWN


def last(node: ast.AST) -> str:
    """The last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""

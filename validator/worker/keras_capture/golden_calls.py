"""Calls of the baseline made again: recorded arguments, masks included, rebuilt for a layer of this model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from keras_capture.failures import UnusableError
from keras_capture.feeding import to_backend
from keras_capture.imports import Framework
from keras_capture.layers_store import read_entry
from keras_capture.npy import NpyReader
from keras_capture.recording import Text
from keras_capture.values import Ragged


class Golden:
    """What the baseline recorded. `document` is its layers.json; `folder` the folder of its job."""

    def __init__(self, framework: Framework, folder: Path, document: dict) -> None:
        self.framework = framework
        self.calls = document["calls"]
        self.traced = document["mode"] == "traced" and framework.on_tensorflow
        self._tensors = document["tensors"]
        self._folder = folder

    def values(self, number: int) -> object:
        """The recorded values of a tensor: an array, or `Ragged`.

        Raises:
            UnusableError: they were not kept.
        """
        tensor = self._tensors[number]
        entry = tensor["stored"]
        if entry is None:
            why = "it belongs to the body of a loop" if tensor["inner"] else "it is larger than the budget"
            raise UnusableError(f"a tensor {tensor['dtype']} {tensor['shape']} was not recorded: {why}")
        if entry["storage"] == "utf8":
            offsets = NpyReader(self._folder / entry["offsets"])
            shape = tuple(entry["shape"])
            text = Text(self._folder / entry["path"], offsets, shape or (1,))
            values = text.rows(0, (shape or (1,))[0]).reshape(shape)
        else:
            values = read_entry(self._folder, entry)
        splits = tuple(np.load(self._folder / path) for path in entry.get("ragged") or ())
        return Ragged(values, splits) if splits else values


@dataclass(frozen=True)
class Form:
    """One call ready to be made: `tensors` in the order in which `arguments` takes them."""

    owner: object
    tensors: List[object]
    arguments: Callable[[List[object]], Tuple[list, dict]]


def form(golden: Golden, call: dict, owner: object) -> Form:
    """Rebuild a recorded call for a layer of this model.

    Raises:
        UnusableError: an argument was not recorded, or is nothing that could be.
    """
    order = list(_tensors_of([argument["value"] for argument in call["arguments"]]))
    numbers = {number: place for place, number in enumerate(dict.fromkeys(order))}
    tensors = [to_backend(golden.framework, golden.values(number)) for number in numbers]
    accepted = _accepted(owner)

    def arguments(given: List[object]) -> Tuple[list, dict]:
        positional, named = [], {}
        for argument in call["arguments"]:
            name, tree = argument["name"], argument["value"]
            if argument["positional"]:
                positional.append(_value(tree, given, numbers))
            elif name != "training" and not _is_none(tree) and (accepted is None or name in accepted):
                named[name] = _value(tree, given, numbers)
        if accepted is not None and "training" in accepted[len(positional) :]:
            named["training"] = False
        return positional, named

    arguments(list(tensors))  # what cannot be rebuilt shows now
    return Form(owner, tensors, arguments)


def made(call: Form, traced: bool) -> Callable[[], Dict[str, object]]:
    """A function that makes the call, traced as in a prediction or as it is: path → tensor."""
    if not traced:

        def eager() -> Dict[str, object]:
            positional, named = call.arguments(call.tensors)
            return dict(named_leaves(call.owner(*positional, **named)))

        return eager

    import tensorflow

    arguments = tensorflow.autograph.experimental.do_not_convert(call.arguments)
    owner = call.owner

    @tensorflow.function
    def function(tensors: List[object]) -> object:
        positional, named = arguments(tensors)
        return owner(*positional, **named)

    return lambda: dict(named_leaves(function(call.tensors)))


def named_leaves(value: object, path: str = "") -> Iterator[Tuple[str, object]]:
    """Every leaf of a call's result with its path; what a recorded tree gives, too."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from named_leaves(value[key], f"{path}/{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from named_leaves(item, f"{path}/{index}")
    else:
        yield path, value


def tree_leaves(tree: Optional[dict], path: str = "") -> Iterator[Tuple[str, dict]]:
    """Every tensor of a recorded tree with its path."""
    for kind in ("list", "tuple"):
        for index, item in enumerate((tree or {}).get(kind) or ()):
            yield from tree_leaves(item, f"{path}/{index}")
    for key, item in sorted(((tree or {}).get("dict") or {}).items()):
        yield from tree_leaves(item, f"{path}/{key}")
    if "t" in (tree or {}):
        yield path, tree


def _tensors_of(trees: list) -> Iterator[int]:
    for tree in trees:
        for _, leaf in tree_leaves(tree):
            yield leaf["t"]
            if "m" in leaf:
                yield leaf["m"]


def _value(tree: dict, given: List[object], numbers: Dict[int, int]) -> object:
    if "t" in tree:
        tensor = given[numbers[tree["t"]]]
        if "m" in tree:
            tensor._keras_mask = given[numbers[tree["m"]]]
        return tensor
    if "dict" in tree:
        return {key: _value(item, given, numbers) for key, item in tree["dict"].items()}
    if "list" in tree:
        return [_value(item, given, numbers) for item in tree["list"]]
    if "tuple" in tree:
        return tuple(_value(item, given, numbers) for item in tree["tuple"])
    if "v" in tree:
        return tree["v"]
    raise UnusableError(f"an argument is a {tree.get('opaque')}, which is not recorded")


def _is_none(tree: dict) -> bool:
    return "v" in tree and tree["v"] is None


def _accepted(owner: object) -> Optional[List[str]]:
    """Names of the arguments that a layer's call takes; None where it takes any."""
    try:
        parameters = inspect.signature(owner.call).parameters.values()
    except (TypeError, ValueError, AttributeError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]

"""Records every call of a layer or graph operation while a model runs: who, with what, in which order.

The base class's `__call__` is replaced for the time of one run. Inside a traced function the tensors are
symbolic; whoever owns the recorder decides what becomes of their values .
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np

from keras_capture.model.imports import Framework
from keras_capture.model.perturbing import dtype_of
from keras_capture.model.structures import is_sequence
from keras_capture.model.values import dtype_name

Shape = Tuple[Optional[int], ...]
_PLAIN = (bool, int, float, str, type(None))
_LONGEST = 200  # characters of a string argument


@dataclass
class Tensor:
    """One tensor of a run: `inner` ones live in the body of a loop or branch.

    `value` is the framework's while the tensor is taken; symbolic ones, which hold no values, stay.
    """

    number: int
    value: object
    dtype: str
    shape: Shape
    ragged: bool = False
    inner: bool = False
    producer: Optional[int] = None


@dataclass
class Call:
    """One call; arguments and result as docs/protocol.md describes them."""

    number: int
    owner: object
    parent: Optional[int]
    path: str
    occurrence: int
    operation: bool
    arguments: List[dict]
    result: object = None
    received: Dict[str, object] = field(default_factory=dict)
    failed: bool = False


class Recorder:
    """What was called. `new_tensor` hears of every tensor once, when it is first seen."""

    def __init__(self, framework: Framework, new_tensor: Callable[[Tensor], None]) -> None:
        self.framework = framework
        self.calls: List[Call] = []
        self.tensors: List[Tensor] = []
        self._new_tensor = new_tensor
        self._numbers: Dict[int, int] = {}
        self._stack: List[Call] = []
        self._times: Dict[Tuple[int, str], int] = {}
        self._graph: object = None
        self._weak: List[weakref.ref] = []

    def enter(self, owner: object, arguments: Tuple[tuple, dict], operation: bool) -> Call:
        """A call begins."""
        if not self._stack:
            self._graph = self._current_graph()
        parent = self._stack[-1] if self._stack else None
        # The model itself has no name of its own: automatic ones differ from version to version.
        path = "" if parent is None else "/".join(filter(None, (parent.path, str(owner.name))))
        key = (id(owner), path)
        self._times[key] = occurrence = self._times.get(key, -1) + 1
        number = len(self.calls)
        call = Call(number, owner, parent and parent.number, path, occurrence, operation, [])
        self.calls.append(call)
        call.arguments = [
            {"name": name, "positional": positional, "value": self._tree(value)}
            for name, positional, value in _bound(owner, *arguments)
        ]
        self._stack.append(call)
        return call

    def received(self, owner: object, arguments: Tuple[tuple, dict]) -> None:
        """What the running call's own code is given (Keras 3): converted, with masks, and with defaults."""
        call = self._stack[-1] if self._stack else None
        if call is not None and call.owner is owner and not call.received:
            given = {name: value for name, _, value in _bound(owner, *arguments)}
            call.received = {name: self._tree(value) for name, value in {**_defaults(owner), **given}.items()}

    def passed(self, call: Call, result: object) -> object:
        """What a call's caller gets in place of its result."""
        return result

    def leave(self, call: Call, result: object) -> None:
        """A call returned."""
        self._stack.pop()
        call.result = self._tree(result, call.number)

    def fail(self, call: Call) -> None:
        """A call raised; whoever called it may catch that."""
        while self._stack and self._stack.pop() is not call:
            pass
        call.failed = True

    def is_tensor(self, value: object) -> bool:
        """Whether this is a tensor with values, or one of the graph that is being traced."""
        if self.framework.on_tensorflow:
            import tensorflow

            kinds = (tensorflow.Tensor, tensorflow.RaggedTensor, tensorflow.SparseTensor, tensorflow.Variable)
            if isinstance(value, kinds):
                return dtype_of(value) not in ("resource", "variant")
        if isinstance(value, np.ndarray):
            return dtype_name(value) is not None
        if type(value).__name__ == "KerasTensor":
            return False
        keras_3 = getattr(self.framework.keras, "ops", None)
        return keras_3 is not None and bool(keras_3.is_tensor(value))

    def _tree(self, value: object, producer: Optional[int] = None) -> object:
        """A structure with tensors replaced by their numbers."""
        if isinstance(value, Mapping):
            return {"dict": {str(key): self._tree(item, producer) for key, item in value.items()}}
        if is_sequence(value):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [self._tree(item, producer) for item in value]}
        if self.is_tensor(value):
            tree = {"t": self._number(value, producer)}
            mask = getattr(value, "_keras_mask", None)  # in Keras 2.15, tf_keras 2.17, Keras 3.3.3 to 3.15.1
            if mask is not None and self.is_tensor(mask):
                tree["m"] = self._number(mask, producer)
            return tree
        if isinstance(value, float) and not math.isfinite(value):
            return {"f": repr(float(value))}  # JSON has no such number
        if isinstance(value, _PLAIN):
            return {"v": value} if not isinstance(value, str) else {"v": value[:_LONGEST]}
        return {"opaque": type(value).__name__}

    def _number(self, value: object, producer: Optional[int]) -> int:
        known = self._numbers.get(id(value))
        if known is not None:
            return known
        number = len(self.tensors)
        tensor = Tensor(number, value, dtype_of(value), shape_of(value), hasattr(value, "flat_values"))
        tensor.inner, tensor.producer = self._is_inner(value), producer
        self._numbers[id(value)] = number
        self.tensors.append(tensor)
        self._new_tensor(tensor)
        if self._graph is None:
            self._let_go(tensor)
        return number

    def _let_go(self, tensor: Tensor) -> None:
        """Do not keep the values of an eager run alive; when they are gone, their id may come again."""
        identity = id(tensor.value)
        try:
            weak = weakref.ref(tensor.value, lambda _: self._numbers.pop(identity, None))
        except TypeError:
            return
        self._weak.append(weak)
        tensor.value = None

    def _is_inner(self, value: object) -> bool:
        return self._current_graph() is not self._graph and not isinstance(value, np.ndarray)

    def _current_graph(self) -> object:
        if not self.framework.on_tensorflow:
            return None
        import tensorflow

        return None if tensorflow.executing_eagerly() else tensorflow.compat.v1.get_default_graph()


@contextlib.contextmanager
def tapped(recorder: Recorder) -> Iterator[None]:
    """Have every call on this thread recorded. Only the attribute of the base classes changes."""
    layer, operation = _bases(recorder.framework)
    kept = [(base, base.__dict__["__call__"]) for base in (layer, operation) if base is not None]
    layer.__call__ = _recording(recorder, layer.__call__)
    if operation is not None:
        operation.__call__ = _recording(recorder, operation.__call__, layer)
    try:
        yield
    finally:
        for base, original in kept:
            base.__call__ = original


def _recording(recorder: Recorder, original: Callable, layer: Optional[type] = None) -> Callable:
    """`original`, recorded. That of operations runs for each `layer` too, with what its own code is given."""

    @functools.wraps(original)  # with its __module__: AutoGraph tells the framework's code by it
    def __call__(self, *args, **kwargs):  # noqa: N807
        if layer is not None and isinstance(self, layer):
            recorder.received(self, (args, kwargs))
            return original(self, *args, **kwargs)
        call = recorder.enter(self, (args, kwargs), operation=layer is not None)
        try:
            result = original(self, *args, **kwargs)
        except BaseException:
            recorder.fail(call)
            raise
        result = recorder.passed(call, result)
        recorder.leave(call, result)
        return result

    return __call__


def _bases(framework: Framework) -> Tuple[type, Optional[type]]:
    """The classes whose `__call__` every layer, and every operation of Keras 3, goes through."""
    # These modules are private: seen in Keras 2.15 and tf_keras 2.17, and in Keras 3.3.3 to 3.15.1.
    root = framework.name
    if framework.is_keras_2:
        return importlib.import_module(f"{root}.src.engine.base_layer").Layer, None
    layer = importlib.import_module(f"{root}.src.layers.layer").Layer
    return layer, importlib.import_module(f"{root}.src.ops.operation").Operation


def _bound(owner: object, args: tuple, kwargs: dict) -> List[Tuple[str, bool, object]]:
    """Arguments with the names that `call` gives them: (name, given by position, value)."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters_of(owner) or () if parameter.kind in kinds]
    names += map(str, range(len(names), len(args)))
    return [(name, True, value) for name, value in zip(names, args)] + [
        (name, False, value) for name, value in kwargs.items()
    ]


def _defaults(owner: object) -> Dict[str, object]:
    """What the `call` of a layer takes where nothing is given."""
    return {
        parameter.name: parameter.default
        for parameter in parameters_of(owner) or ()
        if parameter.default is not parameter.empty
    }


def parameters_of(owner: object) -> Optional[List[inspect.Parameter]]:
    """What the `call` of a layer takes; None where it does not say."""
    try:
        return list(inspect.signature(owner.call).parameters.values())
    except (TypeError, ValueError, AttributeError):
        return None


def shape_of(value: object) -> Shape:
    """A tensor's shape as far as it is known; of a ragged one, that of its flat values."""
    shape = getattr(flat_of(value), "shape", ())
    if getattr(shape, "rank", 0) is None:
        return (None,)
    return tuple(None if length is None else int(length) for length in shape)


def flat_of(value: object) -> object:
    """The flat values of a ragged tensor, any other tensor as it is."""
    return getattr(value, "flat_values", value)


def tree_leaves(tree: Optional[dict], path: str = "") -> Iterator[Tuple[str, dict]]:
    """Every tensor of a recorded tree with its path."""
    for kind in ("list", "tuple"):
        for index, item in enumerate((tree or {}).get(kind) or ()):
            yield from tree_leaves(item, f"{path}/{index}")
    for key, item in sorted(((tree or {}).get("dict") or {}).items()):
        yield from tree_leaves(item, f"{path}/{key}")
    if "t" in (tree or {}):
        yield path, tree


def tensors_of(trees: Iterable[dict]) -> Iterator[int]:
    """The numbers of all tensors and masks of recorded trees."""
    for tree in trees:
        for _, leaf in tree_leaves(tree):
            yield leaf["t"]
            if "m" in leaf:
                yield leaf["m"]

"""A traced TensorFlow function run in float64: the same graph with every floating type widened.

Constants and weights are the numbers that the graph holds, so casts in the code and half-precision policies
widen like everything else. Needs nothing of Keras.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Dict, List, Optional

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from keras_capture.numbers import MANTISSA
from keras_capture.outputs.operations import Call, NoOperations
from keras_capture.outputs.rounding_tensorflow import CHOICE, intercepting, recreated

_FLOATS = frozenset((types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16))
_WIDER = {**dict.fromkeys(_FLOATS, types_pb2.DT_DOUBLE), types_pb2.DT_COMPLEX64: types_pb2.DT_COMPLEX128}
#: In the names of an op that has no kernel for float64, and of casts around it.
_INTO, _OUT_OF, _NARROW = "float64_to_narrow", "narrow_to_float64", "narrow_op"
#: Ops whose types are those of something outside the graph, or of bits.
_FIXED = ("Lookup", "Bitcast", "Iterator", "Optional", "Parse", "Decode", "Quantize", "FakeQuant")
_NORMALIZATIONS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
_numbers = itertools.count()


class Widened:
    """A function of one batch, run in float64. States that it keeps are its own: those of the model stay.

    Raises `NoOperations` at the first call where an op has no kernel for float64 and nothing can stand in.
    """

    def __init__(self, function: Call, traced: Callable[[Call], object]) -> None:
        self._traced = traced(_within(function))
        self._runs: Dict[object, _Widening] = {}
        self._variables: Dict[int, object] = {}

    def __call__(self, batch: object) -> object:
        """The outputs in the function's structure."""
        try:
            concrete = self._traced.get_concrete_function(batch)
            if concrete not in self._runs:
                self._runs[concrete] = self._widening(concrete)
            return self._runs[concrete](batch)
        except NoOperations:
            raise
        except (tf.errors.OpError, ValueError, TypeError, NotImplementedError) as error:
            raise NoOperations("not-traceable", f"{type(error).__name__}: {error}") from error

    def _widening(self, concrete: object) -> _Widening:
        variables = {id(variable.handle): variable for variable in concrete.variables}
        held, places = [], []
        for outer, inner in concrete.graph.captures:
            held.append(self._held(outer, variables.get(id(outer))))
            places.append(inner.name)
        return _Widening(concrete, places, held)

    def _held(self, captured: object, variable: Optional[object]) -> object:
        """A captured tensor, wider; for the handle of a variable, that of a wider copy."""
        if variable is None:
            return _wide(captured)
        if id(captured) not in self._variables:
            if variable.dtype.name not in MANTISSA:
                copy = tf.Variable(variable, trainable=False)
            else:
                copy = tf.Variable(tf.cast(variable, tf.float64), trainable=False, shape=variable.shape)
            self._variables[id(captured)] = copy
        return self._variables[id(captured)].handle


def _within(function: Call) -> Call:
    def run(batch: object) -> object:
        with intercepting(_stand_in):
            return function(batch)

    return run


class _Widening:
    """A concrete function's graph in float64, with what it captured."""

    def __init__(self, concrete: object, places: Sequence[str], held: Sequence[object]) -> None:
        graph = concrete.graph
        definition = graph.as_graph_def()
        outputs = [tensor.name for tensor in concrete.outputs]
        effects = [op.name for op in graph.control_outputs]
        _widen(definition, [*outputs, *effects, *(tensor.name for tensor in graph.inputs)])
        inputs = [tensor.name for tensor in graph.inputs if tensor.name not in set(places)]
        wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
        feeds = [wrapped.graph.get_tensor_by_name(name) for name in (*inputs, *places)]
        fetches = [wrapped.graph.as_graph_element(name) for name in (*outputs, *effects)]
        self._run = wrapped.prune(feeds, fetches)
        self._held = held
        self._structure = concrete.structured_outputs

    def __call__(self, batch: object) -> object:
        given = [_wide(tensor) for tensor in tf.nest.flatten(batch, expand_composites=True)]
        returned = iter(self._run(*given, *self._held))
        return _filled(self._structure, returned)


def _filled(structure: object, tensors: Iterator[object]) -> object:
    """The structure with tensors in place of symbolic ones; ragged and sparse ones from their components."""

    def fill(leaf: object) -> object:
        if isinstance(leaf, (tf.RaggedTensor, tf.RaggedTensorSpec)):
            values, splits = next(tensors), [next(tensors) for _ in range(leaf.ragged_rank)]
            return tf.RaggedTensor.from_nested_row_splits(values, splits)
        if isinstance(leaf, (tf.SparseTensor, tf.SparseTensorSpec)):
            return tf.SparseTensor(*(next(tensors) for _ in range(3)))
        return None if leaf is None else next(tensors)

    return tf.nest.map_structure(fill, structure)


def _wide(value: object) -> object:
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype.is_floating:
        return tf.cast(tensor, tf.float64)
    return tf.cast(tensor, tf.complex128) if tensor.dtype.is_complex else tensor


def _stand_in(
    op_type: str, inputs: tuple, attrs: tuple, outputs: tuple, **place: object
) -> Optional[List[object]]:
    """The signature of an op callback: what is put in place of ops that have no kernel for float64."""
    if place["graph"] is None or not outputs:
        return None
    op = outputs[0].op
    if op_type in _NORMALIZATIONS and not op.get_attr("is_training"):
        return [_normalized(op), *outputs[1:]]
    if not any(tensor.dtype.name in MANTISSA for tensor in (*op.inputs, *outputs)) or _widens(op):
        return None
    narrowed = recreated(op, [_cast(tensor, _INTO) for tensor in op.inputs], _NARROW)
    return [_cast(tensor, _OUT_OF) for tensor in narrowed]


def _cast(tensor: object, name: str) -> object:
    """A cast to its own type, by whose name one of its types is widened later."""
    if tensor.dtype.name not in MANTISSA:
        return tensor
    return tf.raw_ops.Cast(x=tensor, DstT=tensor.dtype, name=name)


def _normalized(op: object) -> object:
    """Batch normalization at inference, written out: the fused op takes no float64."""
    values, scale, offset, mean, variance = op.inputs
    shape = [1, -1, *[1] * (values.shape.rank - 2)] if op.get_attr("data_format")[1:2] == b"C" else [-1]
    scale, offset, mean, variance = (
        tf.reshape(tf.cast(tensor, values.dtype), shape) for tensor in (scale, offset, mean, variance)
    )
    factor = tf.math.rsqrt(variance + tf.cast(op.get_attr("epsilon"), values.dtype)) * scale
    return (values - mean) * factor + offset


def _widens(op: object) -> bool:
    """Whether the op has a kernel for float64 in the places where it has a narrower floating type."""
    if op.type.startswith(_FIXED):
        return False
    attributes = set()
    for argument in (*op.op_def.input_arg, *op.op_def.output_arg):
        if argument.type in _FLOATS:
            return False
        if argument.type_attr and op.get_attr(argument.type_attr).as_datatype_enum in _FLOATS:
            attributes.add(argument.type_attr)
    return _has_kernel(op.type, frozenset(attributes))


@lru_cache(maxsize=None)
def _has_kernel(op_type: str, attributes: frozenset) -> bool:
    """Whether a kernel of the op takes float64 for all of these attributes."""
    # Not in the public API; from 2.13 to 2.21 in
    # https://github.com/tensorflow/tensorflow/blob/v2.17.1/tensorflow/python/framework/kernels.py
    from tensorflow.python.framework.kernels import get_registered_kernels_for_op

    registered = get_registered_kernels_for_op(op_type).kernel
    kernels = [kernel for kernel in registered if kernel.device_type in ("CPU", "DEFAULT")]
    return not kernels or any(
        all(
            types_pb2.DT_DOUBLE in constraint.allowed_values.list.type
            for constraint in kernel.constraint
            if constraint.name in attributes
        )
        for kernel in kernels
    )


def _widen(definition: object, kept: Iterable[str]) -> None:
    """Widen a graph and its library in place; what nothing needs is left out, also of functions.

    The functions get new names: eager execution knows others by the old ones.
    """
    suffix = f"_float64_{next(_numbers)}"
    known = [function.signature.name for function in definition.library.function]
    renamed = {name: name + suffix for name in known}
    del definition.library.gradient[:]
    _prune(definition.node, kept)
    for node in definition.node:
        _widen_node(node, renamed)
    for function in definition.library.function:
        signature = function.signature
        signature.name = renamed[signature.name]
        for argument in (*signature.input_arg, *signature.output_arg):
            argument.type = _WIDER.get(argument.type, argument.type)
        _prune(function.node_def, [*function.ret.values(), *function.control_ret.values()])
        for node in function.node_def:
            _widen_node(node, renamed)


def _prune(nodes: object, kept: Iterable[str]) -> None:
    """Leave out nodes that nothing kept depends on: ops that something else stands in for, and rounding."""
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if node.name.rpartition("/")[2].startswith(CHOICE):  # in an inner function that was traced before
            unmoved, kind = node.input[1], node.attr["T"].type
            node.op = "Identity"
            node.input[:] = [unmoved, *(name for name in node.input if name.startswith("^"))]
            node.attr.clear()
            node.attr["T"].type = kind
    needed, waiting = set(), [*kept]
    while waiting:
        name = waiting.pop().lstrip("^").partition(":")[0]
        if name in by_name and name not in needed:
            needed.add(name)
            waiting += by_name[name].input
    for place in reversed(range(len(nodes))):
        if nodes[place].name not in needed:
            del nodes[place]


def _narrow_attributes(node: object) -> Iterable[str]:
    """The attributes whose types stay."""
    name = node.name.rpartition("/")[2]
    if name.startswith(_NARROW):
        return [*node.attr]
    return ("DstT",) if name.startswith(_INTO) else ("SrcT",) if name.startswith(_OUT_OF) else ()


def _widen_node(node: object, renamed: Dict[str, str]) -> None:
    node.op = renamed.get(node.op, node.op)
    node.attr.pop("_output_shapes", None)
    kept = _narrow_attributes(node)
    for name, attribute in node.attr.items():
        kind = attribute.WhichOneof("value")
        for function in [attribute.func] if kind == "func" else [*attribute.list.func]:
            function.name = renamed.get(function.name, function.name)
        if name in kept:
            continue
        if kind == "type":
            attribute.type = _WIDER.get(attribute.type, attribute.type)
        elif kind == "tensor" and attribute.tensor.dtype in _WIDER:
            wide = np.complex128 if attribute.tensor.dtype not in _FLOATS else np.float64
            attribute.tensor.CopyFrom(tf.make_tensor_proto(tf.make_ndarray(attribute.tensor).astype(wide)))
        elif kind == "list" and attribute.list.type:
            types = [_WIDER.get(kind, kind) for kind in attribute.list.type]
            del attribute.list.type[:]
            attribute.list.type.extend(types)

"""Monte Carlo arithmetic in TensorFlow: ops that move what was rounded, put into a graph while it is traced.

The only module that touches op callbacks. They are not in TensorFlow's public API, but its numerics checker
stands on them, in every release from 2.13 to 2.21. A callback may return other outputs for an op, and is
called in the bodies of loops, branches and inner functions as well:
https://github.com/tensorflow/tensorflow/blob/v2.17.1/tensorflow/python/framework/op_callbacks.py#L22
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

import tensorflow as tf

from keras_capture.model.perturbing import EXACT_BITS
from keras_capture.numbers import MANTISSA
from keras_capture.outputs.operations import NoOperations, names

#: Ops that move, choose or compare numbers, or hold and call: they round nothing themselves.
_EXACT = names(
    """
    Const Placeholder PlaceholderWithDefault Identity IdentityN StopGradient PreventGradient Snapshot
    EnsureShape VarHandleOp VariableV2 ReadVariableOp AssignVariableOp ResourceGather ResourceGatherNd
    Bitcast Cast Copy DeepCopy CheckNumerics CheckNumericsV2 Real Imag Complex Conj OptionalGetValue
    IteratorGetNext Reshape Squeeze ExpandDims Transpose ConjugateTranspose Gather GatherV2 GatherNd
    Concat ConcatV2 Pack Unpack Split SplitV Slice StridedSlice TensorStridedSliceUpdate Pad PadV2
    MirrorPad Tile BroadcastTo Fill ZerosLike OnesLike Reverse ReverseV2 ReverseSequence Roll ScatterNd
    ScatterNdUpdate TensorScatterUpdate TensorScatterMax TensorScatterMin DynamicStitch
    ParallelDynamicStitch DynamicPartition SpaceToBatchND SpaceToBatch BatchToSpaceND BatchToSpace
    SpaceToDepth DepthToSpace ExtractImagePatches ExtractVolumePatches Diag DiagPart MatrixDiag
    MatrixDiagV2 MatrixDiagV3 MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixSetDiag
    MatrixSetDiagV2 MatrixSetDiagV3 MatrixBandPart ResizeNearestNeighbor RaggedTensorToTensor
    RaggedGather RaggedTensorToVariant RaggedTensorFromVariant SparseReshape SparseReorder SparseSlice
    SparseToDense SparseFillEmptyRows SparseConcat Select SelectV2 Where Max Min Maximum Minimum ArgMax
    ArgMin TopK TopKV2 NthElement InTopKV2 Sort Unique UniqueV2 UniqueWithCounts Relu Relu6 ClipByValue
    MaxPool MaxPoolV2 MaxPool3D MaxPoolWithArgmax SegmentMax SegmentMin UnsortedSegmentMax
    UnsortedSegmentMin NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5
    CombinedNonMaxSuppression Neg Abs Sign Round Rint Floor Ceil FloorMod Mod TruncateMod NextAfter
    OneHot Range LinSpace Bucketize RandomUniform RandomStandardNormal TruncatedNormal RandomShuffle
    StatelessRandomUniform StatelessRandomUniformV2 StatelessRandomNormal StatelessRandomNormalV2
    StatelessTruncatedNormal StatelessTruncatedNormalV2 Multinomial StatefulUniform
    StatefulStandardNormalV2 StatefulTruncatedNormal LookupTableFindV2 LookupTableExportV2 StringToNumber
    ParseTensor DecodeRaw ParseExampleV2 PartitionedCall StatefulPartitionedCall While StatelessWhile If
    StatelessIf Case StatelessCase Enter Exit Switch Merge NextIteration LoopCond TensorListReserve
    TensorListFromTensor TensorListGetItem TensorListSetItem TensorListStack TensorListGather
    TensorListElementShape TensorListSplit TensorListConcatV2 TensorListPopBack TensorListPushBack
    TensorArrayV3 TensorArrayReadV3 TensorArrayWriteV3 TensorArrayGatherV3 TensorArrayScatterV3
    TensorArrayConcatV3 Assert Print PrintV2
    """
)
#: Ops that add up products or many terms: another order of the sum is as good as other operands.
_CONTRACTIONS = names(
    """
    MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 SparseMatMul SparseTensorDenseMatMul Einsum Cross Conv
    Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Conv3DBackpropInputV2
    DepthwiseConv2dNativeBackpropInput Dilation2D Sum Mean Prod Cumsum Cumprod CumulativeLogsumexp AddN
    EuclideanNorm L2Loss SegmentSum SegmentMean SegmentProd UnsortedSegmentSum UnsortedSegmentProd
    SparseSegmentSum SparseSegmentMean SparseSegmentSqrtN SparseReduceSum ScatterNdAdd TensorScatterAdd
    TensorScatterSub AvgPool AvgPool3D Softmax LogSoftmax LRN FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 BiasAdd SquaredDifference FFT FFT2D FFT3D IFFT IFFT2D IFFT3D RFFT RFFT2D IRFFT
    IRFFT2D ResizeBilinear ResizeBicubic ResizeArea CropAndResize ScaleAndTranslate MatrixInverse
    MatrixSolve MatrixTriangularSolve Cholesky Qr Svd SelfAdjointEigV2
    """
)
#: Ops whose result can be an operand: x + 0, x · 1, and what a huge term swallowed.
_ABSORBING = names("Add AddV2 Sub Mul RealDiv Div MulNoNan DivNoNan BiasAdd")
_CALLS = names("PartitionedCall StatefulPartitionedCall")
_SOURCES = {"Const": "constant", "Placeholder": "input", "PlaceholderWithDefault": "input"}
_READS = names("ReadVariableOp ResourceGather ResourceGatherNd")

CHOICE = "moved_by_rounding"  # the name of ops that give a number, or the same moved

_INTEGERS = {2: tf.int16, 4: tf.int32, 8: tf.int64}
_PARTS = {tf.complex64: tf.float32, tf.complex128: tf.float64}
_PHILOX = 1  # the algorithm of tf.random.Algorithm that every device has
#: Odd numbers that keep the draws of a member, a batch, a turn of a loop and an op apart.
_OF_MEMBER, _OF_CALL = 0x9E3779B97F4A7C1, 0x27D4EB2F1656673
_OF_TURN, _OF_PLACE = 0x165667B19E3779F, 0x2545F4914F6CDD1


@contextlib.contextmanager
def intercepting(callback: Callable[..., Optional[Sequence[object]]]) -> Iterator[None]:
    """In a function that is being traced: `callback` sees every new op, and may give other outputs for it."""
    try:
        from tensorflow.python.framework import op_callbacks

        add, remove = op_callbacks.add_op_callback, op_callbacks.remove_op_callback
    except (ImportError, AttributeError) as error:
        raise NoOperations("unsupported-version", f"TensorFlow {tf.__version__}: {error}") from error
    add(callback)
    try:
        yield
    finally:
        remove(callback)


def recreated(op: object, inputs: Sequence[object], name: Optional[str] = None) -> List[object]:
    """The outputs of another op like this one, with other inputs."""
    return op.graph.create_op(
        op.type,
        list(inputs),
        [output.dtype for output in op.outputs],
        name=name,
        attrs=dict(op.node_def.attr),
        op_def=op.op_def,
    ).outputs


@lru_cache(maxsize=None)
def _switches() -> Tuple[object, object]:
    """What is drawn from (int64), and how many units things move (float64: 1 or 0)."""
    with tf.device("CPU"):
        seed = tf.Variable([0], dtype=tf.int64, trainable=False, name="rounding_seed")
        return seed, tf.Variable(0.0, dtype=tf.float64, trainable=False, name="rounding_unit")


class Rounding:
    """A callback that moves what ops give by the unit in the last place, as `draw` says while the graph runs.

    An inner `tf.function` keeps the trace with what was put in. It stays usable, and moves nothing after
    `rest`: draws depend on variables, which live as long as the process.
    """

    def __init__(self, assigned: Sequence[object]) -> None:
        """`assigned` are variables that are moved where they live; others are moved where they are read."""
        self._seed, self._unit = _switches()
        self._assigned = {id(variable.handle) for variable in assigned}
        self._moved: Set[object] = set()  # references to tensors
        self._graphs: Dict[int, _Draws] = {}
        self._seen: Set[str] = set()  # names of graphs, which a later trace may call
        self._places = 0

    def draw(self, member: int, call: int) -> None:
        """What the next run draws."""
        self._seed.assign([_wrapped((member + 1) * _OF_MEMBER + call * _OF_CALL)])
        self._unit.assign(1.0)

    def rest(self) -> None:
        """The next run moves nothing."""
        self._unit.assign(0.0)

    @contextlib.contextmanager
    def tracing(self) -> Iterator[None]:
        """A function is traced here; the same code draws the same in every trace."""
        self._moved, self._graphs, self._places = set(), {}, 0
        with intercepting(self):
            yield

    def __call__(
        self, op_type: str, inputs: tuple, attrs: tuple, outputs: tuple, **place: object
    ) -> Optional[List[object]]:
        """The signature of an op callback."""
        graph = place["graph"]
        if getattr(graph, "name", ""):
            self._seen.add(graph.name)
        if graph is None or not any(map(_floats, outputs)) or self._is_exact(op_type, outputs):
            return None
        if any(map(_is_gradient, _around(graph))):
            return None  # built for later; TensorFlow takes no further captures there
        draws, results = self._draws(graph), list(outputs)
        if op_type in _CONTRACTIONS and not draws.in_loop:
            op = outputs[0].op
            raw = [_floats(operand) and self._source(operand, {}) != "" for operand in op.inputs]
            if any(raw):
                moved = (self._jittered(x, draws) if move else x for x, move in zip(op.inputs, raw))
                results = list(recreated(op, list(moved)))
        operands = outputs[0].op.inputs if op_type in _ABSORBING else ()
        results = [self._jittered(y, draws, operands) if _floats(y) else y for y in results]
        self._moved.update(result.ref() for result in results)
        return results

    def _is_exact(self, op_type: str, outputs: tuple) -> bool:
        """Whether nothing is to be moved here. One that was traced elsewhere counts as a rounding."""
        if op_type not in _CALLS:
            return op_type in _EXACT
        called = outputs[0].op.get_attr("f").name
        return any(f"_{name}_" in called for name in self._seen)

    def _source(self, tensor: object, known: Dict[object, str]) -> str:
        """Where a tensor is from that only exact ops led to: `constant`, `input`; "" for what was moved.

        What is chosen from both is neither: a mask put into scores is no rounded number.
        """
        if tensor.ref() not in known:
            known[tensor.ref()] = "" if tensor.ref() in self._moved else self._source_of(tensor.op, known)
        return known[tensor.ref()]

    def _source_of(self, op: object, known: Dict[object, str]) -> str:
        if op.type in _READS:
            return "" if id(_outermost(op.inputs[0])) in self._assigned else "constant"
        if op.type in _SOURCES or op.type not in _EXACT or op.type in _CALLS:
            return _SOURCES.get(op.type, "")
        sources = {self._source(operand, known) for operand in op.inputs if _floats(operand)}
        return sources.pop() if len(sources) == 1 else ""

    def _draws(self, graph: object) -> _Draws:
        if id(graph) not in self._graphs:
            self._graphs[id(graph)] = _Draws(graph, self._seed, self._unit)
        return self._graphs[id(graph)]

    def _jittered(self, values: object, draws: _Draws, operands: Sequence[object] = ()) -> object:
        """Values times 1 + (2r - 1)·unit, r uniform; what looks exact or equals an operand stays."""
        raw = tf.raw_ops
        if values.dtype in _PARTS:
            part = _PARTS[values.dtype]
            real, imaginary = raw.Real(input=values, Tout=part), raw.Imag(input=values, Tout=part)
            return tf.complex(self._jittered(real, draws), self._jittered(imaginary, draws))
        dtype, half = values.dtype, values.dtype.size == 2
        working = tf.float32 if half else dtype
        self._places += 1
        unit = draws.unit(dtype, working)
        shape = values.shape.as_list() if values.shape.is_fully_defined() else raw.Shape(input=values)
        uniform = draws.uniform(self._places, shape, working)
        factor = raw.AddV2(x=raw.Mul(x=uniform, y=unit.width), y=unit.least)
        moved = raw.Mul(x=raw.Cast(x=values, DstT=working) if half else values, y=factor)
        bits = raw.BitwiseAnd(x=raw.Bitcast(input=values, type=unit.low.dtype), y=unit.low)
        still = raw.Equal(x=bits, y=unit.zero)
        for operand in operands:
            still = raw.LogicalOr(x=still, y=raw.Equal(x=values, y=operand))
        moved = raw.Cast(x=moved, DstT=dtype) if half else moved
        return raw.SelectV2(condition=still, t=values, e=moved, name=CHOICE)


class _Unit(NamedTuple):
    """What moves numbers of a dtype, as tensors of a graph.

    A uniform number times `width` (2 units in the last place) plus `least` (1 less one unit) is a factor. A
    number whose bits in `low` are `zero` looks exact.
    """

    width: object
    least: object
    low: object
    zero: object


class _Draws:
    """What the ops of one graph draw from: read once a graph, so that a loop draws anew in every turn."""

    def __init__(self, graph: object, seed: object, unit: object) -> None:
        self.graph = graph
        self.in_loop = any(_is_loop(around) for around in _control_flow(graph))
        self._unit = unit
        self._units: Dict[object, _Unit] = {}
        self._counter = tf.constant([0, 0], tf.uint64)
        self._key = seed.read_value()
        for around in _control_flow(graph):
            turn = _turn(around)
            if turn is not None:
                self._key = self._key + tf.cast(turn, tf.int64) * _OF_TURN

    def unit(self, dtype: object, working: object) -> _Unit:
        """What moves numbers of a dtype that are multiplied in another one."""
        if dtype not in self._units:
            unit = self._unit.read_value() * 2.0 ** -MANTISSA[dtype.name]
            integers = _INTEGERS[dtype.size]
            low = tf.constant((1 << EXACT_BITS[dtype.name]) - 1, integers)
            factors = tf.cast(unit * 2, working), tf.cast(1 - unit, working)
            self._units[dtype] = _Unit(*factors, low, tf.constant(0, integers))
        return self._units[dtype]

    def uniform(self, place: int, shape: object, dtype: object) -> object:
        """Uniform numbers in [0, 1)."""
        key = tf.raw_ops.Bitcast(input=self._key + _wrapped(place * _OF_PLACE), type=tf.uint64)
        return tf.raw_ops.StatelessRandomUniformV2(
            shape=shape, key=key, counter=self._counter, alg=_PHILOX, dtype=dtype
        )


def _wrapped(number: int) -> int:
    """The number as 64 bits with a sign hold it."""
    return (number + 2**63) % 2**64 - 2**63


def _floats(tensor: object) -> bool:
    return tensor.dtype.name in MANTISSA or tensor.dtype in _PARTS


def _control_flow(graph: object) -> Iterator[object]:
    """The graph, and those around it up to the function that it belongs to."""
    yield graph
    # By name, of the classes in tensorflow/python/ops/control_flow_v2_func_graphs.py (2.13 to 2.21).
    while type(graph).__name__ in ("WhileBodyFuncGraph", "WhileCondFuncGraph", "CondBranchFuncGraph"):
        graph = graph.outer_graph
        yield graph


def _around(graph: object) -> Iterator[object]:
    """The graph, and every one around it."""
    while graph is not None:
        yield graph
        graph = getattr(graph, "outer_graph", None)


def _is_gradient(graph: object) -> bool:
    # By name: https://github.com/tensorflow/tensorflow/blob/v2.17.1/tensorflow/python/ops/while_v2.py#L896
    return getattr(graph, "name", "").startswith("__backward_") or "GradFuncGraph" in type(graph).__name__


def _is_loop(graph: object) -> bool:
    return type(graph).__name__ in ("WhileBodyFuncGraph", "WhileCondFuncGraph")


def _turn(graph: object) -> Optional[object]:
    """The number of the turn, in the body of a loop: its first argument, a scalar int32."""
    if not _is_loop(graph):
        return None
    first = graph.get_operations()[0].outputs[0]
    return first if (first.dtype, first.shape.rank) == (tf.int32, 0) else None


def _outermost(tensor: object) -> object:
    """What a placeholder of a captured tensor stands for outside of all functions."""
    captures = getattr(getattr(tensor, "graph", None), "captures", ())  # an eager tensor has no graph
    outer = next((outer for outer, inner in captures if inner is tensor), None)
    return tensor if outer is None else _outermost(outer)

"""What the worker recorded of a model, typed: the content of `layers.json` (docs/protocol.md).

Calls, layers and tensors are named by their index. What the document has beyond these fields is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from pydantic import Field, JsonValue, model_validator

from validator.base import Frozen
from validator.checks.structure.types import NotRecorded
from validator.documents import read_model
from validator.failure import Failure
from validator.runner.captures import Capture
from validator.storage.tensors import TensorEntry

_MAX_BYTES = 256 << 20

#: Packages whose layers are not the user's.
FRAMEWORKS = frozenset({"keras", "tf_keras", "tensorflow"})


class Leaf(NamedTuple):
    """A tensor in a tree: where it stands, which it is, and which is its mask."""

    path: str
    tensor: int
    mask: int | None


class ValueTree(Frozen, extra="ignore"):
    """An argument or result: a tensor with perhaps a mask, a structure of trees, or another value.

    `opaque`: the class of a value that was not recorded. `special`: `nan`, `inf` or `-inf`.
    """

    tensor: int | None = Field(default=None, alias="t")
    mask: int | None = Field(default=None, alias="m")
    items: tuple[ValueTree, ...] = Field(default=(), alias="list")
    members: tuple[ValueTree, ...] = Field(default=(), alias="tuple")
    entries: dict[str, ValueTree] = Field(default={}, alias="dict")
    value: JsonValue = Field(default=None, alias="v")
    special: str = Field(default="", alias="f")
    opaque: str = ""

    def leaves(self, path: str = "") -> Iterator[Leaf]:
        """Every tensor with its path."""
        for index, item in enumerate(self.items or self.members):
            yield from item.leaves(f"{path}/{index}")
        for key, item in sorted(self.entries.items()):
            yield from item.leaves(f"{path}/{key}")
        if self.tensor is not None:
            yield Leaf(path, self.tensor, self.mask)

    @property
    def plain(self) -> JsonValue:
        """The value of what holds no tensor; of an object that was not recorded, its class."""
        if self.entries:
            return {key: item.plain for key, item in self.entries.items()}
        if self.items or self.members:
            return [item.plain for item in self.items or self.members]
        return self.opaque or self.special or self.value


class CallArgument(Frozen, extra="ignore"):
    """One argument of a call, under the name that the layer's code gives it."""

    name: str
    value: ValueTree


class WeightFacts(Frozen):
    """One weight: `hash` of its bytes, and the standard deviation of its values."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    hash: str = ""
    deviation: float | None = None


class VocabularyFacts(Frozen):
    """The entries of a lookup."""

    entries: int
    hash: str


class LayerFacts(Frozen, extra="ignore"):
    """One layer or operation: what it is, whatever it is called with."""

    name: str
    class_name: str
    module: str
    function: str = ""
    container: bool = False
    policy: str | None = None
    compute_dtype: str | None = None
    autocast: bool = False
    parameters: tuple[str, ...] = ()
    config: dict[str, JsonValue] = {}
    weights: tuple[WeightFacts, ...] = ()
    vocabulary: VocabularyFacts | None = None

    @property
    def own_code(self) -> bool:
        """Whether its code is the user's (or a third package's), not the framework's."""
        return self.module.partition(".")[0] not in FRAMEWORKS


class CallFacts(Frozen, extra="ignore"):
    """One call of a layer or operation.

    `received`: parameter → what the layer's own code is given (Keras 3): converted by the framework, with the
    masks that it hands over, and with defaults.
    """

    layer: int
    parent: int | None
    path: str
    occurrence: int
    operation: bool = False
    arguments: tuple[CallArgument, ...] = ()
    received: dict[str, ValueTree] = {}
    result: ValueTree | None = None

    @property
    def inputs(self) -> list[Leaf]:
        """Every tensor in every argument."""
        return [leaf for argument in self.arguments for leaf in argument.value.leaves()]


class TensorSummary(Frozen, extra="ignore"):
    """What is known of a tensor's values."""

    hash: str


class TensorFacts(Frozen, extra="ignore"):
    """One tensor. `noise_rms`: how far it moves when the weights move."""

    dtype: str
    shape: tuple[int | None, ...]
    producer: int | None = None
    stored: TensorEntry | None = None
    summary: TensorSummary | None = None
    noise_rms: float | None = None


class CallGraph(Frozen, extra="ignore"):
    """Everything recorded of one model; calls in the order in which they began, the model itself first."""

    schema_version: Literal[1] = Field(alias="schema")
    rows: tuple[int, ...]
    layers: tuple[LayerFacts, ...]
    calls: tuple[CallFacts, ...]
    tensors: tuple[TensorFacts, ...]

    @model_validator(mode="after")
    def _indices_fit(self) -> CallGraph:
        """Every index names something, and a call stands behind the one around it."""
        for number, call in enumerate(self.calls):
            received = [leaf for tree in call.received.values() for leaf in tree.leaves()]
            leaves = [*call.inputs, *received, *self.results(number).values()]
            used = {at for leaf in leaves for at in (leaf.tensor, leaf.mask)} - {None}
            if call.layer not in range(len(self.layers)) or not used <= set(range(len(self.tensors))):
                raise ValueError(f"call {number} names a layer or tensor that does not exist")
            if call.parent is not None and call.parent not in range(number):
                raise ValueError(f"call {number} stands before its parent {call.parent}")
        producers = {tensor.producer for tensor in self.tensors} - {None}
        if not producers <= set(range(len(self.calls))):
            raise ValueError("a tensor names a producer that does not exist")
        return self

    def layer_of(self, call: int) -> LayerFacts:
        """The layer that a call is of."""
        return self.layers[self.calls[call].layer]

    def results(self, call: int) -> dict[str, Leaf]:
        """The tensors that a call returned, by path."""
        tree = self.calls[call].result
        return {leaf.path: leaf for leaf in tree.leaves()} if tree else {}

    def around(self, call: int) -> Iterator[int]:
        """The calls that a call is inside of, the innermost first."""
        parent = self.calls[call].parent
        while parent is not None:
            yield parent
            parent = self.calls[parent].parent

    def hash_of(self, tensor: int | None) -> str | None:
        """The digest of a tensor's values, where they were recorded."""
        summary = None if tensor is None else self.tensors[tensor].summary
        return summary.hash if summary else None


class CallsAnswer(Frozen, extra="ignore"):
    """What a task that records calls answered; `path` is None where there is nothing, for `reason`."""

    path: str | None = None
    reason: str = ""


def recorded_calls(capture: Capture, answer: CallsAnswer | Failure | None) -> CallGraph | NotRecorded:
    """The document that an answer names, or why there is none."""
    if isinstance(answer, Failure):
        return NotRecorded(failure=answer)
    if answer is None or answer.path is None:
        return NotRecorded(reason=answer.reason if answer else "no-answer")
    path = capture.folder / answer.path
    try:
        return read_model(path, CallGraph, _MAX_BYTES)
    except (OSError, ValueError) as error:
        message = f"{path}: not a recording of a model's calls ({error}); run the cell again"
        return NotRecorded(failure=Failure(stage="crash", error="capture", message=message))

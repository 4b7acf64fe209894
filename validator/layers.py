"""What the worker recorded of a model's layers, typed: the content of `layers.json` (docs/protocol.md).

Calls, layers and tensors are named by their index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, JsonValue

from validator.base import Frozen
from validator.tensors import TensorEntry

#: Packages whose layers are not the user's.
FRAMEWORKS = frozenset({"keras", "tf_keras", "tensorflow"})


class Tree(Frozen):
    """An argument or result: a tensor with perhaps a mask, a structure of trees, or a plain value."""

    tensor: int | None = Field(default=None, alias="t")
    mask: int | None = Field(default=None, alias="m")
    value: JsonValue = Field(default=None, alias="v")
    opaque: str | None = None
    items: tuple[Tree, ...] | None = Field(default=None, alias="list")
    members: tuple[Tree, ...] | None = Field(default=None, alias="tuple")
    entries: dict[str, Tree] | None = Field(default=None, alias="dict")

    def leaves(self, path: str = "") -> Iterator[tuple[str, Tree]]:
        """Every tensor with its path."""
        for index, item in enumerate(self.items or self.members or ()):
            yield from item.leaves(f"{path}/{index}")
        for key, item in sorted((self.entries or {}).items()):
            yield from item.leaves(f"{path}/{key}")
        if self.tensor is not None:
            yield path, self


class Argument(Frozen):
    """One argument of a call, under the name that the layer's code gives it."""

    name: str
    positional: bool
    value: Tree


class WeightFacts(Frozen):
    """One weight."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class LayerFacts(Frozen):
    """One layer or operation: what it is, whatever it is called with."""

    name: str
    class_name: str
    module: str
    function: str = ""
    container: bool = False
    policy: str | None = None
    compute_dtype: str | None = None
    autocast: bool = False
    supports_masking: bool = False
    parameters: tuple[str, ...] = ()
    config: dict[str, JsonValue] = {}
    weights: tuple[WeightFacts, ...] = ()

    @property
    def own_code(self) -> bool:
        """Whether its code is the user's (or a third package's), not the framework's."""
        return self.module.partition(".")[0] not in FRAMEWORKS


class CallFacts(Frozen):
    """One call of a layer or operation. `received`: dtypes after the framework's conversion (Keras 3)."""

    layer: int
    parent: int | None
    path: str
    occurrence: int
    operation: bool = False
    failed: bool = False
    arguments: tuple[Argument, ...] = ()
    received: dict[str, tuple[str, ...]] = {}
    result: Tree | None = None


class Summary(Frozen):
    """A tensor in a few numbers; only count and hash of what is not numeric."""

    count: int
    hash: str
    nan: int = 0
    inf: int = 0
    mean: float | None = None
    rms: float | None = None
    min: float | None = None
    max: float | None = None


class TensorFacts(Frozen):
    """One tensor. `inner`: of the body of a loop, without values. `noise_rms`: under moved weights."""

    dtype: str
    shape: tuple[int | None, ...]
    ragged: int = 0
    inner: bool = False
    producer: int | None = None
    stored: TensorEntry | None = None
    summary: Summary | None = None
    noise_rms: float | None = None


class Layers(Frozen):
    """Everything recorded of one cell's model, calls in the order in which they began."""

    schema_version: Literal[1] = Field(alias="schema")
    mode: Literal["traced", "eager"]
    rows: tuple[int, ...]
    layers: tuple[LayerFacts, ...]
    calls: tuple[CallFacts, ...]
    tensors: tuple[TensorFacts, ...]

    def layer_of(self, call: int) -> LayerFacts:
        """The layer that a call is of."""
        return self.layers[self.calls[call].layer]

    def results(self, call: int) -> dict[str, Tree]:
        """The tensors that a call returned, by path."""
        tree = self.calls[call].result
        return dict(tree.leaves()) if tree is not None else {}

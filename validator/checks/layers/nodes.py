"""The model as a graph of layers: what a person would draw, with the numbers of both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from validator.base import finite
from validator.checks.layers.types import CallNumbers, LayerInput, LayerNode
from validator.checks.structure.alignment import Alignment, is_operation
from validator.checks.structure.graph import CallGraph, Leaf

_MOST = 1000  # layers that are drawn
_INPUTS = 8  # of a layer that are described


def layer_nodes(alignment: Alignment, calls: Sequence[CallNumbers]) -> Iterator[LayerNode]:
    """Every layer that a person counts, in the baseline's order, with the layers that feed it."""
    counted = [call for call in calls if call.counted][:_MOST]
    feeding = _Feeding(alignment.baseline, frozenset(call.call for call in counted))
    for call in counted:
        results = alignment.baseline.results(call.call)
        first = alignment.baseline.tensors[next(iter(results.values())).tensor] if results else None
        drift, replay = call.drift, call.replay
        unchanged = 0.0 if drift and drift.identical else None
        yield LayerNode(
            **call.place,
            call=call.call,
            shape=first.shape if first else (),
            dtype=first.dtype if first else "",
            feeds=feeding.of_call(call.call),
            inputs=tuple(_inputs(alignment, call))[:_INPUTS],
            replayed=finite(replay.ratio if replay else unchanged),
            full_pass=finite(drift.ratio) if drift else None,
            rms=drift.rms if drift else None,
            noise=drift.noise if drift else None,
        )


def _inputs(alignment: Alignment, call: CallNumbers) -> Iterator[LayerInput]:
    """What the layer's own code is given on both sides, by argument."""
    if call.candidate is None:
        return
    before, after = (
        _received(graph, number)
        for graph, number in ((alignment.baseline, call.call), (alignment.candidate, call.candidate))
    )
    for name in [*before, *(each for each in after if each not in before)]:
        texts = (
            _described(graph, leaf.get(name))
            for graph, leaf in ((alignment.baseline, before), (alignment.candidate, after))
        )
        old, new = texts
        yield LayerInput(name=name, baseline=old, candidate=new)


def _received(graph: CallGraph, call: int) -> dict[str, Leaf]:
    """Tensors by their argument: after the framework's conversions, where that is recorded."""
    facts = graph.calls[call]
    trees = facts.received or {argument.name: argument.value for argument in facts.arguments}
    return {f"{name}{leaf.path}": leaf for name, tree in sorted(trees.items()) for leaf in tree.leaves()}


def _described(graph: CallGraph, leaf: Leaf | None) -> str:
    """`(6, 48, 48) bool, masked`; empty where there is no such tensor."""
    if leaf is None:
        return ""
    tensor = graph.tensors[leaf.tensor]
    shape = ", ".join("None" if axis is None else str(axis) for axis in tensor.shape)
    return f"({shape}) {tensor.dtype}{', masked' if leaf.mask is not None else ''}"


@dataclass
class _Feeding:
    """Which counted layers the tensors of a call come from; -1 stands for the model's inputs."""

    graph: CallGraph
    counted: frozenset[int]
    _known: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def of_call(self, call: int) -> tuple[int, ...]:
        """The layers that feed a call, through operations that nobody counts."""
        sources = {source for leaf in self.graph.calls[call].inputs for source in self._of(leaf.tensor, call)}
        return tuple(sorted(sources))

    def _of(self, tensor: int, consumer: int) -> tuple[int, ...]:
        if tensor in self._known:
            return self._known[tensor]
        self._known[tensor] = ()  # a circle ends here
        producer = self.graph.tensors[tensor].producer
        self._known[tensor] = self._made(producer, consumer)
        return self._known[tensor]

    def _made(self, producer: int | None, consumer: int) -> tuple[int, ...]:
        if producer is None:
            return (-1,)
        around = [producer, *self.graph.around(producer)]
        layer = next((call for call in around if call in self.counted), None)
        if layer is not None:
            return (layer,) if layer != consumer else ()
        facts = self.graph.calls[producer]
        if not facts.inputs:
            return (-1,) if not is_operation(facts, self.graph.layer_of(producer)) else ()
        sources = {each for leaf in facts.inputs for each in self._of(leaf.tensor, consumer)}
        return tuple(sorted(sources))

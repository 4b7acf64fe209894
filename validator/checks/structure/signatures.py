"""What a call takes, in terms that mean the same in every release of Keras, and where its masks come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from validator.checks.structure.graph import CallFacts, CallGraph, Leaf, ValueTree

#: Layers of Keras around a layer that the user chose.
_WRAPPERS = frozenset({"Bidirectional", "SpectralNormalization", "TimeDistributed"})
FLOATING = frozenset({"float16", "bfloat16", "float32", "float64"})


@dataclass(frozen=True)
class CallInput:
    """One tensor that a call takes.

    Attributes:
        argument: the name of the argument that it is, or is part of.
        given: its dtype as the layer before gave it.
        dtype: what the layer's own code sees, after the framework's conversion.
        shape: that of one sample, as far as it is known.
        masked: whether a mask comes with it, attached or as an argument of its own.
        producer: the call that made it, seen from where this one stands; None for an input of the model.
    """

    tensor: int
    argument: str
    given: str
    dtype: str
    shape: tuple[int | None, ...]
    masked: bool
    producer: int | None


def inputs_of(graph: CallGraph, call: int) -> Iterator[CallInput]:
    """The tensors that a call takes as data, in the order of its arguments."""
    facts = graph.calls[call]
    names = {argument.name for argument in facts.arguments} | set(graph.layer_of(call).parameters)
    masks = {a.name for a in facts.arguments if _is_mask(a.name, names) and list(a.value.leaves())}
    data = [argument for argument in facts.arguments if not _is_mask(argument.name, names)]
    for place, argument in enumerate(data):
        explicit = f"{argument.name}_mask" in masks or (place == 0 and "mask" in masks)
        tree = facts.received.get(argument.name)
        received = [graph.tensors[leaf.tensor].dtype for leaf in tree.leaves()] if tree else []
        leaves = list(argument.value.leaves())
        for index, leaf in enumerate(leaves):
            tensor = graph.tensors[leaf.tensor]
            known = len(received) == len(leaves)
            yield CallInput(
                tensor=leaf.tensor,
                argument=argument.name,
                given=tensor.dtype,
                dtype=received[index] if known else _seen(graph, call, tensor.dtype, place),
                shape=tensor.shape[1:],
                masked=explicit or leaf.mask is not None,
                producer=_maker(graph, tensor.producer, call),
            )


def arguments_of(old: CallFacts, new: CallFacts) -> Iterator[tuple[str, JsonValue, JsonValue]]:
    """Arguments other than tensors that the code of a layer gets otherwise: (name, before, after).

    Of an argument that is a tensor on one side alone, that side has the word `tensor`. An operation gets what
    it is called with.
    """
    given = _given(old), _given(new)
    for name in sorted(given[0].keys() & given[1].keys()):
        sides = given[0][name], given[1][name]
        tensors = [any(True for _ in tree.leaves()) for tree in sides]
        before, after = (
            "tensor" if tensor else tree.plain for tensor, tree in zip(tensors, sides, strict=True)
        )
        if name == "training":  # None is no
            before, after = bool(before), bool(after)
        if not all(tensors) and before != after:
            yield name, before, after


def _given(call: CallFacts) -> dict[str, ValueTree]:
    """What the code of a call gets, by parameter."""
    if not call.operation:
        return call.received
    return {argument.name: argument.value for argument in call.arguments if not argument.value.opaque}


def constants_of(graph: CallGraph, call: int) -> Iterator[tuple[str, int]]:
    """The tensors that a functional graph holds as constants and gives to a call: (argument, tensor).

    Only an operation is called by a graph alone; the code around a layer may have computed what it gives.
    What has a value for each sample may have come from an input, converted.
    """
    if not graph.calls[call].operation:
        return
    samples = (len(graph.rows),)
    inputs = {leaf.tensor for around in graph.around(call) for leaf in graph.calls[around].inputs}
    for argument in graph.calls[call].arguments:
        for leaf in argument.value.leaves():
            tensor = graph.tensors[leaf.tensor]
            if tensor.producer is None and leaf.tensor not in inputs and tensor.shape[:1] != samples:
                yield argument.name, leaf.tensor


def explicit_mask(graph: CallGraph, call: int) -> str:
    """The argument that gives a mask to a call whose other tensors carry none; empty where there is none."""
    masks = [a.name for a in graph.calls[call].arguments if a.name == "mask" and list(a.value.leaves())]
    attached = any(leaf.mask is not None for leaf in graph.calls[call].inputs)
    return masks[0] if masks and not attached else ""


def masks_received(graph: CallGraph, call: int) -> dict[str, int] | None:
    """Parameter → how many masks the framework hands over with it; None where that is not known (Keras 2)."""
    received = graph.calls[call].received
    names = set(received)
    masks = {name: len(list(received[name].leaves())) for name in names if _is_mask(name, names)}
    return masks if received else None


def _is_mask(name: str, names: set[str]) -> bool:
    """Whether this is the mask of another argument: `attention_mask` is not, unless there is `attention`."""
    return name == "mask" or (name.endswith("_mask") and name.removesuffix("_mask") in names)


def _seen(graph: CallGraph, call: int, dtype: str, place: int) -> str:
    """Keras 2 converts the first argument of a layer, where it is floating, to the layer's dtype."""
    layer = graph.layer_of(call)
    converts = layer.autocast and place == 0 and not graph.calls[call].operation
    if converts and dtype in FLOATING and layer.compute_dtype in FLOATING:
        return layer.compute_dtype or dtype
    return dtype


def _maker(graph: CallGraph, producer: int | None, call: int) -> int | None:
    """The call that made a tensor, as a sibling of the given one or of what is around it."""
    around = {None, *graph.around(call)}
    while producer is not None and graph.calls[producer].parent not in around:
        producer = graph.calls[producer].parent
    return producer


def visible(graph: CallGraph, call: int, *, wrapped: bool = True) -> bool:
    """Whether all around a call is a model or the user's code: inside its own layers Keras is free.

    `wrapped`: or a layer of Keras around one that the user chose, which releases call in different ways.
    """
    return all(
        layer.container or layer.own_code or (wrapped and layer.class_name in _WRAPPERS)
        for layer in map(graph.layer_of, graph.around(call))
    )


def masks_come_from(graph: CallGraph, call: int) -> list[str] | None:
    """Hashes of what a call's mask is made of: the masks that it takes, or else the tensors.

    None where nothing is known of them, or there is nothing.
    """
    leaves = graph.calls[call].inputs
    masks = [leaf.mask for leaf in leaves if leaf.mask is not None]
    hashes = [graph.hash_of(number) for number in masks or [leaf.tensor for leaf in leaves]]
    known = [value for value in hashes if value is not None]
    return known if known and len(known) == len(hashes) else None


def masked_before(graph: CallGraph, tensor: int, call: int) -> int | None:
    """The last call before the given one that still had a mask on this tensor, if any."""

    def has_mask(leaf: Leaf) -> bool:
        return leaf.tensor == tensor and leaf.mask is not None

    return next((at for at in reversed(range(call)) if any(map(has_mask, graph.calls[at].inputs))), None)

"""What a call takes and gives, in terms that mean the same in every release of Keras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from validator.layers import Argument, CallFacts, Layers, Tree

#: Layers of Keras around a layer that the user chose.
_WRAPPERS = frozenset({"Bidirectional", "SpectralNormalization", "TimeDistributed"})
FLOATING = frozenset({"float16", "bfloat16", "float32", "float64"})


@dataclass(frozen=True)
class Input:
    """One tensor that a call takes.

    Attributes:
        argument: the name of the argument that it is, or is part of.
        given: its dtype as the layer before gave it.
        dtype: what the layer's own code sees, after the framework's conversion.
        masked: whether a mask comes with it, attached or as an argument of its own.
        producer: the call that made it, seen from where this one stands; None for an input of the model.
    """

    tensor: int
    argument: str
    given: str
    dtype: str
    masked: bool
    producer: int | None


@dataclass(frozen=True)
class Output:
    """One tensor that a call gives."""

    dtype: str
    shape: tuple[int | None, ...]
    masked: bool


@dataclass(frozen=True)
class Signature:
    """A call's inputs in the order of its arguments, and its results by path."""

    inputs: tuple[Input, ...]
    results: tuple[tuple[str, Output], ...]


def signature(layers: Layers, call: int) -> Signature:
    """Describe one call."""
    facts = layers.calls[call]
    results = []
    for path, leaf in layers.results(call).items():
        tensor = layers.tensors[_number(leaf)]
        results.append((path, Output(tensor.dtype, tensor.shape, leaf.mask is not None)))
    return Signature(tuple(_inputs(layers, call, facts)), tuple(results))


def _inputs(layers: Layers, call: int, facts: CallFacts) -> Iterator[Input]:
    names = {argument.name for argument in facts.arguments} | set(layers.layer_of(call).parameters)
    masks = {a.name for a in facts.arguments if _is_mask(a.name, names) and list(a.value.leaves())}
    data = [argument for argument in facts.arguments if not _is_mask(argument.name, names)]
    for place, argument in enumerate(data):
        explicit = bool(masks & ({"mask"} if place == 0 else set())) or f"{argument.name}_mask" in masks
        received = facts.received.get(argument.name, ())
        leaves = [leaf for _, leaf in argument.value.leaves()]
        for index, leaf in enumerate(leaves):
            tensor = layers.tensors[_number(leaf)]
            seen = (
                received[index] if len(received) == len(leaves) else _seen(layers, call, tensor.dtype, place)
            )
            yield Input(
                tensor=_number(leaf),
                argument=argument.name,
                given=tensor.dtype,
                dtype=seen,
                masked=explicit or leaf.mask is not None,
                producer=_maker(layers, tensor.producer, call),
            )


def _is_mask(name: str, names: set[str]) -> bool:
    """Whether this is the mask of another argument: `attention_mask` is not, unless there is `attention`."""
    return name == "mask" or (name.endswith("_mask") and name[: -len("_mask")] in names)


def _seen(layers: Layers, call: int, dtype: str, place: int) -> str:
    """Keras 2 converts the first argument of a layer, where it is floating, to the layer's dtype."""
    layer = layers.layer_of(call)
    converts = layer.autocast and place == 0 and not layers.calls[call].operation
    if converts and dtype in FLOATING and layer.compute_dtype in FLOATING:
        return layer.compute_dtype or dtype
    return dtype


def _maker(layers: Layers, producer: int | None, call: int) -> int | None:
    """The call that made a tensor, as a sibling of the given one or of what is around it."""
    around = {None, *ancestors(layers, call)}
    while producer is not None and layers.calls[producer].parent not in around:
        producer = layers.calls[producer].parent
    return producer


def ancestors(layers: Layers, call: int) -> Iterator[int]:
    """The calls that a call is inside of, the innermost first."""
    parent = layers.calls[call].parent
    while parent is not None:
        yield parent
        parent = layers.calls[parent].parent


def visible(layers: Layers, call: int, *, wrapped: bool = True) -> bool:
    """Whether all around a call is a model or the user's code: inside its own layers Keras is free.

    `wrapped`: or a layer of Keras around one that the user chose, which releases call in different ways.
    """
    around = (layers.layer_of(outer) for outer in ancestors(layers, call))
    return all(
        layer.container or layer.own_code or (wrapped and layer.class_name in _WRAPPERS) for layer in around
    )


def masks_of_result(layers: Layers, call: int) -> dict[str, str]:
    """Path → hash of the mask on each result that has one, where its values were recorded."""
    found = {path: _recorded(layers, leaf.mask) for path, leaf in layers.results(call).items()}
    return {path: mask for path, mask in found.items() if mask is not None}


def masks_come_from(layers: Layers, call: int) -> list[str] | None:
    """Hashes of what a call's mask is made of: the masks that it takes, or else the tensors.

    None where nothing is known of them, or there is nothing.
    """
    leaves = [leaf for argument in layers.calls[call].arguments for _, leaf in argument.value.leaves()]
    masked = [leaf.mask for leaf in leaves if leaf.mask is not None]
    found = [_recorded(layers, number) for number in masked or (_number(leaf) for leaf in leaves)]
    known = [one for one in found if one is not None]
    return known if known and len(known) == len(found) else None


def _recorded(layers: Layers, number: int | None) -> str | None:
    summary = None if number is None else layers.tensors[number].summary
    return summary.hash if summary else None


def masked_before(layers: Layers, tensor: int, call: int) -> int | None:
    """The last call before the given one that still had a mask on this tensor, if any."""
    for number in range(call - 1, -1, -1):
        for argument in layers.calls[number].arguments:
            if _has_mask(argument, tensor):
                return number
    return None


def _has_mask(argument: Argument, tensor: int) -> bool:
    return any(leaf.tensor == tensor and leaf.mask is not None for _, leaf in argument.value.leaves())


def _number(leaf: Tree) -> int:
    assert leaf.tensor is not None  # noqa: S101  # leaves are tensors
    return leaf.tensor

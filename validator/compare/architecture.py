"""How two recorded models differ before any number does: operations, dtypes, masks, settings, weights.

What releases of Keras merely write or trace otherwise is no difference: automatic names, settings that one
side does not know, the inside of the framework's own layers, operations across the line of Keras 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from validator.compare.alignment import WRAPPERS, Alignment, class_of, is_operation
from validator.compare.configurations import configuration_changes
from validator.compare.signatures import (
    FLOATING,
    Input,
    masked_before,
    masks_come_from,
    masks_of_result,
    signature,
    visible,
)
from validator.layers import LayerFacts, Layers

Kind = Literal["dtype", "mask", "structure"]


@dataclass(frozen=True)
class Difference:
    """One difference at one layer.

    Attributes:
        layer: the layer as a person would name it.
        call: where it is: the baseline's call, or where `extra`, the candidate's.
        cause: False where it only came down from a layer before.
    """

    kind: Kind
    layer: str
    class_name: str
    message: str
    call: int
    extra: bool = False
    cause: bool = True


def compare_architecture(alignment: Alignment) -> tuple[Difference, ...]:
    """Every difference, in the order of the baseline's calls; what has no partner comes last."""
    found: list[Difference] = []
    seen: set[int] = set()
    for here, there in alignment.pairs:
        if not visible(alignment.baseline, here):
            continue
        pair = _Pair(alignment, here, there)
        layer = alignment.baseline.calls[here].layer
        if layer not in seen:
            seen.add(layer)
            found += pair.layer_differences()
        found += pair.call_differences()
    told = {difference.message for difference in found}
    return tuple(_blamed_inside(alignment, [*found, *_unpaired(alignment, " ".join(told))]))


def _blamed_inside(alignment: Alignment, found: list[Difference]) -> Iterator[Difference]:
    """A model gives what its layers make: where one of them is to blame, the model only inherits."""
    containers = [
        not difference.extra and alignment.baseline.layer_of(difference.call).container
        for difference in found
    ]
    inside = any(one.cause for one, container in zip(found, containers, strict=True) if not container)
    for one, container in zip(found, containers, strict=True):
        yield replace(one, cause=False) if container and inside else one


def shown(layers: Layers, call: int) -> str:
    """A call as a person would name it."""
    facts = layers.calls[call]
    return f"{facts.path} (call {facts.occurrence + 1})" if facts.occurrence else facts.path or "the model"


@dataclass(frozen=True)
class _Pair:
    """The same call on both sides."""

    alignment: Alignment
    here: int
    there: int

    @property
    def old(self) -> LayerFacts:
        return self.alignment.baseline.layer_of(self.here)

    @property
    def new(self) -> LayerFacts:
        return self.alignment.candidate.layer_of(self.there)

    @property
    def name(self) -> str:
        return shown(self.alignment.baseline, self.here)

    def said(self, kind: Kind, message: str, *, cause: bool = True) -> Difference:
        return Difference(kind, self.name, self.old.class_name, message, self.here, cause=cause)

    def layer_differences(self) -> Iterator[Difference]:
        """What the layer is: class, dtype policy, settings, weights."""
        old, new, name = self.old, self.new, self.name
        if is_operation(self.alignment.baseline.calls[self.here], old):
            return
        if class_of(old) != class_of(new) and not (old.container and new.container):
            yield self.said("structure", f"`{name}` was a {old.class_name} and is a {new.class_name}")
            return
        floating = {old.compute_dtype, new.compute_dtype} <= FLOATING
        if old.policy != new.policy and floating and not old.container:
            yield self.said("dtype", f"the dtype policy of `{name}` was {old.policy} and is {new.policy}")
        shapes = [out.shape for _, out in signature(self.alignment.baseline, self.here).results]
        rank = len(shapes[0]) if shapes else None
        for key, before, after in configuration_changes(old.config, new.config, rank):
            message = f"`{key}` of `{name}` ({old.class_name}) was {before!r} and is {after!r}"
            yield self.said("structure", message)
        problem = _weights(old, new)
        if problem:
            yield self.said("structure", f"the weights of `{name}` ({old.class_name}) {problem}")

    def call_differences(self) -> Iterator[Difference]:
        """What the call takes and gives."""
        call = self.alignment.baseline.calls[self.here]
        if is_operation(call, self.old):
            return  # what an operation made of a tensor is told at the layer that gets it
        old = signature(self.alignment.baseline, self.here)
        new = signature(self.alignment.candidate, self.there)
        comes: list[Difference] = []
        if len(old.inputs) == len(new.inputs) and call.parent is not None:
            for number, pair in enumerate(zip(old.inputs, new.inputs, strict=True)):
                comes += self._input(number, *pair)
        yield from comes
        if [path for path, _ in old.results] != [path for path, _ in new.results]:
            counts = f"{len(old.results)} tensors and returns {len(new.results)}"
            yield self.said("structure", f"`{self.name}` returned {counts}")
            return
        kinds = {difference.kind for difference in comes}
        for (_, one), (_, other) in zip(old.results, new.results, strict=True):
            if one.dtype != other.dtype:
                message = f"the result of `{self.name}` was {one.dtype} and is {other.dtype}"
                yield self.said("dtype", message, cause="dtype" not in kinds)
            if one.masked != other.masked and call.parent is not None:
                yield self._mask_of_result(one.masked, inherits="mask" in kinds)
            if len(one.shape) != len(other.shape):
                axes = f"{len(one.shape)} axes and has {len(other.shape)}"
                yield self.said("structure", f"the result of `{self.name}` had {axes}")
        if call.parent is not None and not self.old.container:
            yield from self._mask_values()

    def _input(self, number: int, old: Input, new: Input) -> Iterator[Difference]:
        if old.dtype != new.dtype:
            yield self._dtype_of_input(number, old, new)
        if old.masked != new.masked:
            yield self._mask_of_input(number, old, new)

    def _dtype_of_input(self, number: int, old: Input, new: Input) -> Difference:
        place = f"input {number} `{old.argument}`, {old.dtype} → {new.dtype}"
        if new.producer is not None and new.producer not in self.alignment.to_baseline:
            made = self.alignment.candidate.layer_of(new.producer).class_name
            article = "an" if made[:1] in "AEIO" else "a"
            message = f"{article} {made} to {new.dtype} now stands before `{self.name}` ({place})"
            return self.said("dtype", message)
        if old.producer is not None and old.producer not in self.alignment.to_candidate:
            made = self.alignment.baseline.layer_of(old.producer).class_name
            return self.said("dtype", f"the {made} before `{self.name}` is gone ({place})")
        if old.given == new.given:
            return self.said("dtype", f"`{self.name}` now converts its input otherwise ({place})")
        return self.said("dtype", f"`{self.name}` gets another dtype ({place})", cause=False)

    def _mask_of_input(self, number: int, old: Input, new: Input) -> Difference:
        word = "without the mask it had" if old.masked else "with a mask it did not have"
        message = f"input {number} of `{self.name}` now comes {word}"
        cleared = None if new.masked else masked_before(self.alignment.candidate, new.tensor, self.there)
        if cleared is None:
            return self.said("mask", message, cause=False)
        # The layer before gave a mask, and whoever used the tensor in between took it away.
        layers = self.alignment.candidate
        culprit = self.alignment.to_baseline.get(cleared)
        message += f": `{shown(layers, cleared)}` ({layers.layer_of(cleared).class_name}) cleared it"
        if culprit is None:
            return self.said("mask", message)
        blamed = _Pair(self.alignment, culprit, cleared)
        return blamed.said("mask", message)

    def _mask_of_result(self, had: bool, *, inherits: bool) -> Difference:
        message = f"the result of `{self.name}` ({self.old.class_name}) "
        message += "no longer carries a mask" if had else "now carries a mask"
        inputs = signature(self.alignment.candidate, self.there).inputs
        if not inherits and any(one.masked for one in inputs):
            message += "; what it takes still has one" if had else ", as what it takes does"
        return self.said("mask", message, cause=not inherits)

    def _mask_values(self) -> Iterator[Difference]:
        """Whether the result carries a mask on both sides that keeps other positions, as recorded."""
        masks = masks_of_result(self.alignment.baseline, self.here)
        others = masks_of_result(self.alignment.candidate, self.there)
        if not any(masks[path] != others[path] for path in masks.keys() & others.keys()):
            return
        came = masks_come_from(self.alignment.baseline, self.here)
        inherits = came is None or came != masks_come_from(self.alignment.candidate, self.there)
        message = f"the mask on the result of `{self.name}` ({self.old.class_name}) keeps other positions"
        message += "" if inherits else ", though what it takes is the same"
        yield self.said("mask", message, cause=not inherits)


def _weights(old: LayerFacts, new: LayerFacts) -> str:
    """What is different about a layer's own weights; those of a model are told at its layers."""
    if old.container or new.container:
        return ""
    before = [weight for weight in old.weights if weight.dtype in FLOATING]
    after = [weight for weight in new.weights if weight.dtype in FLOATING]
    if len(before) != len(after):
        return f"were {len(before)} and are {len(after)}"
    for one, other in zip(before, after, strict=True):
        if one.shape != other.shape:
            return f"changed: `{one.name}` had the shape {one.shape}, in its place is {other.shape}"
        if one.dtype != other.dtype:
            return f"changed: `{one.name}` was {one.dtype} and is {other.dtype}"
    names = [weight.name for weight in before], [weight.name for weight in after]
    if names[0] != names[1] and sorted(names[0]) == sorted(names[1]) and len(set(names[0])) == len(names[0]):
        return f"come in another order: {', '.join(names[0])} became {', '.join(names[1])}"
    return ""


def _unpaired(alignment: Alignment, told: str) -> Iterator[Difference]:
    """Layers, and within one line of Keras operations, that only one side has."""
    sides = (
        (alignment.baseline, alignment.missing, alignment.to_candidate, "is gone", False),
        (alignment.candidate, alignment.extra, alignment.to_baseline, "is new", True),
    )
    same_line = _keras_2(alignment.baseline) == _keras_2(alignment.candidate)
    for layers, calls, aligned, word, extra in sides:
        for call in calls:
            facts, layer = layers.calls[call], layers.layer_of(call)
            if facts.parent not in aligned or facts.occurrence or not visible(layers, call, wrapped=False):
                continue  # the rest of something that is told already
            if is_operation(facts, layer):
                name = f"the operation {layer.class_name}"
                harmless = not same_line or layer.class_name in ("Cast", "NotEqual")
                if harmless or not _feeds_data(layers, call):
                    continue
            else:
                name = f"`{facts.path}` ({layer.class_name})"
            if f"{facts.path}`" not in told:
                yield Difference("structure", facts.path, layer.class_name, f"{name} {word}", call, extra)


def _feeds_data(layers: Layers, call: int) -> bool:
    """Whether some call takes what this one made as data, rather than as a mask."""
    made = {leaf.tensor for leaf in layers.results(call).values()}
    return any(
        one.tensor in made
        for other in range(call + 1, len(layers.calls))
        if not is_operation(layers.calls[other], layers.layer_of(other))
        for one in signature(layers, other).inputs
    )


def _keras_2(layers: Layers) -> bool:
    """Whether a recording was made by Keras 2: its operations are layers, and it converts no arguments."""
    if any(layer.class_name in WRAPPERS for layer in layers.layers):
        return True
    return not any(call.operation or call.received for call in layers.calls)

"""How two recorded models differ before any number does: operations, dtypes, masks, settings, weights.

What releases of Keras merely write or trace otherwise is no difference: automatic names, settings that one
side does not know, the inside of the framework's own layers, operations across the line of Keras 2 and 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from validator.checks.structure.alignment import WRAPPERS, Alignment, class_of, is_operation
from validator.checks.structure.configurations import configuration_changes
from validator.checks.structure.graph import CallGraph, LayerFacts
from validator.checks.structure.signatures import (
    FLOATING,
    CallInput,
    arguments_of,
    constants_of,
    explicit_mask,
    inputs_of,
    masked_before,
    masks_come_from,
    masks_received,
    visible,
)
from validator.checks.structure.types import DifferenceKind, LayerCall, StructuralDifference

_SPREAD = 0.02  # relative difference of standard deviations that is worth telling


def compare_architecture(alignment: Alignment) -> tuple[StructuralDifference, ...]:
    """Every difference, in the order of the baseline's calls; what has no partner comes last."""
    differences: list[StructuralDifference] = []
    seen: set[int] = set()
    for baseline, candidate in alignment.pairs:
        if not visible(alignment.baseline, baseline):
            continue
        pair = _Pair(alignment, baseline, candidate)
        if pair.operation:  # what it made of a tensor is reported at the layer that gets it
            differences += pair.operation_differences()
            continue
        layer = alignment.baseline.calls[baseline].layer
        if layer not in seen:
            seen.add(layer)
            differences += pair.layer_differences()
        differences += pair.call_differences()
    differences += _unpaired(alignment, _named(differences))
    return tuple(_blamed_inside(alignment, differences))


def layer_call(graph: CallGraph, call: int) -> LayerCall:
    """A call as a person would name it."""
    facts = graph.calls[call]
    class_name = graph.layer_of(call).class_name
    return LayerCall(layer=facts.path, class_name=class_name, occurrence=facts.occurrence)


def _named(differences: Sequence[StructuralDifference]) -> set[str]:
    """Layers that these differences name."""
    calls: list[LayerCall | None] = []
    for difference in differences:
        calls += [difference, difference.receiver, difference.by if difference.kind == "input-mask" else None]
    return {call.layer for call in calls if call and not call.occurrence}


def _blamed_inside(
    alignment: Alignment, differences: Sequence[StructuralDifference]
) -> Iterator[StructuralDifference]:
    """A model gives what its layers make: where one of them is to blame, the model only passes it on."""

    def of_model(difference: StructuralDifference) -> bool:
        return difference.kind != "added" and alignment.baseline.layer_of(difference.call).container

    inside = any(difference.cause and not of_model(difference) for difference in differences)
    for difference in differences:
        passed_on = inside and of_model(difference)
        yield difference.model_copy(update={"cause": False}) if passed_on else difference


@dataclass(frozen=True)
class _Pair:
    """The same call on both sides."""

    alignment: Alignment
    baseline: int
    candidate: int

    @property
    def old(self) -> LayerFacts:
        return self.alignment.baseline.layer_of(self.baseline)

    @property
    def new(self) -> LayerFacts:
        return self.alignment.candidate.layer_of(self.candidate)

    @property
    def operation(self) -> bool:
        return is_operation(self.alignment.baseline.calls[self.baseline], self.old)

    def difference(
        self, kind: DifferenceKind, before: Any = None, after: Any = None, **more: Any
    ) -> StructuralDifference:
        place = layer_call(self.alignment.baseline, self.baseline).place
        values = {**place, "kind": kind, "call": self.baseline, "before": before, "after": after, **more}
        return StructuralDifference.model_validate(values)

    def layer_differences(self) -> Iterator[StructuralDifference]:
        """What the layer is: class, dtype policy, configuration, weights."""
        old, new = self.old, self.new
        if class_of(old) != class_of(new) and not (old.container and new.container):
            yield self.difference("class", old.class_name, new.class_name)
            return
        floating = {old.compute_dtype, new.compute_dtype} <= FLOATING
        if old.policy != new.policy and floating and not old.container:
            yield self.difference("policy", old.policy, new.policy)
        for key, before, after in configuration_changes(old.config, new.config, self._rank):
            yield self.difference("configuration", before, after, name=key)
        yield from self._weights()
        yield from self._vocabulary()

    def _vocabulary(self) -> Iterator[StructuralDifference]:
        before, after = self.old.vocabulary, self.new.vocabulary
        if before is None or after is None or before == after:
            return
        if before.entries != after.entries:
            yield self.difference("vocabulary-size", before.entries, after.entries)
        else:
            yield self.difference("vocabulary-entries", before.entries, after.entries)

    def _weights(self) -> Iterator[StructuralDifference]:
        """The first thing that is different about a layer's own weights: those of a model are in no layer."""
        old = [weight for weight in self.old.weights if weight.dtype in FLOATING]
        new = [weight for weight in self.new.weights if weight.dtype in FLOATING]
        if len(old) != len(new):
            yield self.difference("weight-count", len(old), len(new))
            return
        for before, after in zip(old, new, strict=True):
            if before.shape != after.shape:
                yield self.difference("weight-shape", [*before.shape], [*after.shape], name=before.name)
                return
            if before.dtype != after.dtype:
                yield self.difference("weight-dtype", before.dtype, after.dtype, name=before.name)
                return
        names, others = [weight.name for weight in old], [weight.name for weight in new]
        if names != others and sorted(names) == sorted(others) and len(set(names)) == len(names):
            yield self.difference("weight-order", names, others)
            new = [weight for name in names for weight in new if weight.name == name]
        for before, after in zip(old, new, strict=True):
            if before.hash and after.hash and before.hash != after.hash:
                spread = (before.deviation or 0.0, after.deviation or 0.0)
                wider = () if math.isclose(*spread, rel_tol=_SPREAD) else spread
                yield self.difference("weight-values", *wider, name=before.name)
                return

    def operation_differences(self) -> Iterator[StructuralDifference]:
        """What a graph gives to an operation beside the tensors that pass through it."""
        calls = self.alignment.baseline.calls[self.baseline], self.alignment.candidate.calls[self.candidate]
        if not all(call.operation for call in calls) or self.old.class_name != self.new.class_name:
            return
        for name, before, after in configuration_changes(self.old.config, self.new.config, self._rank):
            yield self.difference("configuration", before, after, name=name)
        for name, before, after in arguments_of(*calls):
            yield self.difference("argument", before, after, name=name)
        graphs = self.alignment.baseline, self.alignment.candidate
        constants = [*constants_of(graphs[0], self.baseline)], [*constants_of(graphs[1], self.candidate)]
        for (name, old), (_, new) in zip(*constants, strict=False):
            tensors = graphs[0].tensors[old], graphs[1].tensors[new]
            hashes = graphs[0].hash_of(old), graphs[1].hash_of(new)
            if tensors[0].dtype == tensors[1].dtype and None not in hashes and hashes[0] != hashes[1]:
                yield self.difference("constant", name=name)

    @property
    def _rank(self) -> int | None:
        """How many axes the first result has."""
        results = self.alignment.baseline.results(self.baseline).values()
        return next((len(self.alignment.baseline.tensors[leaf.tensor].shape) for leaf in results), None)

    def call_differences(self) -> Iterator[StructuralDifference]:
        """What the call takes and gives."""
        inner = self.alignment.baseline.calls[self.baseline].parent is not None
        old = list(inputs_of(self.alignment.baseline, self.baseline))
        new = list(inputs_of(self.alignment.candidate, self.candidate))
        inputs: list[StructuralDifference] = []
        if len(old) == len(new) and inner:
            for number, (before, after) in enumerate(zip(old, new, strict=True)):
                inputs += self._of_input(number if len(old) > 1 else None, before, after)
        if inner:
            inputs += self._received([item.masked for item in old] == [item.masked for item in new])
        yield from inputs
        yield from self._results(inputs, inner=inner)

    def _of_input(self, number: int | None, old: CallInput, new: CallInput) -> Iterator[StructuralDifference]:
        if old.dtype != new.dtype:
            yield self._dtype_of_input(number, old, new)
        if None not in (*old.shape, *new.shape) and old.shape != new.shape:
            place = {"name": old.argument, "input": number, "cause": not _passed_on(old, new)}
            yield self.difference("input-shape", [*old.shape], [*new.shape], **place)
        if old.masked != new.masked:
            yield self._mask_of_input(number, old, new)

    def _received(self, same_masks: bool) -> Iterator[StructuralDifference]:
        """What the framework makes of the same call: masks handed over or not, and other arguments."""
        graphs = self.alignment.baseline, self.alignment.candidate
        old, new = (
            masks_received(graph, call)
            for graph, call in zip(graphs, (self.baseline, self.candidate), strict=True)
        )
        masks = old.keys() & new.keys() if old is not None and new is not None else frozenset()
        for name in sorted(masks):
            if same_masks and old and new and old[name] != new[name]:
                yield self.difference("received-mask", bool(old[name]), bool(new[name]), name=name)
        calls = graphs[0].calls[self.baseline], graphs[1].calls[self.candidate]
        for name, before, after in arguments_of(*calls):
            if name not in masks:
                yield self.difference("argument", before, after, name=name)

    def _dtype_of_input(self, number: int | None, old: CallInput, new: CallInput) -> StructuralDifference:
        kind: DifferenceKind = "input-conversion" if old.given == new.given else "input-dtype"
        by = None
        if new.producer is not None and new.producer not in self.alignment.to_baseline:
            kind, by = "input-cast", layer_call(self.alignment.candidate, new.producer)
        elif old.producer is not None and old.producer not in self.alignment.to_candidate:
            kind, by = "input-cast-removed", layer_call(self.alignment.baseline, old.producer)
        own = kind != "input-dtype" or not _passed_on(old, new)
        place = {"name": old.argument, "input": number, "by": by, "cause": own}
        return self.difference(kind, old.dtype, new.dtype, **place)

    def _mask_of_input(self, number: int | None, old: CallInput, new: CallInput) -> StructuralDifference:
        candidate = self.alignment.candidate
        cleared = None if new.masked else masked_before(candidate, new.tensor, self.candidate)
        own = cleared is not None or not _passed_on(old, new)
        place: dict[str, object] = {"name": old.argument, "input": number, "cause": own}
        blamed = self
        if cleared is not None:
            # The layer before gave a mask, and whoever used the tensor in between took it away.
            place["by"] = layer_call(candidate, cleared)
            culprit = self.alignment.to_baseline.get(cleared)
            if culprit is not None:
                blamed = _Pair(self.alignment, culprit, cleared)
                place["receiver"] = layer_call(self.alignment.baseline, self.baseline)
        return blamed.difference("input-mask", old.masked, new.masked, **place)

    def _results(
        self, inputs: Sequence[StructuralDifference], *, inner: bool
    ) -> Iterator[StructuralDifference]:
        """What the call gives. `inputs`: how its inputs differ."""
        aspects = {difference.aspect for difference in inputs}
        shaped = any(difference.kind == "input-shape" for difference in inputs)
        old = self.alignment.baseline.results(self.baseline)
        new = self.alignment.candidate.results(self.candidate)
        if [*old] != [*new]:
            yield self.difference("result-count", len(old), len(new))
            return
        for path, leaf in old.items():
            before = self.alignment.baseline.tensors[leaf.tensor]
            after = self.alignment.candidate.tensors[new[path].tensor]
            if before.dtype != after.dtype:
                yield self.difference("result-dtype", before.dtype, after.dtype, cause="dtype" not in aspects)
            masks = leaf.mask is not None, new[path].mask is not None
            if masks[0] != masks[1] and inner:
                own, graph = "mask" not in aspects, self.alignment.candidate
                masked = own and any(item.masked for item in inputs_of(graph, self.candidate))
                name = explicit_mask(graph, self.candidate) if masked else ""
                yield self.difference("result-mask", *masks, cause=own, input_masked=masked, name=name)
            if len(before.shape) != len(after.shape):
                yield self.difference("result-rank", len(before.shape), len(after.shape), cause=not shaped)
            elif None not in (*before.shape[1:], *after.shape[1:]) and before.shape[1:] != after.shape[1:]:
                shapes = [*before.shape[1:]], [*after.shape[1:]]
                yield self.difference("result-shape", *shapes, cause=not shaped)
        if inner and not self.old.container:
            yield from self._mask_positions()

    def _mask_positions(self) -> Iterator[StructuralDifference]:
        """Whether the result carries a mask on both sides that keeps other positions, as recorded."""
        graphs = self.alignment.baseline, self.alignment.candidate
        old, new = (
            {path: graph.hash_of(leaf.mask) for path, leaf in graph.results(call).items()}
            for graph, call in zip(graphs, (self.baseline, self.candidate), strict=True)
        )
        if any(old[path] and new[path] and old[path] != new[path] for path in old):
            source = masks_come_from(graphs[0], self.baseline)
            own = source is not None and source == masks_come_from(graphs[1], self.candidate)
            yield self.difference("result-mask-positions", cause=own)


def _passed_on(old: CallInput, new: CallInput) -> bool:
    """Whether an input is what another call returned, on both sides; else code between the calls made it."""
    return old.producer is not None and new.producer is not None


def _unpaired(alignment: Alignment, named: set[str]) -> Iterator[StructuralDifference]:
    """Layers, and within one line of Keras operations, that only one side has."""
    same_line = _keras_2(alignment.baseline) == _keras_2(alignment.candidate)
    sides: tuple[tuple[CallGraph, Sequence[int], dict[int, int], DifferenceKind], ...] = (
        (alignment.baseline, alignment.missing, alignment.to_candidate, "removed"),
        (alignment.candidate, alignment.extra, alignment.to_baseline, "added"),
    )
    for graph, calls, aligned, kind in sides:
        for call in calls:
            facts, layer = graph.calls[call], graph.layer_of(call)
            if facts.parent not in aligned or facts.occurrence or not visible(graph, call, wrapped=False):
                continue  # the rest of something that is reported already
            operation = is_operation(facts, layer)
            harmless = operation and (not same_line or layer.class_name in ("Cast", "NotEqual"))
            if harmless or facts.path in named or (operation and not _feeds_data(graph, call)):
                continue
            place = layer_call(graph, call).place
            yield StructuralDifference(kind=kind, call=call, operation=operation, **place)


def _feeds_data(graph: CallGraph, call: int) -> bool:
    """Whether some call takes what this one made as data, rather than as a mask."""
    made = {leaf.tensor for leaf in graph.results(call).values()}
    return any(
        item.tensor in made
        for other in range(call + 1, len(graph.calls))
        if not is_operation(graph.calls[other], graph.layer_of(other))
        for item in inputs_of(graph, other)
    )


def _keras_2(graph: CallGraph) -> bool:
    """Whether a recording was made by Keras 2: its operations are layers, and it converts no arguments."""
    if any(layer.class_name in WRAPPERS for layer in graph.layers):
        return True
    return not any(call.operation or call.received for call in graph.calls)

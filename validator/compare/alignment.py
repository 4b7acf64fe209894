"""Which call of the baseline's model is which call of the candidate's.

Call sets and automatic names differ between releases, so nothing is aligned by its index: a call is known
by its parent, its name without an automatic number, which of the layers of that name it is, and the
how-manieth call of it. Where one side has more layers of a name than the other, those that look alike (class,
weights, shapes) belong together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from validator.layers import CallFacts, LayerFacts, Layers

#: Keras 2 wraps a TensorFlow function that is called on symbolic tensors in one of these.
WRAPPERS = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"})
_PREFIXES = ("forward_", "backward_")
_SAME_CLASS = {"Functional": "Model", "Sequential": "Model"}
_SAME_FUNCTION = {"getitem": "get_item", "truediv": "true_divide", "sub": "subtract", "mul": "multiply"}


@dataclass(frozen=True)
class Alignment:
    """Pairs of calls (baseline, candidate) in the baseline's order, and the calls that have no partner."""

    baseline: Layers
    candidate: Layers
    pairs: tuple[tuple[int, int], ...]

    @cached_property
    def to_candidate(self) -> dict[int, int]:
        """Call of the baseline → call of the candidate."""
        return dict(self.pairs)

    @cached_property
    def to_baseline(self) -> dict[int, int]:
        """Call of the candidate → call of the baseline."""
        return {there: here for here, there in self.pairs}

    @property
    def missing(self) -> tuple[int, ...]:
        """Calls of the baseline without a partner."""
        return tuple(call for call in range(len(self.baseline.calls)) if call not in self.to_candidate)

    @property
    def extra(self) -> tuple[int, ...]:
        """Calls of the candidate without a partner."""
        return tuple(call for call in range(len(self.candidate.calls)) if call not in self.to_baseline)


def align(baseline: Layers, candidate: Layers) -> Alignment:
    """Align the calls of both sides, from the model itself inwards."""
    inside = _children(baseline), _children(candidate)
    pairs: list[tuple[int, int]] = []
    left = list(zip(inside[0][None], inside[1][None], strict=False))
    while left:
        here, there = left.pop()
        pairs.append((here, there))
        mine, theirs = (
            _groups(side, calls[parent])
            for side, calls, parent in ((baseline, inside[0], here), (candidate, inside[1], there))
        )
        for name in mine.keys() & theirs.keys():
            for ours, others in _instances(baseline, candidate, mine[name], theirs[name]):
                left.extend(zip(ours, others, strict=False))
    return Alignment(baseline, candidate, tuple(sorted(pairs)))


def class_of(layer: LayerFacts) -> str:
    """The class under the name that both Keras lines share."""
    return _SAME_CLASS.get(layer.class_name, layer.class_name)


def is_operation(call: CallFacts, layer: LayerFacts) -> bool:
    """Whether this is a bare operation of a functional graph: no layer that anybody wrote down."""
    return call.operation or layer.class_name in WRAPPERS


def name_in(layer: LayerFacts, call: CallFacts) -> str:
    """A layer's name without what was numbered automatically."""
    if is_operation(call, layer):
        function = layer.function.rpartition(".")[2].strip("_") or layer.class_name
        return "operation " + _SAME_FUNCTION.get(function, _snake(function))
    snake = _snake(layer.class_name)
    name, prefix = layer.name, ""
    for start in _PREFIXES:
        if name.startswith(start):
            name, prefix = name[len(start) :], start
    return prefix + snake if re.fullmatch(rf"{re.escape(snake)}(_\d+)?", name) else layer.name


def _snake(name: str) -> str:
    """How Keras makes a name of a class: `GRUCell` is `gru_cell`, `Conv2D` is `conv2d`."""
    spaced = re.sub(r"\W+", "", name)
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", spaced)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _children(layers: Layers) -> dict[int | None, list[int]]:
    found: dict[int | None, list[int]] = defaultdict(list)
    for number, call in enumerate(layers.calls):
        found[call.parent].append(number)
    return found


def _groups(layers: Layers, calls: Sequence[int]) -> dict[str, list[list[int]]]:
    """Name → the calls of each layer of that name, layers in the order of their first call."""
    found: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for number in calls:
        call = layers.calls[number]
        name = name_in(layers.layer_of(number), call)
        found[name].setdefault(call.layer, []).append(number)
    return {name: list(instances.values()) for name, instances in found.items()}


def _instances(
    baseline: Layers, candidate: Layers, ours: list[list[int]], others: list[list[int]]
) -> list[tuple[list[int], list[int]]]:
    """Layers of one name: in order where there are as many, by their looks otherwise."""
    if len(ours) == len(others):
        return list(zip(ours, others, strict=True))
    found: list[tuple[list[int], list[int]]] = []
    for look in (_looks_and_feed, _looks):
        matcher = SequenceMatcher(
            None,
            [look(baseline, calls[0]) for calls in ours],
            [look(candidate, calls[0]) for calls in others],
            autojunk=False,
        )
        blocks = matcher.get_matching_blocks()
        places = [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
        found += [(ours[here], others[there]) for here, there in places]
        taken = {here for here, _ in places}, {there for _, there in places}
        ours = [calls for number, calls in enumerate(ours) if number not in taken[0]]
        others = [calls for number, calls in enumerate(others) if number not in taken[1]]
    return found


def _looks(layers: Layers, call: int) -> tuple[object, ...]:
    layer = layers.layer_of(call)
    weights = tuple(weight.shape for weight in layer.weights)
    shapes = tuple(
        layers.tensors[leaf.tensor].shape for leaf in layers.results(call).values() if leaf.tensor is not None
    )
    return class_of(layer), weights, shapes


def _looks_and_feed(layers: Layers, call: int) -> tuple[object, ...]:
    feeding = (name_in(layers.layer_of(made), layers.calls[made]) for made in producers(layers, call))
    return *_looks(layers, call), *feeding


def producers(layers: Layers, call: int) -> list[int]:
    """The calls that made a call's arguments; of nested ones, the innermost."""
    found = []
    for argument in layers.calls[call].arguments:
        for _, leaf in argument.value.leaves():
            producer = None if leaf.tensor is None else layers.tensors[leaf.tensor].producer
            if producer is not None:
                found.append(producer)
    return found

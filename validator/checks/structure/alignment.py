"""Which call of the baseline's model is which call of the candidate's.

Call sets and automatic names differ between releases, so nothing is aligned by its index: a call is known
by its parent, its name without an automatic number, which of the layers of that name it is, and which call
of it. Of layers of one name, those that hold the same values in their weights belong together; where one
side has more of them than the other, those that look alike (class, weights, shapes).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from validator.checks.structure.graph import CallFacts, CallGraph, LayerFacts

#: Keras 2 wraps a TensorFlow function that is called on symbolic tensors in one of these.
WRAPPERS = frozenset({"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"})
_SAME_CLASS = {"Functional": "Model", "Sequential": "Model"}
_SAME_FUNCTION = {"getitem": "get_item", "truediv": "true_divide", "sub": "subtract", "mul": "multiply"}


@dataclass(frozen=True)
class Alignment:
    """Pairs of calls (baseline, candidate) in the baseline's order, and the calls that have no partner."""

    baseline: CallGraph
    candidate: CallGraph
    pairs: tuple[tuple[int, int], ...]

    @cached_property
    def to_candidate(self) -> dict[int, int]:
        """Call of the baseline → call of the candidate."""
        return dict(self.pairs)

    @cached_property
    def to_baseline(self) -> dict[int, int]:
        """Call of the candidate → call of the baseline."""
        return {candidate: baseline for baseline, candidate in self.pairs}

    @property
    def missing(self) -> tuple[int, ...]:
        """Calls of the baseline without a partner."""
        return tuple(call for call in range(len(self.baseline.calls)) if call not in self.to_candidate)

    @property
    def extra(self) -> tuple[int, ...]:
        """Calls of the candidate without a partner."""
        return tuple(call for call in range(len(self.candidate.calls)) if call not in self.to_baseline)


def align(baseline: CallGraph, candidate: CallGraph) -> Alignment:
    """Align the calls of both sides, from the model itself inwards."""
    children = _children(baseline), _children(candidate)
    pairs: list[tuple[int, int]] = []
    pending = list(zip(children[0][None], children[1][None], strict=False))
    while pending:
        pair = pending.pop()
        pairs.append(pair)
        old = _groups(baseline, children[0][pair[0]])
        new = _groups(candidate, children[1][pair[1]])
        for name in old.keys() & new.keys():
            for before, after in _instances(baseline, candidate, old[name], new[name]):
                pending.extend(zip(before, after, strict=False))
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
    # Bidirectional names the layers that it makes `forward_lstm_2` and `backward_lstm_2`.
    automatic = re.fullmatch(rf"((?:forward_|backward_)?{re.escape(snake)})(_\d+)?", layer.name)
    return automatic[1] if automatic else layer.name


def _snake(name: str) -> str:
    """How Keras makes a name of a class: `GRUCell` is `gru_cell`, `Conv2D` is `conv2d`."""
    spaced = re.sub(r"\W+", "", name)
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", spaced)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _children(graph: CallGraph) -> dict[int | None, list[int]]:
    children: dict[int | None, list[int]] = defaultdict(list)
    for number, call in enumerate(graph.calls):
        children[call.parent].append(number)
    return children


def _groups(graph: CallGraph, calls: Sequence[int]) -> dict[str, list[list[int]]]:
    """Name → the calls of each layer of that name, layers in the order of their first call."""
    groups: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for number in calls:
        call = graph.calls[number]
        groups[name_in(graph.layer_of(number), call)].setdefault(call.layer, []).append(number)
    return {name: list(instances.values()) for name, instances in groups.items()}


def _instances(
    old: CallGraph, new: CallGraph, before: list[list[int]], after: list[list[int]]
) -> list[tuple[list[int], list[int]]]:
    """Layers of one name: by their weights, in order where there are as many, by their looks otherwise."""
    pairs = _of_same_weights(old, new, before, after)
    before = [calls for calls in before if all(calls is not first for first, _ in pairs)]
    after = [calls for calls in after if all(calls is not second for _, second in pairs)]
    if len(before) == len(after):
        return pairs + list(zip(before, after, strict=True))
    for look in (_looks_and_feed, _looks):
        looks = [look(old, calls[0]) for calls in before], [look(new, calls[0]) for calls in after]
        blocks = SequenceMatcher(None, *looks, autojunk=False).get_matching_blocks()
        places = [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
        pairs += [(before[first], after[second]) for first, second in places]
        taken = {first for first, _ in places}, {second for _, second in places}
        before = [calls for number, calls in enumerate(before) if number not in taken[0]]
        after = [calls for number, calls in enumerate(after) if number not in taken[1]]
    return pairs


def _of_same_weights(
    old: CallGraph, new: CallGraph, before: list[list[int]], after: list[list[int]]
) -> list[tuple[list[int], list[int]]]:
    """Layers that hold the same values, as no other of either side does."""
    sides = [
        _singly((_values(graph, calls[0]), calls) for calls in layers)
        for graph, layers in ((old, before), (new, after))
    ]
    return [(sides[0][values], sides[1][values]) for values in sides[0] if values in sides[1]]


def _singly(named: Iterable[tuple[tuple[str, ...], list[int]]]) -> dict[tuple[str, ...], list[int]]:
    """What stands under a key that nothing else stands under; without what has no key."""
    groups: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for key, calls in named:
        groups[key].append(calls)
    return {key: calls[0] for key, calls in groups.items() if key and len(calls) == 1}


def _values(graph: CallGraph, call: int) -> tuple[str, ...]:
    """Digests of a layer's weights; empty where it has none, or one is not known."""
    hashes = tuple(sorted(weight.hash for weight in graph.layer_of(call).weights))
    return hashes if all(hashes) else ()


def _looks(graph: CallGraph, call: int) -> tuple[object, ...]:
    layer = graph.layer_of(call)
    shapes = [graph.tensors[leaf.tensor].shape for leaf in graph.results(call).values()]
    return class_of(layer), tuple(weight.shape for weight in layer.weights), tuple(shapes)


def _looks_and_feed(graph: CallGraph, call: int) -> tuple[object, ...]:
    """Looks, and the names of the calls that made the arguments; of nested calls, the innermost."""
    makers = (graph.tensors[leaf.tensor].producer for leaf in graph.calls[call].inputs)
    feeding = (name_in(graph.layer_of(made), graph.calls[made]) for made in makers if made is not None)
    return *_looks(graph, call), *feeding

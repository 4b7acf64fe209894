"""Which variable and layer of one training is which of the other: Keras 2 and 3 name them differently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from validator.checks.training.answers import ProbedLayer, Variable

Pairs = tuple[tuple[int, int], ...]

#: Automatic names differ between versions: what no name pairs, class and order do.
_KEYS: tuple[Callable[[ProbedLayer], Hashable], ...] = (
    lambda layer: (layer.name, layer.occurrence),
    lambda layer: layer.class_name,
)


def pair_layers(old: Sequence[ProbedLayer], new: Sequence[ProbedLayer]) -> Pairs:
    """By name and occurrence; the rest by class and order."""
    pairs: dict[int, int] = {}
    for key in _KEYS:
        free, taken = defaultdict(list), set(pairs.values())
        for number, layer in enumerate(new):
            if number not in taken:
                free[key(layer)].append(number)
        for number, layer in enumerate(old):
            if number not in pairs and free[key(layer)]:
                pairs[number] = free[key(layer)].pop(0)
    return tuple(sorted(pairs.items()))


def pair_variables(old: Sequence[Variable], new: Sequence[Variable]) -> Pairs | None:
    """By name where the names agree, else by place where every shape does."""
    if len(old) != len(new):
        return None
    places = {variable.name: number for number, variable in enumerate(new)}
    if len(places) == len(new) and all(variable.name in places for variable in old):
        pairs = tuple((number, places[variable.name]) for number, variable in enumerate(old))
        if all(old[i].shape == new[j].shape for i, j in pairs):
            return pairs
    for orders in ((range(len(old)), range(len(new))), (_trained_first(old), _trained_first(new))):
        pairs = tuple(sorted(zip(*orders, strict=True)))
        if all(_alike(old[i], new[j]) for i, j in pairs):
            return pairs
    return None


def _alike(old: Variable, new: Variable) -> bool:
    last = [variable.name.rpartition("/")[2] for variable in (old, new)]
    return old.shape == new.shape and old.trainable == new.trainable and last[0] == last[1]


def _trained_first(variables: Sequence[Variable]) -> list[int]:
    return sorted(range(len(variables)), key=lambda number: not variables[number].trainable)

"""Which variable and layer of one training is which of the other: Keras 2 and 3 name them differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validator.runner.training import ProbedLayer, Variable

Pairs = tuple[tuple[int, int], ...]


def pair_layers(old: Sequence[ProbedLayer], new: Sequence[ProbedLayer]) -> Pairs:
    """By name and occurrence; the rest by class and order, since automatic names differ between versions."""
    there: dict[tuple[str, int], list[int]] = {}
    for number, layer in enumerate(new):
        there.setdefault((layer.name, layer.occurrence), []).append(number)
    pairs: dict[int, int] = {}
    for number, layer in enumerate(old):
        free = there.get((layer.name, layer.occurrence))
        if free:
            pairs[number] = free.pop(0)
    taken = set(pairs.values())
    rest: dict[str, list[int]] = {}
    for number, layer in enumerate(new):
        if number not in taken:
            rest.setdefault(layer.class_name, []).append(number)
    for number, layer in enumerate(old):
        if number not in pairs and rest.get(layer.class_name):
            pairs[number] = rest[layer.class_name].pop(0)
    return tuple(sorted(pairs.items()))


def pair_variables(old: Sequence[Variable], new: Sequence[Variable]) -> Pairs | None:
    """By name where the names agree, else by place where every shape does."""
    places = {variable.name: number for number, variable in enumerate(new)}
    if len(places) == len(new) == len(old) and all(variable.name in places for variable in old):
        pairs = tuple((number, places[variable.name]) for number, variable in enumerate(old))
        if all(old[i].shape == new[j].shape for i, j in pairs):
            return pairs
    for here, there in (
        (list(range(len(old))), list(range(len(new)))),
        (_trained_first(old), _trained_first(new)),
    ):
        pairs = tuple(zip(here, there, strict=False))
        if len(old) == len(new) and all(_alike(old[i], new[j]) for i, j in pairs):
            return tuple(sorted(pairs))
    return None


def _alike(old: Variable, new: Variable) -> bool:
    last = [variable.name.rpartition("/")[2] for variable in (old, new)]
    return old.shape == new.shape and old.trainable == new.trainable and last[0] == last[1]


def different_variables(old: Sequence[Variable], new: Sequence[Variable]) -> str:
    """What to say where they do not pair."""

    def listed(side: Sequence[Variable]) -> str:
        return ", ".join(f"{variable.name} {variable.shape}" for variable in side[:4])

    return (
        f"the models have other variables: {len(old)} ({listed(old)} …) against {len(new)} ({listed(new)} …)"
    )


def _trained_first(variables: Sequence[Variable]) -> list[int]:
    return sorted(range(len(variables)), key=lambda number: not variables[number].trainable)

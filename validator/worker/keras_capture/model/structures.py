"""Nested dicts, lists and tuples, as models take and return them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Tuple

Keys = Tuple[object, ...]  # where a leaf is


def located(structure: object, path: Keys = ()) -> Iterator[Tuple[Keys, object]]:
    """Every leaf with its path."""
    if isinstance(structure, Mapping):
        items = structure.items()
    elif is_sequence(structure):
        items = enumerate(structure)
    else:
        yield path, structure
        return
    for key, value in items:
        yield from located(value, (*path, key))


def leaves(structure: object) -> Iterator[object]:
    """Every leaf."""
    return (leaf for _, leaf in located(structure))


def mapped(
    change: Callable[[Keys, object], object], structure: object, sequence: type = tuple, path: Keys = ()
) -> object:
    """The structure with each leaf changed; mappings become dicts, lists and tuples a `sequence`."""
    if isinstance(structure, Mapping):
        return {key: mapped(change, value, sequence, (*path, key)) for key, value in structure.items()}
    if is_sequence(structure):
        items = enumerate(structure)
        return sequence(mapped(change, value, sequence, (*path, index)) for index, value in items)
    return change(path, structure)


def is_sequence(value: object) -> bool:
    """Whether this is a list or tuple."""
    return isinstance(value, (list, tuple))

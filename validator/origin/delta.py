"""Delta debugging: the smallest part of a set of changes that still has an effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def smallest(items: Sequence[T], has_effect: Callable[[Sequence[T]], bool]) -> list[T]:
    """A subset with the effect of which no element can be left out.

    The algorithm is ddmin of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"
    (IEEE TSE 28, 2002). An unresolved mixture, one that does not run, counts as having no effect.

    Args:
        items: a set with the effect.
        has_effect: asked of subsets, in the order of `items`.
    """
    kept, parts = list(items), 2
    while len(kept) > 1:
        chunks = _chunks(kept, min(parts, len(kept)))
        half = next((chunk for chunk in chunks if has_effect(chunk)), None)
        if half is not None:
            kept, parts = half, 2
            continue
        rest = _complement(chunks, has_effect) if len(chunks) > 2 else None
        if rest is not None:
            kept, parts = rest, max(len(chunks) - 1, 2)
        elif len(chunks) < len(kept):
            parts = 2 * len(chunks)
        else:
            break
    return kept


def _chunks(items: list[T], count: int) -> list[list[T]]:
    bounds = [round(number * len(items) / count) for number in range(count + 1)]
    return [items[start:stop] for start, stop in pairwise(bounds)]


def _complement(chunks: list[list[T]], has_effect: Callable[[Sequence[T]], bool]) -> list[T] | None:
    for left_out in range(len(chunks)):
        rest = [item for number, chunk in enumerate(chunks) if number != left_out for item in chunk]
        if has_effect(rest):
            return rest
    return None

"""Discrete outputs (integers, booleans, strings, NaN patterns): places that rounding flips too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.base import Frozen
from validator.numbers.ensembles import Ensemble, Rows, rows_of, width_of
from validator.storage.tensors import StoredTensor

#: Some rows of a tensor as values that are equal or not, flat.
Codes = Callable[[StoredTensor, Rows | None], NDArray[Any]]


class Places(Frozen):
    """Places whose value is another in the candidate.

    `moved` of `size` are; `flips` is the most that a member moves. `novel` are those whose new value no
    member has there; `reach` is the most places that a member has to itself. Where rounding flips a tie,
    members flip it too. Of places that no member was asked for, those count as novel that are more than
    members flip elsewhere.
    """

    size: int
    moved: int
    flips: int
    novel: int
    reach: int


def compare_places(
    baseline: StoredTensor, candidate: StoredTensor, ensemble: Ensemble, codes: Codes
) -> Places:
    """Count the places of two tensors of one shape and dtype."""
    before, after = codes(baseline, ensemble.rows), codes(candidate, ensemble.rows)
    members = [codes(member, None) for member in ensemble.members]
    apart = _differ(before, after)
    novel = apart & ~_any(apart.size, (~_differ(member, after) for member in members))
    flips = max((int(np.count_nonzero(_differ(member, before))) for member in members), default=0)
    moved = sum(
        int(np.count_nonzero(_differ(codes(baseline, rows), codes(candidate, rows))))
        for rows in ensemble.unmeasured(baseline, width_of(baseline))
    )
    unmeasured = rows_of(baseline) - ensemble.rows.size
    explained = math.ceil(flips * unmeasured / max(1, ensemble.rows.size))
    return Places(
        size=baseline.size,
        moved=int(np.count_nonzero(apart)) + moved,
        flips=flips + explained,
        novel=int(np.count_nonzero(novel)) + max(0, moved - explained),
        reach=max(_alone(before, members), default=0),
    )


def _alone(before: NDArray[Any], members: list[NDArray[Any]]) -> list[int]:
    """How many places each member has to itself: values there that neither the baseline nor another has."""
    places = np.flatnonzero(_any(before.size, (_differ(member, before) for member in members)))
    values = [member[places] for member in members]
    alone = []
    for own, value in enumerate(values):
        others = (~_differ(other, value) for place, other in enumerate(values) if place != own)
        alone.append(int(np.count_nonzero(_differ(value, before[places]) & ~_any(places.size, others))))
    return alone


def _any(size: int, masks: Any) -> NDArray[np.bool_]:
    total = np.zeros(size, np.bool_)
    for mask in masks:
        total |= mask
    return total


def _differ(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(left != right, np.bool_)

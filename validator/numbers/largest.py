"""The largest of numbers that pass by, and where they stood: memory does not grow with how many pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Largest:
    """At most `most` places of the largest positive numbers, the largest first; of equal ones the first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values = np.zeros(0)
        self._places = np.zeros(0, np.intp)

    def add(self, values: NDArray[np.float64], first: int) -> None:
        """The next numbers, flat; `first` is the place of the first of them."""
        own = np.flatnonzero(values > 0)
        if self._values.size == self._most:
            own = own[values[own] > self._values[-1]]
        if not own.size:
            return
        joined = np.concatenate([self._values, values[own]])
        order = np.argsort(-joined, kind="stable")[: self._most]
        self._values, self._places = joined[order], np.concatenate([self._places, own + first])[order]

    @property
    def places(self) -> list[int]:
        """The places."""
        return [int(place) for place in self._places]

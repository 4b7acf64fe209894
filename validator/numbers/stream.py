"""Both sides of a pair, read side by side in pieces: memory does not grow with the tensors."""

from __future__ import annotations

from collections.abc import Iterator

from validator.numbers.values import Decoder, kind_of
from validator.storage.tensors import Raw, StoredTensor

#: Elements of a piece: sums depend on it in their last digits, and `worst` where elements are as far apart.
CHUNK = 64 * 1024
_RELEASE = 1 << 19  # bytes of a map that may pile up in memory


class PairStream:
    """Open maps and decoders of a pair, for pieces of `step` elements, up to `together` at once."""

    def __init__(
        self, baseline: StoredTensor, candidate: StoredTensor, step: int = CHUNK, together: int = 1
    ) -> None:
        sides = baseline, candidate
        self._size = baseline.size
        self._step, self._most = step, step * together
        self._strings = baseline.storage == "utf8"
        self.data = baseline.open(), candidate.open()
        self.decode = [Decoder(side.dtype, kind_of(side), self._most) for side in sides]

    def pieces(self, row: int) -> Iterator[tuple[int, int]]:
        """Bounds of whole pieces together, or of one that is shorter; none crosses the end of a `row`."""
        released = 0
        widest = max(data.values.itemsize for data in self.data)
        for first in range(0, self._size, row):
            high, stop = first, min(first + row, self._size)
            while high < stop:
                low, left = high, stop - high
                high += min(left - left % self._step or left, self._most)
                yield low, high
                if (high - released) * widest >= _RELEASE and not self._strings:
                    for data in self.data:
                        data.release(released, high)
                    released = high

    def raw(self, low: int, high: int) -> tuple[Raw, Raw]:
        """The elements [low, high) of both sides, as they are stored."""
        return self.data[0].values[low:high], self.data[1].values[low:high]

"""Both sides of a pair, read side by side in pieces: memory does not grow with the tensors."""

from __future__ import annotations

from collections.abc import Iterator

from validator.numbers.values import Decoder, kind_of
from validator.storage.tensors import Raw, StoredTensor

#: Elements read together: what a core's cache holds of both sides and the scratch.
CHUNK = 64 * 1024
_RELEASE = 1 << 19  # bytes of a map that may pile up in memory


class PairStream:
    """Open maps and decoders of a pair, for pieces of at most `step` elements."""

    def __init__(self, baseline: StoredTensor, candidate: StoredTensor, step: int = CHUNK) -> None:
        sides = baseline, candidate
        self._size = baseline.size
        self._step = step
        self._strings = baseline.storage == "utf8"
        self.data = baseline.open(), candidate.open()
        self.decode = [Decoder(side.dtype, kind_of(side), step) for side in sides]

    def pieces(self, row: int) -> Iterator[tuple[int, int]]:
        """Bounds of pieces of the tensors; none crosses the end of a run of `row` elements."""
        released = 0
        widest = max(data.values.itemsize for data in self.data)
        for first in range(0, self._size, row):
            stop = min(first + row, self._size)
            for low in range(first, stop, self._step):
                high = min(low + self._step, stop)
                yield low, high
                if (high - released) * widest >= _RELEASE and not self._strings:
                    for data in self.data:
                        data.release(released, high)
                    released = high

    def raw(self, low: int, high: int) -> tuple[Raw, Raw]:
        """The elements [low, high) of both sides, as they are stored."""
        return self.data[0].values[low:high], self.data[1].values[low:high]

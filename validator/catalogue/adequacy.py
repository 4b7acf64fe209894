"""What recorded inputs hold, and so which known changes they can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from validator.catalogue.entries import CatalogueEntry, InputNeed

if TYPE_CHECKING:  # NumPy is imported where arrays are looked at: `advise` mostly has none
    import numpy as np
    from numpy.typing import NDArray

    from validator.storage.tensors import StoredTensor

    Array = NDArray[np.generic]

#: Beyond it, bfloat16 no longer holds every whole number.
_LARGEST_EXACT = 256
_LARGEST_INT32 = 2**31 - 1
#: So many times farther from 0 than it is spread, a float loses the digits that a normalisation needs.
_FAR = 100
_TINY = 1e-4
BATCH = 32
_BLOCK = 1 << 18  # elements that are looked at together


@dataclass(frozen=True)
class Adequacy:
    """What inputs hold, and what they lack of all that their kind could hold."""

    holds: frozenset[InputNeed]
    lacks: frozenset[InputNeed]

    def shows(self, change: CatalogueEntry) -> bool:
        """Whether a change can show on these inputs."""
        return not set(change.inputs) - self.holds

    def with_labels(self, labels: Iterable[StoredTensor]) -> Adequacy:
        """The same, with what recorded labels hold."""
        ranks = [len(tensor.shape) for tensor in labels if tensor.name.rpartition("/")[2] != "sample_weight"]
        flat: frozenset[InputNeed] = frozenset({"flat-labels"} if 1 in ranks else ())
        return (
            Adequacy(self.holds | flat, self.lacks)
            if flat or not ranks
            else replace(self, lacks=self.lacks | {"flat-labels"})
        )


def adequacy(inputs: Mapping[str, Array], batch: int = BATCH) -> Adequacy:
    """Look through recorded inputs.

    Args:
        inputs: arrays whose first axis is the sample.
        batch: how many samples are predicted at once.
    """
    samples = min((len(array) for array in inputs.values() if array.ndim), default=0)
    return _seen((block for array in inputs.values() for block in _blocks(array)), samples, batch)


def of_recording(tensors: Iterable[StoredTensor], batch: int = BATCH) -> Adequacy:
    """Look through a converted recording, a block of samples at a time. Ragged tensors are not looked at.

    Nor are those of bfloat16: they are kept as bits, which say nothing by themselves.
    """
    read = [
        tensor
        for tensor in tensors
        if tensor.batched and not tensor.ragged and (tensor.storage == "utf8" or tensor.dtype != "bfloat16")
    ]
    samples = min((tensor.shape[0] for tensor in read if tensor.shape), default=0)
    return _seen((block for tensor in read for block in _stored(tensor)), samples, batch)


def _seen(blocks: Iterable[Array], samples: int, batch: int) -> Adequacy:
    """What any of some blocks of samples holds."""
    observed: dict[InputNeed, bool] = {}
    for block in blocks:
        for need, present in _of_array(block):
            observed[need] = observed.get(need, False) or present
    observed["smaller-batch"] = samples > batch and samples % batch != 0
    holds = frozenset(need for need, present in observed.items() if present)
    return Adequacy(holds, frozenset(observed) - holds)


def _blocks(array: Array) -> Iterator[Array]:
    """An array in blocks of whole samples: what is computed of all at once is several times its size."""
    if not array.ndim or not array.size:
        yield array
        return
    step = _step(array.shape)
    yield from (array[start : start + step] for start in range(0, len(array), step))


def _stored(tensor: StoredTensor) -> Iterator[Array]:
    """The same of a stored tensor, of which no more than a block stays in memory."""
    import numpy as np

    data = tensor.open()
    if not tensor.shape or not tensor.size:
        yield np.array([], dtype=object) if tensor.storage == "utf8" else data.values.reshape(tensor.shape)
        return
    row = tensor.size // tensor.shape[0]
    step = _step(tensor.shape) * row
    for start in range(0, tensor.size, step):
        stop = min(start + step, tensor.size)
        if tensor.storage == "utf8":
            yield np.array(data.strings(start, stop), dtype=object)
        else:
            yield data.values[start:stop].reshape(-1, *tensor.shape[1:])
            data.release(start, stop)


def _step(shape: tuple[int, ...]) -> int:
    """How many samples are a block."""
    return max(1, _BLOCK * shape[0] // math.prod(shape))


def _of_array(array: Array) -> Iterator[tuple[InputNeed, bool]]:
    import numpy as np

    if array.dtype.kind in "iu":
        yield from _of_integers(array)
    elif array.dtype.kind == "f" and array.size:
        yield from _of_floats(array.astype(np.float64))
    elif array.dtype.kind in "USO":
        yield "empty-text", any(not text for text in array.ravel())


def _of_integers(array: Array) -> Iterator[tuple[InputNeed, bool]]:

    largest = max(abs(int(array.min())), abs(int(array.max()))) if array.size else 0
    yield "large-id", largest > _LARGEST_EXACT
    yield "wide-id", largest > _LARGEST_INT32
    if array.ndim > 1 and array.size:
        rows = array.reshape(len(array), -1)
        padding = rows == 0
        yield "padded", bool((padding.any(axis=1) & ~padding.all(axis=1)).any())
        yield "masked-row", bool(padding.all(axis=1).any())


def _of_floats(array: NDArray[np.float64]) -> Iterator[tuple[InputNeed, bool]]:
    import numpy as np

    finite = np.where(np.isfinite(array), array, 0.0)
    rows = finite.reshape(len(finite), -1) if array.ndim else finite.reshape(1, -1)
    largest = np.abs(rows).max(axis=1)
    spread = rows.std(axis=1)
    yield "nan", bool(np.isnan(array).any())
    yield "negative", bool((finite < 0).any())
    yield "tiny", bool(((largest > 0) & (largest < _TINY)).any())
    yield "large", bool((np.abs(rows.mean(axis=1)) > _FAR * np.maximum(spread, 1e-30)).any())
    steps = rows.reshape(*array.shape[:2], -1) if array.ndim > 2 else None
    if steps is not None:
        hidden = (steps == 0).all(axis=2)
        yield "padded", bool((hidden.any(axis=1) & ~hidden.all(axis=1)).any())
        yield "masked-row", bool(hidden.all(axis=1).any())


def missing(changes: Iterable[CatalogueEntry], inputs: Adequacy) -> dict[InputNeed, list[CatalogueEntry]]:
    """What inputs lack → the changes that cannot show for want of it."""
    lacking: dict[InputNeed, list[CatalogueEntry]] = {}
    for change in changes:
        for need in change.inputs:
            if need not in inputs.holds and not (need == "flat-labels" and need not in inputs.lacks):
                lacking.setdefault(need, []).append(change)
    return lacking

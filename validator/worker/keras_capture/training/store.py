"""Numbers of a training on disk: digests of all, samples of values, the weights in full."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Sequence

import numpy as np

from keras_capture.model.perturbing import moved
from keras_capture.numbers import MANTISSA, Distance, number, pairwise
from keras_capture.wire.tensors import write_tensor

Values = Sequence[Optional[np.ndarray]]
FOLDER = "training"
#: Values kept of all variables of one step together, and at least of each.
_KEPT, _LEAST = 1 << 20, 256
#: Bytes of one checkpoint.
_FULL_BYTES = 64 << 20


@dataclass(frozen=True)
class Named:
    """A variable, by the name that this Keras gives it."""

    name: str
    trainable: bool


class Store:
    """Writes into the folder of one training. Shapes alone decide what is sampled, so both sides agree."""

    def __init__(self, job_folder: Path, variables: Sequence[Named]) -> None:
        self.folder = job_folder / FOLDER
        self.folder.mkdir(exist_ok=True)
        self._variables = variables
        self.count = max(_LEAST, _KEPT // max(1, len(variables)))

    def describe(self, values: Sequence[np.ndarray]) -> List[dict]:
        """Each variable with what it starts from."""
        return [
            {
                "name": variable.name,
                "shape": list(value.shape),
                "dtype": value.dtype.name,
                "trainable": variable.trainable,
                "digest": digest(value),
            }
            for variable, value in zip(self._variables, values)
        ]

    def vectors(self, name: str, values: Values) -> dict:
        """Samples of several tensors, one after the other, in one file."""
        parts = [sample(value, self.count) for value in values]
        np.save(self.folder / f"{name}.npy", np.concatenate([np.zeros(0), *parts]))
        return {"path": f"{FOLDER}/{name}.npy", "counts": [len(part) for part in parts]}

    def digested(self, name: str, values: Values) -> Optional[dict]:
        """The same with the digest of each whole tensor; None where there are no tensors."""
        if not values:
            return None
        digests = [None if value is None else digest(value) for value in values]
        return {**self.vectors(name, values), "digests": digests}

    def probe(self, name: str, seen: object) -> dict:
        """What a probe saw of every layer."""
        return {
            "layers": seen.layers,
            "loss": None if seen.loss is None else number(seen.loss),
            "added": seen.added,
            **{
                part: self.digested(f"{name}.{part}", getattr(seen, part))
                for part in ("forward", "backward", "gradients")
            },
        }

    def checkpoint(self, step: int, values: Values) -> dict:
        """The weights after so many steps, as entries of the protocol, while they fit into the bounds."""
        left, entries = _FULL_BYTES, []
        for place, (variable, value) in enumerate(zip(self._variables, values)):
            if value is not None and value.nbytes <= left:
                left -= value.nbytes
                stem = self.folder / f"checkpoint-{step}.{place}"
                entries.append(write_tensor(stem, variable.name, value))
        return {"step": step, "tensors": entries}


def digest(value: np.ndarray) -> str:
    """A short name of the exact bytes."""
    return hashlib.sha256(np.ascontiguousarray(value).reshape(-1).view(np.uint8)).hexdigest()[:16]


def sample(value: Optional[np.ndarray], count: int) -> np.ndarray:
    """At most `count` values in float64, evenly over the flat tensor; a variable without a value has none."""
    if value is None or value.dtype.kind == "c":
        return np.zeros(0)
    flat = np.asarray(value).reshape(-1)
    if flat.size > count:
        flat = flat[np.arange(count, dtype=np.int64) * flat.size // count]
    return flat.astype(np.float64)


def samples(values: Values, count: int) -> Values:
    """`sample` of each tensor, and None of what has no value; samples of these are the same."""
    return [None if value is None else sample(value, count) for value in values]


def distances(base: Values, other: Values, count: int) -> List[Optional[float]]:
    """Root mean square of the difference of each pair; None where a side is missing or not finite."""
    return [_distance(left, right, count) for left, right in zip(base, other)]


def _distance(left: Optional[np.ndarray], right: Optional[np.ndarray], count: int) -> Optional[float]:
    if left is None or right is None:
        return None
    base, other = sample(left, count), sample(right, count)
    if not base.size:
        return 0.0
    distance = Distance(squares=pairwise)
    distance.add(base, other, block=base.size)
    return distance.rms if distance.count == base.size else None


def perturbed(values: Sequence[np.ndarray], seed: int) -> List[np.ndarray]:
    """Every floating value moved by one unit in its last place, up or down by chance."""
    return [
        moved(value, [seed, place]) if value.dtype.name in MANTISSA else value
        for place, value in enumerate(values)
    ]

"""Numbers of a training on disk: digests and norms of all, samples of values, a few tensors in full."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import List, Optional, Sequence

import numpy as np

from keras_capture.perturbing import MANTISSA, moved
from keras_capture.values import bits_dtype, is_extended

#: Values kept of all variables of one step together, and at least of each.
_KEPT, _LEAST = 1 << 20, 256
#: Bytes of the tensors that are kept in full, for each of gradients, first and last checkpoint.
_FULL_BYTES = 64 << 20


class Store:
    """Writes into the folder of one training. Shapes alone decide what is sampled, so both sides agree."""

    def __init__(self, folder: Path, variables: Sequence["Named"]) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
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

    def vectors(self, name: str, values: Sequence[Optional[np.ndarray]]) -> dict:
        """Samples of several tensors, one after the other, in one file."""
        samples = [sample(value, self.count) for value in values]
        whole = np.concatenate([np.zeros(0), *samples])
        np.save(self.folder / f"{name}.npy", whole)
        return {"path": f"training/{name}.npy", "counts": [len(part) for part in samples]}

    def changing(self, name: str, values: Sequence[Optional[np.ndarray]]) -> Optional[dict]:
        """Gradients or weights after a step; None where there are none."""
        if not values:
            return None
        return {
            **self.vectors(name, values),
            "digests": [None if value is None else digest(value) for value in values],
            "norms": [None if value is None else norm(value) for value in values],
        }

    def forward(self, name: str, value: Optional[np.ndarray]) -> Optional[dict]:
        """What the model returned, flat."""
        return None if value is None else self.changing(name, [value])

    def probe(self, seen: object, name: str) -> dict:
        """What a probe saw of every layer."""
        return {
            "layers": seen.layers,
            "loss": None if seen.loss is None else _number(float(seen.loss)),
            "forward": self.changing(f"{name}.forward", seen.forward),
            "backward": self.changing(f"{name}.backward", seen.backward),
            "gradients": self.changing(f"{name}.gradients", seen.gradients),
        }

    def full(self, name: str, values: Sequence[Optional[np.ndarray]]) -> List[dict]:
        """The tensors themselves, as entries of the protocol, while they fit into the bounds."""
        left, entries = _FULL_BYTES, []
        for number, (variable, value) in enumerate(zip(self._variables, values)):
            if value is None or value.nbytes > left:
                continue
            left -= value.nbytes
            path = f"{name}.{number}.npy"
            bits = is_extended(value.dtype)
            np.save(self.folder / path, value.view(bits_dtype(value.dtype)) if bits else value)
            entries.append(
                {
                    "name": variable.name,
                    "storage": "bits" if bits else "npy",
                    "path": f"training/{path}",
                    "dtype": value.dtype.name,
                    "shape": list(value.shape),
                    "batched": False,
                }
            )
        return entries


def digest(value: np.ndarray) -> str:
    """A short name of the exact bytes."""
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]


def norm(value: np.ndarray) -> Optional[float]:
    """Euclidean norm in float64; None where it is not finite."""
    wide = np.abs(value.astype(np.complex128 if value.dtype.kind == "c" else np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        return _number(float(np.sqrt(np.sum(wide * wide))))


def sample(value: Optional[np.ndarray], count: int) -> np.ndarray:
    """At most `count` values in float64, evenly over the flat tensor; a variable without a value has none."""
    if value is None or value.dtype.kind == "c":
        return np.zeros(0)
    flat = np.asarray(value).reshape(-1)
    if flat.size > count:
        flat = flat[np.arange(count, dtype=np.int64) * flat.size // count]
    return flat.astype(np.float64)


def distance(base: Sequence, other: Sequence, count: int) -> List[Optional[float]]:
    """Root mean square of the difference of each pair; None where a side is missing or not finite."""
    found = []
    for left, right in zip(base, other):
        if left is None or right is None:
            found.append(None)
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            difference = sample(np.asarray(left), count) - sample(np.asarray(right), count)
            found.append(_number(float(np.sqrt(np.mean(difference**2)))) if difference.size else 0.0)
    return found


def perturbed(values: Sequence[np.ndarray], seed: int) -> List[np.ndarray]:
    """Every floating value moved by one unit in its last place, up or down by chance."""
    return [
        moved(value, [seed, number]) if value.dtype.name in MANTISSA else value
        for number, value in enumerate(values)
    ]


def _number(value: float) -> Optional[float]:
    return value if math.isfinite(value) else None


class Named:
    """A variable by the name it has here."""

    def __init__(self, name: str, trainable: bool) -> None:
        self.name = name
        self.trainable = trainable

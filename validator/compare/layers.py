"""The free-running curve: how far each layer's result is from the baseline's, in units of its noise.

Whatever comes after a layer that differs differs as well: this says where a difference has arrived, not where
it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from validator.compare.alignment import Alignment
from validator.compare.tensors import compare_tensors
from validator.layers import Layers, TensorFacts, Tree
from validator.tensors import StoredTensor, open_tensors

#: One unit in the last place, relative: what a layer without weights may move by.
UNITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


@dataclass(frozen=True)
class LayerDrift:
    """One pair of calls.

    Attributes:
        identical: every byte of every result; None where the layer returned nothing that has values.
        ratio: drift over noise of the worst result; None where it is unknown (not kept, or no number).
        valid, padded: the same for positions that a mask keeps, and those it hides; None without a mask.
        broken: NaN or infinity at other places, or results that cannot be paired.
    """

    baseline: int
    candidate: int
    identical: bool | None
    ratio: float | None = None
    valid: float | None = None
    padded: float | None = None
    broken: bool = False

    @property
    def differs(self) -> bool:
        """Whether anything is not the same, byte for byte."""
        return self.identical is False


@dataclass(frozen=True)
class Sides:
    """Both recordings, and the folders that the paths in them start from."""

    alignment: Alignment
    baseline: Path
    candidate: Path


def free_running(sides: Sides) -> tuple[LayerDrift, ...]:
    """The curve, in the order of the baseline's calls.

    Raises:
        ConfigurationError: a recorded tensor is gone from its folder.
    """
    return tuple(_drift(sides, here, there) for here, there in sides.alignment.pairs)


def ratio(drift: float, noise: float | None, unit: float) -> float:
    """Drift over noise; `unit` is the least that counts as noise. Nothing over nothing is nothing."""
    floor = max(noise or 0.0, unit)
    if floor > 0:
        return drift / floor
    return float("inf") if drift > 0 else 0.0


def _drift(sides: Sides, here: int, there: int) -> LayerDrift:
    old, new = sides.alignment.baseline.results(here), sides.alignment.candidate.results(there)
    parts = [
        _result(sides, here, there, pair)
        for pair in _paired(sides.alignment.baseline, sides.alignment.candidate, old, new)
    ]
    if not parts:
        return LayerDrift(here, there, None)
    known = [part for part in parts if part.identical is not None]
    return LayerDrift(
        here,
        there,
        all(part.identical for part in known) if known else None,
        _worst(part.ratio for part in parts),
        _worst(part.valid for part in parts),
        _worst(part.padded for part in parts),
        any(part.broken for part in parts) or old.keys() != new.keys(),
    )


def _worst(ratios: Iterator[float | None]) -> float | None:
    return max((one for one in ratios if one is not None), default=None)


def _paired(
    baseline: Layers, candidate: Layers, old: dict[str, Tree], new: dict[str, Tree]
) -> Iterator[tuple[Tree, TensorFacts, TensorFacts]]:
    for path, leaf in old.items():
        other = new.get(path)
        if other is not None and leaf.tensor is not None and other.tensor is not None:
            yield leaf, baseline.tensors[leaf.tensor], candidate.tensors[other.tensor]


def _result(sides: Sides, here: int, there: int, pair: tuple[Tree, TensorFacts, TensorFacts]) -> LayerDrift:
    leaf, old, new = pair
    if old.summary is None or new.summary is None:
        return LayerDrift(here, there, None)
    if old.summary.hash == new.summary.hash:
        return LayerDrift(here, there, True, 0.0)
    if old.stored is None or new.stored is None:
        return LayerDrift(here, there, False)
    before, after = (
        open_tensors([old.stored], sides.baseline)[0],
        open_tensors([new.stored], sides.candidate)[0],
    )
    found = compare_tensors(before, after)
    if not found.compared or old.dtype not in UNITS or found.rms is None:
        return LayerDrift(here, there, False, broken=not found.compared or bool(found.nonfinite_mismatched))
    unit = UNITS[old.dtype] * (found.rms_baseline or 0.0)
    mask = _mask(sides, leaf, before.shape)
    apart: list[float | None] = [None, None]
    for index, kept in enumerate((mask, None if mask is None else ~mask)):
        if kept is not None and kept.any():
            part = compare_tensors(before, after, mask=kept)
            apart[index] = ratio(part.rms or 0.0, old.noise_rms, unit) if part.compared else None
    return LayerDrift(
        here,
        there,
        False,
        ratio(found.rms, old.noise_rms, unit),
        apart[0],
        apart[1],
        bool(found.nonfinite_mismatched),
    )


def _mask(sides: Sides, leaf: Tree, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """The baseline's mask of a result, where it was kept and fits the leading axes."""
    entry = None if leaf.mask is None else sides.alignment.baseline.tensors[leaf.mask].stored
    if entry is None or entry.dtype != "bool" or entry.shape != shape[: len(entry.shape)]:
        return None
    stored: StoredTensor = open_tensors([entry], sides.baseline)[0]
    values: NDArray[np.bool_] = stored.open().values.reshape(entry.shape).astype(np.bool_)
    return values

"""Evidence for the tests of the verdict, made of small arrays by the real comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from validator.compare import compare_tensors
from validator.compare.drift import Drift
from validator.config.settings import Tolerance
from validator.results import CellResult
from validator.tensors import StoredTensor
from validator.verdict import CellEvidence, OutputEvidence
from validator.verdict.outputs import SelfNoise
from validator.verdict.twins import TwinEvidence

LABEL = CellResult(cell="m@new", environment="new", variant="", verdict="not-compared", message="")
OLD = np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4)


def output(
    new: ArrayLike,
    *,
    old: ArrayLike = OLD,
    ratio: float | None = None,
    sample: float | None = None,
    tolerance: Tolerance | None = None,
    unstable: tuple[SelfNoise, ...] = (),
    noiseless: str = "nobody measured it",
) -> OutputEvidence:
    """An output whose drift is so many times the noise, all together and in its worst sample."""
    sides = [StoredTensor.from_array("output", np.asarray(side)) for side in (old, new)]
    found = compare_tensors(sides[0], sides[1], tolerance)
    drift = None
    if ratio is not None:
        noise = (found.rms or 0.0) / ratio if ratio else 1e-7
        drift = Drift(found.rms or 0.0, noise, ratio, 3 if sample else None, 1e-6, 1e-7, sample)
    return OutputEvidence("output", found, "", tolerance, drift, noiseless, unstable)


def cell(*outputs: OutputEvidence, twin: TwinEvidence | None = None, **fields: object) -> CellEvidence:
    """A cell with these outputs."""
    return CellEvidence(LABEL, outputs=outputs, twin=twin, **fields)  # type: ignore[arg-type]

"""Outputs and captures for the tests of checks, by the real comparison and real files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from validator.checks.outputs.find import find_outputs, judge_output
from validator.checks.outputs.types import (
    OutputFinding,
    OutputNumbers,
    OutputsComparison,
    ReferenceComparison,
    ReferenceFinding,
)
from validator.checks.protocol import Evidence, Finding, Subject
from validator.config.settings import Settings, Tolerance
from validator.failure import Failure
from validator.matrix import Cell, Plan
from validator.matrix.variants import Variant
from validator.numbers.distance import compare_tensors
from validator.numbers.drift import Drift, GrainDrift
from validator.numbers.ensembles import NoiseMethod
from validator.numbers.floor import GRAINS, Grain
from validator.numbers.reference import ReferenceDistance
from validator.runner.captures import Capture, SelfDifference, read_capture
from validator.storage.tensors import StoredTensor
from validator.verdict.bands import BANDS

AS_SAVED = Variant()
OLD = np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4)


def drift(ratio: float, grain: Grain = "all", method: NoiseMethod = "operations", **fields: Any) -> Drift:
    """A drift that is so many times the noise at one grain, and nothing at the others."""
    places: dict[Grain, tuple[int, ...]] = {"row": (3,), "column": (1,), "element": (3, 1)}
    grains = tuple(
        GrainDrift(
            grain=each,
            ratio=ratio if each == grain else 0.0,
            times=ratio if each == grain else 0.0,
            reach=1.0,
            size=1e-6,
            index=places.get(each, ()),
        )
        for each in GRAINS
    )
    members = 0 if method == "none" else 8
    return Drift(method=method, members=members, rows=10, ratio=ratio, grains=grains, **fields)


def output(
    new: ArrayLike, *, old: ArrayLike = OLD, ratio: float | None = None, grain: Grain = "all", **fields: Any
) -> OutputNumbers:
    """An output whose drift is so many times the noise at one grain; without a ratio it was not measured."""
    sides = [StoredTensor.from_array("output", np.asarray(side)) for side in (old, new)]
    tolerance: Tolerance | None = fields.get("tolerance")
    comparison = compare_tensors(sides[0], sides[1], tolerance)
    if ratio is not None:
        fields.setdefault("drift", drift(ratio, grain))
    return OutputNumbers(name="output", comparison=comparison, **fields)


def apart(delta: float, **fields: Any) -> ReferenceDistance:
    """Both float64 runs so far apart."""
    return ReferenceDistance(output="output", delta=delta, **fields)


def judged(numbers: OutputNumbers) -> OutputFinding:
    return judge_output(numbers, BANDS)


def findings(*outputs: OutputNumbers, reference: ReferenceComparison | None = None) -> tuple[Finding, ...]:
    return tuple(find_outputs(OutputsComparison(outputs=outputs, reference=reference), BANDS))


def verdict(found: tuple[Finding, ...]) -> str:
    return BANDS.worst(finding.verdict for finding in found)


def of_reference(found: tuple[Finding, ...]) -> ReferenceFinding:
    return next(finding for finding in found if isinstance(finding, ReferenceFinding))


def own(max_abs: float | None, elements: int = OLD.size) -> SelfDifference:
    return SelfDifference(output="output", max_abs=max_abs, elements=elements)


def capture(folder: Path, outputs: Mapping[str, ArrayLike], **response: Any) -> Capture:
    """A capture as a worker leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    answer = {"schema": 1, "id": folder.name, "failure": None, "samples": 10, "batch_size": 4}
    answer |= {"inputs_digest": "aa", "policy": "float32", "deterministic": True}
    response["outputs"] = entries(folder, outputs)
    (folder / "response.json").write_text(json.dumps(answer | response), encoding="utf-8")
    read = read_capture(folder)
    assert isinstance(read, Capture), read
    return read


def entries(folder: Path, outputs: Mapping[str, ArrayLike]) -> list[dict[str, Any]]:
    """Tensors in a folder, and how a response describes them."""
    folder.mkdir(parents=True, exist_ok=True)
    described = []
    for name, values in outputs.items():
        array = np.asarray(values)
        np.save(folder / f"{name}.npy", array)
        described.append(
            {"name": name, "path": f"{name}.npy", "dtype": array.dtype.name, "shape": list(array.shape)}
        )
    return described


def subject(side: str = "candidate", variant: Variant = AS_SAVED, **model: Any) -> Subject:
    """A cell of a plan with one model and two environments."""
    settings = Settings.model_validate(
        {
            "version": 1,
            "requirements": ["keras"],
            "models": [{"name": "m", "builder": "a:b", "inputs": "x.npz", **model}],
        }
    )
    cells = tuple(Cell("m", name, variant) for name in ("baseline", "candidate"))
    plan = Plan("baseline", (), cells)
    cell = cells[0] if side == "baseline" else cells[1]
    return Subject(settings.models[0], cell, cells[0], plan, settings, Path(), None, BANDS)


def evidence(cell: Cell, taken: Capture, **more: Any) -> Evidence:
    return Evidence(cell, taken, **more)


def failed(message: str = "no such layer") -> Failure:
    return Failure(stage="load", error="ValueError", message=message)

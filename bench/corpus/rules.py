"""The fixed rules that people use now, on the same captures: does an output move by more than a tolerance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.numbers.tolerances import TOLERANCES
from validator.numbers.values import Decoder, kind_of
from validator.runner import Capture, read_capture
from validator.storage.tensors import StoredTensor

Array = NDArray[Any]
#: Baseline, candidate (in float64 where they are floats) and the name of their dtype → whether it passes.
Rule = Callable[[Array, Array, str], bool]


def _within(rtol: float, atol: float) -> Rule:
    def rule(baseline: Array, candidate: Array, dtype: str) -> bool:
        return bool(np.allclose(candidate, baseline, rtol=rtol, atol=atol, equal_nan=True))

    return rule


def _torch(baseline: Array, candidate: Array, dtype: str) -> bool:
    """`torch.testing.assert_close`: by dtype, and exact for what is no float."""
    used = TOLERANCES.get(dtype)
    if used is None:
        return bool(np.array_equal(baseline, candidate))
    return _within(used.rtol, used.atol)(baseline, candidate, dtype)


def _polygraphy(baseline: Array, candidate: Array, dtype: str) -> bool:
    """Each element within 1e-5 absolutely or relatively, whatever the dtype."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(candidate - baseline)
        relative = distance / np.abs(baseline)
    same = (candidate == baseline) | (np.isnan(candidate) & np.isnan(baseline))
    return bool(np.all(same | (distance <= 1e-5) | (relative <= 1e-5)))


RULES: dict[str, Rule] = {
    "np.allclose (1e-5, 1e-8)": _within(1e-5, 1e-8),
    "torch.testing.assert_close": _torch,
    "rtol = atol = 1e-3": _within(1e-3, 1e-3),
    "Keras TestCase (1e-6)": _within(1e-6, 1e-6),
    "Polygraphy (1e-5 or 1e-5)": _polygraphy,
}


def alarms(baseline: Path, candidate: Path) -> dict[str, bool]:
    """Rule → whether it says that two captures differ. What fails to run is noticed by everybody."""
    sides = [read_capture(folder) for folder in (baseline, candidate)]
    read = [{one.name: one for one in side.outputs} for side in sides if isinstance(side, Capture)]
    if len(read) < 2:
        return dict.fromkeys(RULES, True)
    old, new = read
    if old.keys() != new.keys() or any(old[name].shape != new[name].shape for name in old):
        return dict.fromkeys(RULES, True)
    pairs = [(_values(old[name]), _values(new[name]), old[name].dtype) for name in old]
    found = {name: not all(rule(*pair) for pair in pairs) for name, rule in RULES.items()}
    if any(old[name].dtype != new[name].dtype for name in old):
        found["torch.testing.assert_close"] = True  # the only one of them that looks at dtypes
    return found


def _values(tensor: StoredTensor) -> Array:
    raw = tensor.open().values
    values: Array = Decoder(tensor.dtype, kind_of(tensor), max(1, tensor.size))(raw)
    return np.array(values, np.float64) if values.dtype.kind == "f" else np.array(values)

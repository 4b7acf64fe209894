"""`validator.compare`: two sets of outputs, held against the noise of a model where one is at hand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from validator.base import Frozen
from validator.checks.bands import CellVerdict
from validator.checks.loading.types import SIDES, Side
from validator.checks.outputs import compare_stored
from validator.checks.outputs.arrays import judge_arrays, measure_own
from validator.checks.outputs.types import NoiseSource, OutputFinding
from validator.config.settings import Tolerance
from validator.errors import ConfigurationError
from validator.pipeline.show import stored_outputs
from validator.recorder.rows import Dense, RecordingError, column, leaves
from validator.report import notebook
from validator.report.words import arrays as wording
from validator.storage.tensors import StoredTensor
from validator.verdict.bands import BANDS, GREEN


class ArrayComparison(Frozen):
    """What `compare` returns.

    Attributes:
        verdict: the worst of the outputs' verdicts, as in docs/verdicts.md.
        outputs: the verdict of each output with the rule that decided and all numbers, as in report.json.
        noise: how the noise was measured; None where it was not, and a tolerance decided.
        predicted: the side that the model predicts, around which the noise was measured.
    """

    verdict: CellVerdict
    outputs: tuple[OutputFinding, ...]
    noise: NoiseSource | None = None
    predicted: Side | None = None

    @property
    def passed(self) -> bool:
        """Whether every output is identical, or within its noise or tolerance."""
        return self.verdict in GREEN

    @property
    def max_abs(self) -> float | None:
        """The largest absolute difference, in the outputs' unit; None where no numbers were compared."""
        pairs = (output.numbers.comparison for output in self.outputs)
        return max((pair.max_abs for pair in pairs if pair and pair.max_abs is not None), default=None)

    @property
    def noise_ratio(self) -> float | None:
        """The worst output's drift, as a multiple of what rounding alone reaches; None without noise."""
        drifts = (output.numbers.drift for output in self.outputs)
        return max((drift.ratio for drift in drifts if drift and drift.method != "none"), default=None)

    def __str__(self) -> str:
        """A line for every output, worst first, and where the noise is from."""
        return wording.text(self.verdict, self.outputs, self.noise)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        return notebook.comparison(self.verdict, self.outputs, self.noise)


def compare(  # noqa: PLR0913 - the public call, all but two by name
    baseline: Any,
    candidate: Any,
    *,
    model: Any = None,
    inputs: Any = None,
    rtol: float | None = None,
    atol: float | None = None,
    batch_size: int = 32,
    seconds: float = 60.0,
) -> ArrayComparison:
    """Compare two sets of outputs element by element.

    With `model` and `inputs`, a difference is held against the noise of the model: its predictions in this
    process are repeated with other rounding errors, as a run does in the baseline. Without them, and where a
    noise cannot be measured, the tolerance of each dtype decides. The result says which.

    Args:
        baseline: an array, tensor, dict of name → array, or list of arrays; the first axis is the sample.
            Or the path of an `.npz` or `.npy` file, a recording, or a capture of a run.
        candidate: what is compared with it, in the same form.
        model: a built Keras model of this process that predicts one of the two sides. It stays as it is.
        inputs: what the model was fed, in the form that its `predict` takes, without batches: arrays of
            (samples, …).
        rtol, atol: a tolerance of your own, which then decides: |candidate - baseline| is at most
            atol + rtol · |baseline|.
        batch_size: samples to predict at a time; as in the predictions, since other batches round otherwise.
        seconds: the time for measuring the noise; what it does not reach is judged by the noisiest sample.

    Raises:
        ConfigurationError: a side cannot be read, or model, inputs and outputs do not fit each other.
        CannotJudgeError: the model fails on the inputs, or predicts neither side.
    """
    if (model is None) != (inputs is None):
        raise ConfigurationError(
            "pass model and inputs together: the noise is that of predicting these inputs"
        )
    given = _Tolerances(rtol, atol).tolerance()
    with tempfile.TemporaryDirectory(prefix="keras-validator-") as scratch:
        read = {
            side: _outputs(each, Path(scratch, side))
            for side, each in zip(SIDES, (baseline, candidate), strict=True)
        }
        outputs = compare_stored(read["baseline"].tensors, read["candidate"].tensors, BANDS, given)
        if model is None or all(output.verdict == "identical" for output in outputs):
            return _result(outputs)
        options = {"batch_size": batch_size, "seconds": seconds}
        own = measure_own(model, _arrays(inputs), Path(scratch), options)
        alike = {side: own.named_alike(each.tensors, named=each.named) for side, each in read.items()}
        judged, predicted = judge_arrays(alike, own, given, BANDS)
        return _result(judged, own.source, predicted)


def _result(
    outputs: tuple[OutputFinding, ...], noise: NoiseSource | None = None, predicted: Side | None = None
) -> ArrayComparison:
    verdict = BANDS.worst(output.verdict for output in outputs)
    worst_first = sorted(outputs, key=lambda each: -BANDS.severity.index(each.verdict or "identical"))
    return ArrayComparison(verdict=verdict, outputs=tuple(worst_first), noise=noise, predicted=predicted)


@dataclass(frozen=True)
class _Tolerances:
    rtol: float | None
    atol: float | None

    def tolerance(self) -> Tolerance | None:
        """The user's tolerance; None where they named none."""
        if self.rtol is None and self.atol is None:
            return None
        if min(self.rtol or 0.0, self.atol or 0.0) < 0:
            raise ConfigurationError(f"rtol ({self.rtol}) and atol ({self.atol}) must not be negative")
        return Tolerance(rtol=self.rtol or 0.0, atol=self.atol or 0.0)


@dataclass(frozen=True)
class _Outputs:
    """One side; `named`: the user named its outputs, which then are not matched by position."""

    tensors: tuple[StoredTensor, ...]
    named: bool


def _outputs(given: Any, scratch: Path) -> _Outputs:
    if isinstance(given, (str, Path)):
        return _Outputs(stored_outputs(Path(given), scratch), named=True)
    arrays = _arrays(given)
    if list(arrays) in (["input"], ["0"]):  # a list of one is that one, as it is for the worker
        arrays = {"output": next(iter(arrays.values()))}
    tensors = tuple(_tensor(name, array) for name, array in arrays.items())
    return _Outputs(tensors, named=isinstance(given, Mapping))


def _arrays(structure: Any) -> dict[str, Any]:
    """Name → NumPy array, for whatever holds arrays or tensors; a single one is named `input`."""
    try:
        columns = {name: column(name, leaf) for name, leaf in leaves(structure)}
    except RecordingError as error:
        raise ConfigurationError(str(error)) from None
    ragged = next((name for name, each in columns.items() if not isinstance(each, Dense)), None)
    if ragged is not None:
        raise ConfigurationError(f"{ragged!r} is ragged; compare its flat values, or run a validator.yml")
    if not columns:
        raise ConfigurationError("there is nothing to compare: pass at least one array")
    return {name: each.values for name, each in columns.items() if isinstance(each, Dense)}


def _tensor(name: str, array: Any) -> StoredTensor:
    if array.dtype.kind == "O":  # strings: a leaf with other objects was refused
        array = array.astype(str)
    if array.dtype.kind == "V" and array.dtype.names is None:  # bfloat16 and float8, of ml_dtypes
        bits = array.view(f"uint{8 * array.dtype.itemsize}")
        return replace(StoredTensor.from_array(name, bits, dtype=array.dtype.name), name=name)
    return StoredTensor.from_array(name, array)

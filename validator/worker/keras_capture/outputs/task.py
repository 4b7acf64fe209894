"""The task `outputs`: the noise of the predictions, and the float32 reference run of a half-precision cell.

Half-precision noise hides real changes; in float32 they stand out. The reference runs in the process of the
cell, because only the loaded model says what its policy is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Optional

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.model.artifacts import Loaded, load
from keras_capture.model.perturbing import dtype_of
from keras_capture.model.savedmodel import SavedModel
from keras_capture.outputs.noise import measure
from keras_capture.outputs.predicting import Prediction, capture
from keras_capture.tasks import Work

PRECISION, FOLDER = "float32", "reference"
_HALF = frozenset(("float16", "bfloat16", "mixed_float16", "mixed_bfloat16"))


def run(work: Work, options: dict) -> dict:
    """Options `noise` and `reference`, each null or that part's options; a failure of one costs no other."""
    noise, reference, folder = options.get("noise"), options.get("reference"), work.job.folder
    return {
        "noise": _part(noise, "predict", lambda: measure(work.prediction, work.captured, folder, noise)),
        "reference": _part(reference, "load", lambda: _reference(work, reference.get("noise"))),
    }


def _part(options: Optional[dict], failing: str, answer: Callable[[], dict]) -> Optional[dict]:
    """The answer with its `failure`; None where it was not asked for."""
    if options is None:
        return None
    try:
        with stage(failing):
            return {"failure": None, **answer()}
    except StageError as failed:
        return {"failure": failed.as_dict()}


def _reference(work: Work, noise: Optional[dict]) -> dict:
    """Load in float32 and predict the same batches; `policy` is None where the cell is not of half."""
    if not _is_half(work.loaded):
        return {"policy": None, "outputs": [], "noise": None}
    folder = work.job.folder / FOLDER
    folder.mkdir(exist_ok=True)
    job = dataclasses.replace(work.job, precision=PRECISION, folder=folder, evaluate=False, tasks={})
    framework = work.prediction.framework
    with framework.kept_policy():
        loaded = load(framework, job)
        prediction = Prediction(framework, loaded.model, work.prediction.feed, job.batch_size)
        framework.set_seed()
        captured = capture(prediction, folder / "outputs")
        measured = _part(noise, "predict", lambda: measure(prediction, captured, folder, noise))
    return {"policy": loaded.policy, "outputs": captured.entries, "noise": measured}


def _is_half(loaded: Loaded) -> bool:
    """Whether the model computes in half precision anywhere by its policy."""
    if not isinstance(loaded.model, SavedModel):
        return loaded.policy in _HALF
    if any(dtype_of(variable) in _HALF for variable in loaded.model.variables):
        raise UnusableError("a SavedModel's precision is frozen when it is exported")
    return False

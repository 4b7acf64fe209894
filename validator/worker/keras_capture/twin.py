"""The twin of a half or mixed-precision cell: the same configuration and weights, computed in float32.

Half-precision noise hides real changes; in the twin they stand out. It runs in the same process as the cell,
because only the loaded model says what its policy is.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

from keras_capture.artifacts import Loaded, load
from keras_capture.failures import UnusableError
from keras_capture.imports import Framework
from keras_capture.noise import measure
from keras_capture.perturbing import dtype_of
from keras_capture.predicting import Prediction, capture
from keras_capture.savedmodel import SavedModel
from keras_capture.tasks import Work

PRECISION = "float32"
_HALF = frozenset(("float16", "bfloat16", "mixed_float16", "mixed_bfloat16"))


def run(work: Work, options: dict) -> dict:
    """The task: options `noise`, the options of that task where the twin's noise is wanted too.

    Raises:
        UnusableError: the cell is one of half precision, and cannot be run in another.
    """
    if not _is_half(work.loaded):
        return {"policy": None, "outputs": [], "noise": None}
    folder = work.job.folder / "twin"
    folder.mkdir(exist_ok=True)
    job = dataclasses.replace(work.job, precision=PRECISION, folder=folder, evaluate=False, tasks={})
    framework = work.prediction.framework
    with _kept_policy(framework):
        loaded = load(framework, job)
        prediction = Prediction(framework, loaded.model, work.prediction.feed, job.batch_size)
        framework.keras.utils.set_random_seed(framework.seed)
        captured = capture(prediction, folder / "outputs")
        noise = None
        if options.get("noise") is not None:
            noise = {"failure": None, **measure(prediction, captured, folder, options["noise"])}
    return {"policy": loaded.policy, "outputs": captured.entries, "noise": noise}


def _is_half(loaded: Loaded) -> bool:
    """Whether the model computes in half precision anywhere by its policy.

    Raises:
        UnusableError: it is a SavedModel of half precision, whose dtypes are frozen.
    """
    if not isinstance(loaded.model, SavedModel):
        return loaded.policy in _HALF
    if any(dtype_of(variable) in _HALF for variable in loaded.model.variables):
        raise UnusableError("a SavedModel's precision is frozen when it is exported")
    return False


@contextlib.contextmanager
def _kept_policy(framework: Framework) -> Iterator[None]:
    """Loading in another precision sets the global policy, which belongs to the job."""
    policy = framework.keras.mixed_precision.global_policy()
    try:
        yield
    finally:
        framework.keras.mixed_precision.set_global_policy(policy)

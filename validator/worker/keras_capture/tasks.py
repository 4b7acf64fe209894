"""What a job may be asked for besides its predictions: each task is a module `keras_capture.<name>`.

It has a function `run(work, options) -> dict`, and `STAGE`, the stage of a failure in it. A task starts when
outputs and evaluation are on disk, and leaves the model as it was. Its failure costs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Optional

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.model.artifacts import Loaded
from keras_capture.outputs.predicting import Captured, Prediction
from keras_capture.wire.request import Job


@dataclass(frozen=True)
class Work:
    """What a task works on: the job, the loaded model, how it is fed, and what it predicted.

    `captured` is None in a job that makes no predictions.
    """

    job: Job
    loaded: Loaded
    prediction: Prediction
    captured: Optional[Captured]


def run_task(name: str, work: Work, options: dict) -> dict:
    """The answer of a task, with `failure` set (and nothing else) where it failed."""
    try:
        with stage("predict", f"in the task {name}"):
            module = _module(name)
        with stage(module.STAGE, f"in the task {name}"):
            return {"failure": None, **module.run(work, options)}
    except StageError as failed:
        return {"failure": failed.as_dict()}


def _module(name: str) -> object:
    known = name.isidentifier() and find_spec(f"keras_capture.{name}") is not None
    module = import_module(f"keras_capture.{name}") if known else None
    if not (hasattr(module, "run") and hasattr(module, "STAGE")):
        raise UnusableError(f"this worker has no task {name!r}")
    return module

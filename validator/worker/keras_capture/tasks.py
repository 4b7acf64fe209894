"""What a job may be asked for besides its predictions: each task is a module with a function `run`.

A task starts when outputs and evaluation are on disk, and leaves the model as it found it. What goes wrong in
one is a field of its own answer and costs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Optional

from keras_capture.artifacts import Loaded
from keras_capture.failures import StageError, stage
from keras_capture.predicting import Captured, Prediction
from keras_capture.request import Job

#: Task → (its module, the stage that its failures belong to).
TASKS = {
    "noise": ("noise", "predict"),
    "twin": ("twin", "load"),
    "layers": ("layers", "structure"),
    "golden": ("golden", "predict"),
    "training": ("training", "train"),
    "decode": ("decoding", "decode"),
}


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
    if name not in TASKS:
        return {"failure": {"stage": "predict", "error": "KeyError", "message": f"unknown task {name!r}"}}
    module, failing = TASKS[name]
    try:
        with stage(failing, f"in the task {name}"):
            return {"failure": None, **import_module(f"keras_capture.{module}").run(work, options)}
    except StageError as failed:
        return {"failure": failed.as_dict()}

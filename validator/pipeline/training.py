"""The training of a cell: a job of its own beside the predictions, and its verdict in the cell's result.

It is a job of its own because a job's response is written last: a training that hangs, crashes or eats the
memory must not cost the predictions, which are captured before any training begins.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from validator.config.settings import ModelSettings, Training
from validator.diagnose.training import judge_training
from validator.matrix import Cell
from validator.pipeline.project import Project, prepare_recordings
from validator.pipeline.run_folder import RunFolder
from validator.results import CellResult, Failure, Finding
from validator.runner import Job
from validator.runner.training import TASK, TrainingCapture, read_training


def training_job(project: Project, folder: RunFolder, cell: Cell, job: Job) -> Job | None:
    """The job that trains a cell's model, made from the one that predicts; None where none is asked for."""
    model = _model(project, cell)
    if model.training is None:
        return None
    chosen = model.training
    trained = model.model_copy(
        update={"inputs": chosen.inputs or model.inputs, "labels": chosen.labels or model.labels}
    )
    recordings = prepare_recordings(project, trained, folder)
    return replace(
        job,
        id=f"{job.id}/{TASK}",
        folder=str(Path(job.folder, TASK)),
        inputs=recordings.inputs,
        labels=recordings.labels,
        evaluate=False,
        predict=False,
        tasks={TASK: _options(chosen, is_baseline=cell.environment == project.plan.baseline)},
    )


def _options(training: Training, *, is_baseline: bool) -> dict[str, JsonValue]:
    return {
        "steps": training.steps,
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "function": training.function,
        "arguments": dict(training.arguments),
        "start": training.start,
        "dropout": training.dropout,
        # noise is measured once, where every candidate is compared with
        "members": training.members if is_baseline else 0,
        "seeds": training.seeds,
    }


def with_training(project: Project, folder: RunFolder, cell: Cell, result: CellResult) -> CellResult:
    """A cell's result with what its training says, if the configuration asks for it."""
    if _model(project, cell).training is None or (result.failure and result.failure.stage != "predict"):
        return result
    there = _read(folder, project.plan.baseline_of(cell))
    training = judge_training(there, _read(folder, cell))
    said = [f"training, {cause.cause}: {cause.message}" for cause in training.causes] or [training.message]
    findings = (Finding(kind=TASK, message=message) for message in said)
    return result.model_copy(update={"training": training, "findings": (*result.findings, *findings)})


def _read(folder: RunFolder, cell: Cell) -> TrainingCapture | Failure:
    found = read_training(folder.capture(cell))
    if found is None:
        return Failure(stage="train", error="worker", message=f"{cell.id}/{TASK} left no response")
    return found


def _model(project: Project, cell: Cell) -> ModelSettings:
    return next(model for model in project.settings.models if model.name == cell.model)

"""Cells and what checks ask about them → the jobs of a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue

from validator.checks.protocol import OwnJob, Subject, Task
from validator.checks.registry import CHECKS
from validator.config.references import is_function
from validator.config.settings import ModelSettings
from validator.failure import Failure
from validator.matrix import Cell
from validator.matrix.variants import own_setting
from validator.pipeline.base_files import BaseFiles
from validator.pipeline.project import Project, Recordings, prepare_recordings
from validator.pipeline.run_folder import RunFolder
from validator.runner import Job
from validator.verdict.bands import BANDS


@dataclass(frozen=True)
class JobMaker:
    """Makes the jobs of one run. Recordings are converted on the way, once for every environment."""

    project: Project
    folder: RunFolder
    base: BaseFiles | None = None
    _prepared: dict[tuple[str, str | None], Recordings] = field(default_factory=dict)

    def subject(self, cell: Cell) -> Subject:
        """The cell as checks see it.

        Raises:
            ConfigurationError: a recording cannot be used.
        """
        project = self.project
        model = project.model(cell.model)
        recordings = self.recordings(model)
        labels = recordings.labels
        return Subject(
            model=model,
            cell=cell,
            baseline=project.plan.baseline_of(cell),
            plan=project.plan,
            settings=project.settings,
            folder=project.folder,
            labels=Path(labels) if labels else None,
            bands=BANDS,
            inputs=Path(recordings.inputs) if recordings.inputs else None,
        )

    def recordings(self, model: ModelSettings) -> Recordings:
        """The converted recordings of a model."""
        key = model.inputs, model.labels
        if key not in self._prepared:
            self._prepared[key] = prepare_recordings(self.project, model, self.folder)
        return self._prepared[key]

    def tasks(self, cell: Cell) -> dict[str, Task]:
        """Check → what it asks about every cell."""
        subject = self.subject(cell)
        asked = {check.name: check.ask(subject) for check in CHECKS}
        return {name: task for name, task in asked.items() if task is not None}

    def predictions(self, cell: Cell, tasks: Mapping[str, Task], *, evaluate: bool = True) -> Job:
        """The job that predicts, with the tasks that stand beside the predictions.

        An artifact is ready-made: a setting with arguments for the builder takes the builder and its weights.
        """
        compared = self.project.model(cell.model)
        model, resolve = self._loaded(cell)
        setting = own_setting(compared, cell.variant)
        artifact = None if setting.builder_arguments else model.artifact
        recordings = self.recordings(compared)
        variant = cell.variant
        return Job(
            id=cell.id,
            environment=cell.environment,
            folder=str(self.folder.capture(cell)),
            artifact=resolve(artifact) if artifact else None,
            builder=model.builder,
            builder_arguments={**model.builder_arguments, **setting.builder_arguments},
            weights=resolve(model.weights) if model.weights else None,
            custom_objects=model.custom_objects,
            safe_mode=model.safe_mode,
            compile=model.compile,
            signature=model.signature,
            variant={"precision": variant.precision, "jit": variant.jit, "attention": variant.attention},
            inputs=self._data(cell, recordings.inputs),
            labels=recordings.labels,
            batch_size=compared.batch_size,
            evaluate=evaluate and recordings.labels is not None,
            tasks={name: self._options(cell, task) for name, task in tasks.items() if task.own is None},
            variables=dict(setting.variables),
        )

    def _loaded(self, cell: Cell) -> tuple[ModelSettings, Callable[[str], str]]:
        """What a cell loads: the model as the cell's commit describes it, and how its paths are resolved."""
        if self.base is not None and self.project.plan.environment(cell.environment).base_files:
            return self.base.models[cell.model], self.base.resolve
        return self.project.model(cell.model), self.project.resolve

    def _data(self, cell: Cell, inputs: str) -> str:
        """What a job reads: of a function, the head's, also where the base's modules are imported."""
        base_files = self.project.plan.environment(cell.environment).base_files
        return f"{self.project.folder}::{inputs}" if base_files and is_function(inputs) else inputs

    def refusal(self, cell: Cell) -> Failure | None:
        """Why a cell is not run: the base's files that it needs cannot be had."""
        if self.base is None or not self.project.plan.environment(cell.environment).base_files:
            return None
        return self.base.failures.get(cell.model)

    def own(self, cell: Cell, check: str, task: Task, *, suffix: str = "") -> Job:
        """A job of its own for one task: what goes wrong in it costs nothing else.

        Args:
            cell: whose model is loaded.
            check: the name of the task.
            task: what to record.
            suffix: tells several such jobs of a cell apart.
        """
        own = task.own or OwnJob()
        model = self.project.model(cell.model)
        fed = model.model_copy(
            update={"inputs": own.inputs or model.inputs, "labels": own.labels or model.labels}
        )
        recordings = self.recordings(fed)
        job = self.predictions(cell, {})
        return replace(
            job,
            id=f"{cell.id}/{check}{suffix}",
            folder=str(self.folder.capture(cell) / f"+{check}{suffix}"),
            variant={**job.variant, **({"precision": own.precision} if own.precision else {})},
            inputs=self._data(cell, recordings.inputs),
            labels=recordings.labels,
            evaluate=False,
            predict=own.predict,
            tasks={check: self._options(cell, task)},
        )

    def _options(self, cell: Cell, task: Task) -> dict[str, JsonValue]:
        """The options with recordings converted."""
        model = self.project.model(cell.model)
        converted = {
            option: self._data(
                cell, self.recordings(model.model_copy(update={"inputs": place, "labels": None})).inputs
            )
            for option, place in task.recordings.items()
        }
        return {**task.options, **converted}

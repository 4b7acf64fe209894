"""The base commit's files beside a run, for the models that a pull request changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from validator.config.references import is_function, is_remote
from validator.config.settings import ModelSettings
from validator.errors import ConfigurationError, ValidatorError
from validator.failure import Failure
from validator.inputs import misfit, read_specification
from validator.pipeline.project import Project, converted
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.supply import supplied_model
from validator.upgrade import Checkout, Repository, check_out


@dataclass(frozen=True)
class BaseFiles:
    """The files of the base commit.

    Attributes:
        root: the work tree, whose files stand in `checkout`.
        checkout: all of them, and which of them are missing.
        folder: that of the base's validator.yml, absolute: where its paths start and modules are imported.
        models: the models that the pull request changes, as the base's validator.yml describes them.
        failures: of these, why one cannot be run.
    """

    root: Path
    checkout: Checkout
    folder: Path
    models: Mapping[str, ModelSettings]
    failures: Mapping[str, Failure] = field(default_factory=dict)

    def resolve(self, name: str) -> str:
        """A path of the base's validator.yml, absolute; one out of the repository is the same for both."""
        place = os.path.normpath(self.folder / name)
        inside = Path(place).is_relative_to(self.checkout.folder)
        if inside:
            return place
        return str((self.root / self.folder.relative_to(self.checkout.folder) / name).resolve())


def extract_base_files(project: Project, folder: RunFolder) -> BaseFiles | None:
    """Write the base commit's files into the folder of a run; None where no model of the plan needs them.

    Raises:
        ConfigurationError: git cannot read the commit; the sentence says what to do.
    """
    change = project.pull_request
    if change is None or not any(environment.base_files for environment in project.plan.environments):
        return None
    detected = change.detected
    checkout = check_out(project.folder, detected.revisions.base, folder.base_files())
    own = checkout.folder / detected.models.folder
    files = BaseFiles(Repository(project.folder).root, checkout, own, detected.models.models)
    failures = {
        name: Failure(stage="load", error="git", message=why)
        for name in files.models
        if (why := _why_not(files, name, detected.models.files.get(name, ())))
    }
    models = dict(files.models)
    for name in models.keys() - failures.keys():
        try:
            models[name] = supplied_model(models[name], detected.models.pins, project, files.resolve)
        except ValidatorError as error:
            failures[name] = Failure(stage="load", error="fetch", message=str(error))
    return BaseFiles(files.root, checkout, own, models, failures)


def with_common_inputs(project: Project, files: BaseFiles, folder: RunFolder) -> Project:
    """The project with the base's inputs for models of the base that do not take the head's.

    As far as the files of both models tell, which must take the base's inputs, too; else nothing changes.
    """
    models = tuple(
        _with_common_inputs(project, files, model, folder) if model.name in files.models else model
        for model in project.settings.models
    )
    return replace(project, settings=project.settings.model_copy(update={"models": models}))


def _with_common_inputs(
    project: Project, files: BaseFiles, head: ModelSettings, folder: RunFolder
) -> ModelSettings:
    base = files.models[head.name]
    if head.artifact is None or base.artifact is None or is_function(head.inputs) or is_function(base.inputs):
        return head
    old, new = files.resolve(base.inputs), project.resolve(head.inputs)
    try:
        specifications = (
            read_specification(Path(files.resolve(base.artifact)), base.signature),
            read_specification(Path(project.resolve(head.artifact)), head.signature),
        )
        of_base, of_head = (
            converted(project, place, folder.recordings()).manifest.tensors for place in (old, new)
        )
    except (ConfigurationError, OSError):  # what cannot be read is the worker's to load, and to report
        return head
    if not misfit(specifications[0], of_head) or any(misfit(each, of_base) for each in specifications):
        return head
    labels = files.resolve(base.labels) if base.labels else None
    update = {"inputs": old, "labels": labels, "metrics": head.metrics if labels else ()}
    return head.model_copy(update=update)


def _why_not(files: BaseFiles, name: str, parts: tuple[str, ...]) -> str:
    """Why the base's model cannot be run; empty where nothing is known to stand against it."""
    for part in parts:
        if why := files.checkout.why_missing(part):
            return why
    model = files.models[name]
    for setting in ("artifact", "weights"):
        path = getattr(model, setting)
        if path is None or is_remote(path):
            continue
        place = files.resolve(path)
        inside = Path(place).is_relative_to(files.checkout.folder)
        why = files.checkout.why_missing(os.path.relpath(place, files.checkout.folder)) if inside else ""
        if why or not Path(place).exists():
            return why or (
                f"the {setting} {path!r} of the base commit is not in git, nor in this folder; "
                "commit it, or fetch it before the validator runs"
            )
    return ""

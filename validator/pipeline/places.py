"""The environments of a run as places where workers run: built when the first job needs them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from validator.environments import Uv, prepare, resolve
from validator.failure import Failure
from validator.matrix import Environment
from validator.pipeline.base_files import BaseFiles
from validator.pipeline.project import Project
from validator.pipeline.references import placed
from validator.pipeline.run_folder import RunFolder
from validator.runner import Place, RunLimit

NO_LIMIT = RunLimit()


def places(
    project: Project, folder: RunFolder, base: BaseFiles | None = None, limit: RunLimit = NO_LIMIT
) -> list[Place]:
    """One place an environment of the plan; `limit` ends installations too."""
    uv = Uv.bundled(os.environ, project.install.variables)
    return [
        _place(
            project,
            folder,
            environment,
            lambda: replace(uv, seconds=max(0.0, min(uv.seconds, limit.left()))),
            base.folder if base and environment.base_files else None,
        )
        for environment in project.plan.environments
    ]


def locks(project: Project) -> dict[str, str]:
    """The lock of each environment that uv builds, resolved and not installed; none where that fails."""
    texts = {each.name: lock_of(project, each) for each in project.plan.environments}
    return {name: text for name, text in texts.items() if text is not None}


def lock_of(project: Project, environment: Environment) -> str | None:
    """The lock of an environment, resolved and not installed; None where that fails, or uv builds none."""
    complete = placed(project, environment)
    if environment.interpreter or isinstance(complete, Failure):
        return None
    lock = resolve(
        replace(complete, name=environment.installed_as),
        project.install_of(environment.name),
        project.work / "environments",
        project.locks_of(environment.name),
        Uv.bundled(os.environ, project.install.variables),
    )
    return lock if isinstance(lock, str) else None


def _place(
    project: Project,
    folder: RunFolder,
    environment: Environment,
    uv: Callable[[], Uv],
    modules: Path | None,
) -> Place:
    def build() -> Path | Failure:
        if environment.interpreter:
            return Path(environment.interpreter)
        complete = placed(project, environment)
        if isinstance(complete, Failure):
            return complete
        built = prepare(
            replace(complete, name=environment.installed_as),
            project.install_of(environment.name),
            project.work / "environments",
            project.locks_of(environment.name),
            uv(),
        )
        return built if isinstance(built, Failure) else built.python

    return Place(environment, folder.captures(environment.name), (modules or project.folder,), build)

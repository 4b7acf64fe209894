"""The settings of a project → what its workers may take and open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from validator.config.references import named_files
from validator.errors import ConfigurationError
from validator.pipeline.project import Project
from validator.pipeline.run_folder import RunFolder
from validator.report.words.run import NO_LANDLOCK
from validator.runner import Bounds, Sandbox, can_confine, default_memory
from validator.verdict.results import Confinement


def bounds_of(project: Project, folder: RunFolder) -> Bounds:
    """The limits of a project's workers. Raises as `confinement` does."""
    limits = project.settings.limits
    memory = default_memory() if limits.memory_gib is None else int(limits.memory_gib * 2**30)
    sandbox = None if confinement(project) == "off" else _sandbox(project, folder)
    return Bounds(limits.start_seconds, limits.seconds, memory, sandbox)


def confinement(project: Project) -> Confinement:
    """Whether the code of models is confined.

    Raises:
        ConfigurationError: the settings require what this system lacks.
    """
    mode = project.settings.sandbox.mode
    if mode == "off":
        return "off"
    if can_confine():
        return "on"
    if mode == "require":
        raise ConfigurationError(
            "sandbox.mode is `require`, but this system has no Landlock: use Linux 5.19 or newer, and a "
            "container that permits its system calls, or set sandbox.mode to `auto`"
        )
    return "unavailable"


def announce(project: Project, say: Callable[[str], None]) -> None:
    """Say that models will not be confined, where the system cannot do it. Raises as `confinement` does."""
    if confinement(project) == "unavailable":
        say(NO_LANDLOCK)


def _sandbox(project: Project, folder: RunFolder) -> Sandbox:
    """What workers may open: the repository, the run, and what models name, wherever it lies."""
    named = (
        project.resolve(place)
        for model in project.settings.models
        for place in (*named_files(model).values(), *model.files)
    )
    read = (repository_of(project.folder), folder.root, *map(Path, named))
    write = tuple(Path(project.resolve(place)) for place in project.settings.sandbox.write)
    return Sandbox(read, write, project.work / "environments")


def repository_of(folder: Path) -> Path:
    """The repository that a folder is in; outside of any, the folder."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)

"""A validator.yml with everything it names: checked files, requirements, the plan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from validator import config, recording
from validator.compare.metrics import find_metric
from validator.config.settings import Install, ModelSettings, Settings
from validator.errors import ConfigurationError
from validator.matrix import Plan, make_plan
from validator.matrix.requirements import read_requirements
from validator.pipeline import sides
from validator.pipeline.pull_request import Found
from validator.pipeline.run_folder import WORK, RunFolder, locked
from validator.upgrade import Side


@dataclass(frozen=True)
class Project:
    """A configuration and where its files are.

    Attributes:
        path: the validator.yml, absolute; its folder is where relative paths start and modules are found.
        found: what a pull request changes, where one is run.
    """

    path: Path
    settings: Settings
    plan: Plan
    found: Found | None = None

    @property
    def folder(self) -> Path:
        """The folder of the validator.yml."""
        return self.path.parent

    @property
    def shown_path(self) -> str:
        """The validator.yml as a person in the current folder would write it."""
        return shown_path(self.path)

    @property
    def work(self) -> Path:
        """Where environments, locks and, unless told otherwise, runs are kept."""
        return self.folder / WORK

    @property
    def locks(self) -> Path:
        """The folder of the locks."""
        chosen = self.settings.install.locks
        return self.folder / chosen if chosen else self.work / "locks"

    @property
    def install(self) -> Install:
        """The install settings with absolute `find_links`."""
        install = self.settings.install
        places = tuple(place if "://" in place else str(self.folder / place) for place in install.find_links)
        return install.model_copy(update={"find_links": places})

    def install_of(self, environment: str) -> Install:
        """How an environment is installed: `base` and `head` also from the indexes of their manifests."""
        side = self._side(environment)
        if side is None or self.found is None:
            return self.install
        return sides.install_of(self.install, side, self.found.instant)

    def locks_of(self, environment: str) -> Path:
        """Where an environment's lock is kept. Those of `base` and `head` are another pull request's soon."""
        return self.locks if self._side(environment) is None else self.work / "locks"

    def _side(self, environment: str) -> Side | None:
        if self.found is None:
            return None
        detected = self.found.detected
        return {sides.BASE: detected.base, sides.HEAD: detected.head}.get(environment)

    def run_folder(self, output: Path | None) -> RunFolder:
        """The folder of a run: the one asked for, or `run` beside the environments."""
        return RunFolder((output or self.work / "run").resolve())

    def resolve(self, name: str) -> str:
        """A path of the configuration, absolute."""
        return str((self.folder / name).resolve())


def shown_path(path: Path) -> str:
    """An absolute path as a person in the current folder would write it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def open_project(path: Path, only: Sequence[str] = (), found: Found | None = None) -> Project:
    """Read a validator.yml and lay out its plan.

    Args:
        path: the validator.yml.
        only: ids of the cells to keep; all if empty.
        found: what a pull request changes; its sides then stand before the matrix, and base is the baseline.
            Where no manifest names a framework, the matrix stands alone.

    Raises:
        ConfigurationError: the file, its requirements file or the matrix cannot be used.
    """
    path = path.resolve()
    settings = config.load(path)
    requirements = settings.requirements
    lines = read_requirements(path.parent / requirements) if isinstance(requirements, str) else requirements
    pair = sides.environments(settings, found.detected) if found else None
    if found and pair is None and not (settings.matrix.keras or settings.matrix.include):
        raise ConfigurationError(
            "no requirements file, lock or pyproject.toml of this repository names keras, tensorflow, jax or "
            "torch, so base and head cannot be built; list the right one under `upgrade.manifests` in "
            f"{path.name}, or lay out a `matrix`"
        )
    plan = make_plan(settings, lines, pair)
    return Project(path, settings, plan.only(only) if only else plan, found)


def check_files(project: Project) -> None:
    """Make sure that every file and module a model names is there, before anything is installed.

    Raises:
        ConfigurationError: one is missing, or a metric unknown; the sentence names it.
    """
    for model in project.settings.models:
        for setting in ("artifact", "weights", "labels"):
            name = getattr(model, setting)
            if name is not None and not Path(project.resolve(name)).exists():
                raise ConfigurationError(
                    f"model {model.name}: {setting} {name!r} does not exist in {project.folder}"
                )
        for metric in model.metrics:
            find_metric(metric)
        recorded = {"inputs": model.inputs, "decode.prompts": model.decode.prompts if model.decode else None}
        for setting, name in recorded.items():
            if name and not is_function(name) and not Path(project.resolve(name)).exists():
                raise ConfigurationError(
                    f"model {model.name}: {setting} {name!r} does not exist in {project.folder}"
                )


def is_function(inputs: str) -> bool:
    """Whether inputs are a Python function, `package.module:function`, rather than a file."""
    module, separator, function = inputs.partition(":")
    return (
        bool(separator) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))
    )


@dataclass(frozen=True)
class Recordings:
    """The converted recordings of one model: folders, or a function the worker calls."""

    inputs: str
    labels: str | None


def prepare_recordings(project: Project, model: ModelSettings, folder: RunFolder) -> Recordings:
    """Convert a model's recorded inputs and labels, once for all environments of a run folder.

    Raises:
        ConfigurationError: a recording is unusable; the sentence names the file and the array.
    """
    root = folder.recordings()
    with locked(root, "a recording", wait=True):
        inputs = None if is_function(model.inputs) else _converted(project, model.inputs, root)
        labels = None if model.labels is None else _converted(project, model.labels, root)
    if inputs and labels and inputs.samples != labels.samples:
        raise ConfigurationError(
            f"model {model.name}: {model.inputs} holds {inputs.samples} samples and {model.labels} "
            f"{labels.samples}; record a label for each"
        )
    return Recordings(str(inputs.folder) if inputs else model.inputs, str(labels.folder) if labels else None)


def _converted(project: Project, name: str, root: Path) -> recording.Recording:
    source = Path(project.resolve(name))
    if source.is_dir():
        return recording.prepare(source, source)
    facts = source.stat()
    identity = f"{source}\0{facts.st_size}\0{facts.st_mtime_ns}"
    target = root / f"{source.stem}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if (target / "manifest.json").is_file():
        return recording.load(target)
    return recording.prepare(source, target)

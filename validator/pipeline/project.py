"""A validator.yml with everything it names: checked files, requirements, the plan."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from validator import config
from validator.config.references import is_function, named_files
from validator.config.settings import Install, ModelSettings, Settings
from validator.errors import ConfigurationError
from validator.inputs import misfit, read_specification
from validator.matrix import (
    BASE,
    CURRENT,
    HEAD,
    Cell,
    MatrixSelection,
    Plan,
    common_requirements,
    current_environment,
    environments,
    install_of,
    install_with,
    make_plan,
    model_changes,
)
from validator.numbers.metrics import find_metric
from validator.pipeline.acceptances import register
from validator.pipeline.artifacts import as_planned, pointer
from validator.pipeline.pull_request import PullRequest
from validator.pipeline.run_folder import WORK, RunFolder, check_path, locked
from validator.storage import recording
from validator.upgrade import Index, Side
from validator.verdict.accepting import Register
from validator.verdict.results import FetchedPlace


@dataclass(frozen=True)
class Project:
    """A configuration and where its files are.

    Attributes:
        path: the validator.yml, absolute; its folder is where relative paths start and modules are imported.
        index: where the requirements file that the settings name says packages come from.
        pull_request: what changes between two commits, where two are compared.
        selection: what a command asked for beside the configuration.
        fetched: what lay elsewhere, once `supply` fetched it; the settings then name its path.
        acceptances: the known changes that are accepted.
    """

    path: Path
    settings: Settings
    plan: Plan
    index: Index = field(default_factory=Index)
    pull_request: PullRequest | None = None
    selection: MatrixSelection = field(default_factory=MatrixSelection)
    fetched: tuple[FetchedPlace, ...] = ()
    acceptances: Register = field(default_factory=Register)

    @property
    def folder(self) -> Path:
        """The folder of the validator.yml."""
        return self.path.parent

    @property
    def display_path(self) -> str:
        """The validator.yml as a person in the current folder would write it."""
        return display_path(self.path)

    @property
    def work(self) -> Path:
        """Where environments, locks and, by default, runs are kept."""
        return self.folder / WORK

    @property
    def locks(self) -> Path:
        """The folder of the locks."""
        chosen = self.settings.install.locks
        return self.folder / chosen if chosen else self.work / "locks"

    @property
    def install(self) -> Install:
        """The install settings with absolute `find_links`."""
        install = install_with(self.settings.install, self.index)
        places = tuple(place if "://" in place else str(self.folder / place) for place in install.find_links)
        return install.model_copy(update={"find_links": places})

    def install_of(self, environment: str) -> Install:
        """How an environment is installed: `base` and `head` also from the indexes of their manifests."""
        side = self.side(environment)
        if side is None or self.pull_request is None:
            return self.install
        return install_of(self.install, side, self.pull_request.instant)

    def locks_of(self, environment: str) -> Path:
        """Where an environment's lock is kept. Those of `base` and `head` are another pull request's soon."""
        return self.locks if self.side(environment) is None else self.work / "locks"

    def side(self, environment: str) -> Side | None:
        """The side of the pull request that an environment is built from; None for one of the matrix."""
        if self.pull_request is None:
            return None
        detected = self.pull_request.detected
        sides = {BASE: detected.base, HEAD: detected.head}
        return sides.get(self.plan.environment(environment).installed_as)

    def run_folder(self, output: Path | None) -> RunFolder:
        """The folder of a run: `output`, or `run` beside the environments."""
        return RunFolder((output or self.work / "run").resolve())

    def model(self, name: str) -> ModelSettings:
        """The settings of a model of the plan."""
        return next(model for model in self.settings.models if model.name == name)

    def with_models(self, models: Sequence[ModelSettings]) -> Project:
        """The same with other settings of its models."""
        return replace(self, settings=self.settings.model_copy(update={"models": tuple(models)}))

    def resolve(self, name: str) -> str:
        """A path of the configuration, absolute."""
        return str((self.folder / name).resolve())


def display_path(path: Path) -> str:
    """An absolute path as a person in the current folder would write it."""
    try:
        current = Path.cwd()
    except OSError:  # it was removed
        return str(path)
    return str(path.relative_to(current) if path.is_relative_to(current) else path)


def open_project(
    path: Path,
    only: Sequence[str] = (),
    pull_request: PullRequest | None = None,
    selection: MatrixSelection = MatrixSelection(),  # noqa: B008 - frozen
) -> Project:
    """Read a validator.yml and lay out its plan.

    Args:
        path: the validator.yml.
        only: ids of the cells to keep; all if empty.
        pull_request: what changes between two commits; `base` and `head` then stand before the matrix, and
            base is the baseline. Where no manifest names a framework, the matrix stands alone.
        selection: which models and environments are asked for; they need not be in the matrix.

    Raises:
        ConfigurationError: the file, its requirements file or the matrix cannot be used.
    """
    path = path.resolve()
    check_path(path)
    written = config.load(path)
    settings = selection.settings(written)
    common = common_requirements(settings, path.parent)
    pair = environments(settings, pull_request.detected) if pull_request else None
    changes = model_changes(pull_request.detected, pair) if pull_request else None
    if pull_request and pair is None and not (settings.matrix.keras or settings.matrix.include):
        raise ConfigurationError(
            "no requirements file, lock or pyproject.toml of this repository names keras, tensorflow, jax or "
            "torch, so base and head cannot be built; list the right file under `upgrade.manifests` in "
            f"{path.name}, or define a `matrix`"
        )
    if pair is not None and selection.baseline:
        raise ConfigurationError("a pull request has its own baseline: leave --baseline out, or --base")
    further = [current_environment(os.environ)] if CURRENT in selection.environments else []
    plan = make_plan(as_planned(settings, path.parent), common, pair, further, changes)
    plan = selection.plan(plan) if selection else plan
    plan = plan.only(only) if only else plan
    accepted = register(path, written, pull_request)
    return Project(path, settings, plan, common.index, pull_request, selection, acceptances=accepted)


def command_of(project: Project, cell: Cell) -> str:
    """The command that runs a cell again."""
    change, selection = project.pull_request, project.selection
    program = "python -m validator" if CURRENT in selection.environments else "keras-validator"
    base = _compared(change) if change else ""
    config = shlex.quote(project.display_path)
    return f"{program} run --config {config}{base}{selection.options} --only {shlex.quote(cell.id)}"


def _compared(change: PullRequest) -> str:
    """What a run compared beside the configuration, as options."""
    asked = change.detected.upgrade.asked
    moved = "".join(f" --with {shlex.quote(each)}" for each in asked)
    return moved or f" --base {change.detected.revisions.base[:12]}"


def check_files(project: Project) -> None:
    """Make sure that every file and module a model names is there, before anything is installed.

    Raises:
        ConfigurationError: one is missing, a pointer of Git LFS, or a metric unknown; the sentence names it.
    """
    for model in project.settings.models:
        for metric in model.metrics:
            find_metric(metric)
        for setting, name in named_files(model).items():
            if not _exists(project, name):
                raise ConfigurationError(
                    f"model {model.name}: {setting} {name!r} does not exist in {project.folder}"
                )
            stand_in = pointer(Path(project.resolve(name)))
            if stand_in is not None:
                raise ConfigurationError(
                    f"model {model.name}: {display_path(stand_in)} is a pointer of Git LFS; "
                    "run `git lfs pull`, or checkout with lfs: true"
                )
        for name in model.files:
            if not _exists(project, name):
                raise ConfigurationError(f"model {model.name}: {name!r} of files is not in {project.folder}")


def _exists(project: Project, name: str) -> bool:
    """Whether a path of the configuration names something; what can be no path does not."""
    try:
        return bool(name) and Path(project.resolve(name)).exists()
    except (OSError, RuntimeError, ValueError):  # RuntimeError: links in a circle
        return False


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
        inputs = None if is_function(model.inputs) else converted(project, model.inputs, root)
        labels = None if model.labels is None else converted(project, model.labels, root)
    if inputs and labels:
        _check_labels(model, inputs, labels)
    if inputs:
        _check_inputs(project, model, inputs)
    return Recordings(str(inputs.folder) if inputs else model.inputs, str(labels.folder) if labels else None)


def _check_labels(model: ModelSettings, inputs: recording.Recording, labels: recording.Recording) -> None:
    """Every sample has a label, and where samples have ids, it is its own."""
    if inputs.samples != labels.samples:
        raise ConfigurationError(
            f"model {model.name}: {model.inputs} holds {inputs.samples} samples and {model.labels} "
            f"{labels.samples}; record a label for each"
        )
    pairs = zip(inputs.manifest.ids, labels.manifest.ids, strict=False)
    for number, (sample, label) in enumerate(pairs):
        if sample != label:
            raise ConfigurationError(
                f"model {model.name}: sample {number} of {model.inputs} is {sample!r}, of {model.labels} "
                f"{label!r}; record inputs and labels together"
            )


def _check_inputs(project: Project, model: ModelSettings, inputs: recording.Recording) -> None:
    """The recording fits what the model's file says about its inputs, where it says so."""
    if model.artifact is None:
        return
    try:
        specification = read_specification(Path(project.resolve(model.artifact)), model.signature)
    except ConfigurationError:  # what cannot be read here is the worker's to load, and to report
        return
    problem = misfit(specification, inputs.manifest.tensors)
    if problem:
        raise ConfigurationError(f"model {model.name}: {model.inputs} does not fit: {problem}")


def converted(project: Project, name: str, root: Path) -> recording.Recording:
    """A recording of the project as it is read: a folder, or a file that is converted into `root`."""
    source = Path(project.resolve(name))
    if source.is_dir():
        return recording.prepare(source, source)
    target = root / recording.digest(source)[:16]
    if (target / recording.MANIFEST).is_file():
        return recording.load(target)
    return recording.prepare(source, target)

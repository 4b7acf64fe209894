"""A project whose models and recordings lie where workers can read them: fetched, unpacked, there."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from validator.config import addresses, is_remote, named_files, with_files
from validator.config.limits import LimitSettings
from validator.config.settings import ModelSettings, Settings
from validator.errors import ConfigurationError
from validator.inputs import read_mlflow, read_specification, write_example
from validator.inputs.mlflow import ABOUT
from validator.inputs.specification import Specification
from validator.pipeline.artifacts import loadable
from validator.pipeline.project import Project, check_files
from validator.pipeline.run_folder import locked
from validator.remote import Fetched, Fetcher, Limits, digest
from validator.storage.recording import MANIFEST
from validator.text import redact
from validator.verdict.results import FetchedPlace


def tell(line: str) -> None:
    """What is being fetched, on stderr: stdout is the report's."""
    if sys.stderr is not None:  # it may be closed
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def supplied(project: Project, say: Callable[[str], None] = tell) -> Project:
    """The project with everything that its models name on this machine, before anything is installed.

    Its settings then name paths: of what was fetched, of packed folders, and of the example that an MLflow
    model brings where no inputs are named.

    Raises:
        ConfigurationError: something is missing, refused, damaged, or not what it is pinned to be.
        CannotJudgeError: it cannot be fetched now.
    """
    held = fetch_all(project.settings, project.work, say)
    project = replace(project, fetched=tuple(map(as_reported, held.values())))
    project = project.with_models([_with_places(model, held) for model in project.settings.models])
    check_files(project)
    models = [_loadable(project.work, model, project.resolve) for model in project.settings.models]
    return project.with_models(models)


def fetch_all(
    settings: Settings, work: Path, say: Callable[[str], None], *, pinned: bool = True
) -> dict[str, Fetched]:
    """Address → what it holds, for all addresses of the settings. `pinned`: whether their digests must fit.

    Raises as `supplied` does.
    """
    named = addresses(settings)
    if not named:
        return {}
    pins: Mapping[str, str] = settings.sha256 if pinned else {}
    users = _users(settings)
    with fetching(work, settings.limits, say) as fetcher:
        return {name: fetcher.fetch(name, pins.get(name), users[name]) for name in named}


@contextlib.contextmanager
def fetching(work: Path, limits: LimitSettings, say: Callable[[str], None]) -> Iterator[Fetcher]:
    """What fetches into a project's cache, which nobody else writes meanwhile. `work`: as of a project."""
    folder = work / "remote"
    with locked(folder, "a download", wait=True):
        yield Fetcher(folder, Limits(limits.fetch_seconds, int(limits.fetch_gib * 2**30)), say)


def _users(settings: Settings) -> dict[str, str]:
    """Address → who names it first, as the beginning of a sentence."""
    users: dict[str, str] = {}
    for model in settings.models:
        for setting, place in named_files(model).items():
            if is_remote(place):
                users.setdefault(place, f"model {model.name}: {setting}")
    return users


def as_reported(fetched: Fetched) -> FetchedPlace:
    """What was fetched, for the report."""
    return FetchedPlace(
        address=redact(fetched.address), sha256=fetched.sha256, bytes=fetched.size, pinned=fetched.pinned
    )


def supplied_model(
    model: ModelSettings, pins: Mapping[str, str], project: Project, resolve: Callable[[str], str]
) -> ModelSettings:
    """A model of the base commit with everything that it names on this machine.

    `pins` are those of its own validator.yml, and `resolve` is of its paths. Raises as `supplied` does.
    """
    settings = project.settings.model_copy(update={"models": (model,), "sha256": dict(pins)})
    held = fetch_all(settings, project.work, tell)
    return _loadable(project.work, _with_places(model, held), resolve)


def _with_places(model: ModelSettings, held: Mapping[str, Fetched]) -> ModelSettings:
    """A model whose addresses are the paths of what they hold."""
    files = {setting: held[place] for setting, place in named_files(model).items() if place in held}
    return with_files(model, {setting: str(each.path) for setting, each in files.items()})


def _loadable(work: Path, model: ModelSettings, resolve: Callable[[str], str]) -> ModelSettings:
    """A model whose artifact a worker loads as it is, with the inputs that it brings."""
    if model.artifact is None:
        return model
    path = Path(resolve(model.artifact))
    artifact = loadable(path, work / "packed")
    files = {} if artifact == path else {"artifact": str(artifact)}
    if not model.inputs:
        files["inputs"] = str(_example(work, model, path, artifact))
    return with_files(model, files)


def _example(work: Path, model: ModelSettings, path: Path, artifact: Path) -> Path:
    """A recording of the input example of an MLflow model."""
    example = read_mlflow(path).example if (path / ABOUT).is_file() else None
    if example is None:
        raise ConfigurationError(
            f"model {model.name} has no inputs, and its artifact no input example; name recorded inputs"
        )
    target = work / "examples" / digest(example)[:16]
    if not (target / MANIFEST).is_file():
        write_example(example, _specification(artifact, model.signature), target)
    return target


def _specification(artifact: Path, signature: str) -> Specification | None:
    try:
        return read_specification(artifact, signature)
    except ConfigurationError:  # the example's own names and dtypes count
        return None

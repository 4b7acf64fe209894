"""`keras-validator doctor`: whether a run can work here, a line a fact, each with what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from validator.adoption.automation import repository_root
from validator.adoption.workflows import check_workflows
from validator.checks.accuracy.scoring import score
from validator.environments import Uv, resolved
from validator.errors import ConfigurationError, Exit, ValidatorError
from validator.failure import Failure
from validator.matrix import Cell, Environment
from validator.pipeline.bounds import bounds_of
from validator.pipeline.jobs import JobMaker
from validator.pipeline.places import places
from validator.pipeline.project import Project, open_project
from validator.pipeline.run_folder import RunFolder, locked
from validator.pipeline.supply import supplied
from validator.report.words.failures import error_line
from validator.runner import Capture, Pool, Watcher
from validator.upgrade import GitError, Repository

State = Literal["ok", "warn", "fail"]
_MARKS: dict[State, str] = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}
#: Bytes that an environment with TensorFlow takes, and what the caches of uv take beside it.
_ENVIRONMENT, _CACHE = 2 << 30, 1 << 30


@dataclass(frozen=True)
class Fact:
    """One fact. A `fail` means that a run cannot work; its text says what to do."""

    state: State
    text: str


def examine(config: Path, say: Callable[[str], None]) -> Exit:
    """Print every fact; CONFIGURATION if a run could not work."""
    failed = False
    for line in _lines(config):
        failed = failed or line.state == "fail"
        say(f"{_MARKS[line.state]}  {line.text}")
    say("a run cannot work before the lines with FAIL are mended" if failed else "a run can work")
    return Exit.CONFIGURATION if failed else Exit.OK


def _lines(config: Path) -> Iterator[Fact]:
    """The checks in the order of what they need; nothing is run where it could not work anyway."""
    uv = Uv.bundled(os.environ)
    yield from _tools(uv)
    yield from _git(config)
    yield from _workflows(config)
    try:
        project = open_project(config)
    except ConfigurationError as error:
        yield from (Fact("fail", line) for line in str(error).splitlines())
        return
    yield Fact("ok", f"{config} is understood: {len(project.plan.cells)} cells")
    uv = Uv.bundled(os.environ, project.install.variables)
    yield from _disk(project)
    yield from (Fact("warn", f"{each.what} is left out: {each.reason}") for each in project.plan.left_out)
    try:
        project = supplied(project, lambda _: None)
    except ValidatorError as error:
        files = [Fact("fail", str(error))]
    else:
        files = list(_files(project))
    yield from files
    resolved = [(each.name, *_resolve(project, each, uv)) for each in project.plan.environments]
    yield from (line for _, line, _ in resolved)
    usable = {name for name, _, works in resolved if works}
    if project.plan.baseline in usable and not any(line.state == "fail" for line in files):
        yield from _baseline(project)


def _tools(uv: Uv) -> Iterator[Fact]:
    yield Fact("ok", f"Python {sys.version.split()[0]}")
    answer = uv.run("resolve", ["--version"])
    if isinstance(answer, Failure):
        yield Fact("fail", f"{answer.message}; reinstall keras-upgrade-validator, which brings uv")
    else:
        yield Fact("ok", answer.strip())


def _git(config: Path) -> Iterator[Fact]:
    try:
        repository = Repository(config.resolve().parent)
        commit = repository.commit("HEAD")
        shallow = repository.shallow
    except (ConfigurationError, GitError):
        yield Fact("warn", "no git repository: `run` works, `run --base` needs one")
        return
    if commit is None:
        yield Fact("warn", "no commit yet: `run` works, `run --base` needs two; commit first")
        return
    parents = repository.parents(commit)
    if shallow and any(repository.commit(parent) is None for parent in parents):
        yield Fact(
            "warn", "the clone is cut off at HEAD: fetch with `git fetch --deepen 1` or fetch-depth: 2"
        )
        return
    yield Fact("ok", f"git: HEAD is {commit[:12]}")


def _workflows(config: Path) -> Iterator[Fact]:
    root = repository_root(config.resolve().parent)
    for problem in check_workflows(root):
        yield Fact("warn", problem)


def _disk(project: Project) -> Iterator[Fact]:
    free = shutil.disk_usage(project.folder).free
    absent = sum(
        not (project.work / "environments" / each.name).exists() for each in project.plan.environments
    )
    need = absent * _ENVIRONMENT + (_CACHE if absent else 0)
    text = f"{free >> 30} GiB are free"
    if free < need:
        state: State = "warn" if free > need // 2 else "fail"
        yield Fact(state, f"{text}, {absent} new environments take about {need >> 30} GiB; free some space")
    else:
        yield Fact("ok", text)


def _files(project: Project) -> Iterator[Fact]:
    """What can be told of the files before anything is installed."""
    for each in project.fetched:
        if not each.pinned:
            yield Fact("warn", f"{each.address} is not pinned; `keras-validator pin` writes its SHA-256")
    maker = JobMaker(project, _folder(project))
    for model in project.settings.models:
        try:
            maker.recordings(model)
        except ConfigurationError as error:
            yield Fact("fail", str(error))
            continue
        yield Fact("ok", f"model {model.name}: its files are there, and the inputs fit what its file says")


def _resolve(project: Project, environment: Environment, uv: Uv) -> tuple[Fact, bool]:
    """Whether an environment can be installed, without installing it."""
    name = environment.name
    answer = resolved(environment, project.install_of(name), uv)
    if isinstance(answer, str):
        return Fact("ok", f"{name} can be installed on Python {environment.python}"), True
    state: State = "fail" if name == project.plan.baseline else "warn"
    return Fact(
        state, f"{name} cannot be installed: {answer.message}; change `requirements` or `matrix`"
    ), False


def _folder(project: Project) -> RunFolder:
    return RunFolder((project.work / "doctor").resolve())


def _baseline(project: Project) -> Iterator[Fact]:
    """Predict in the baseline alone: models load, inputs fit, labels fit an output, metrics score."""
    plan = project.plan
    cells = tuple(cell for cell in plan.cells if cell.environment == plan.baseline)
    alone = replace(plan, environments=(plan.environment(plan.baseline),), cells=cells)
    project = replace(project, plan=alone)
    folder = _folder(project)
    silent = Watcher(lambda _, __: None, lambda _: None, lambda _, __: None)
    maker = JobMaker(project, folder)
    with locked(folder.root, "doctor"):
        shutil.rmtree(folder.root / "captures", ignore_errors=True)
        with Pool(places(project, folder), bounds_of(project, folder), silent, 1) as pool:
            results = pool.run([maker.predictions(cell, {}) for cell in cells])
            failures = pool.failures()
    if plan.baseline in failures:
        yield Fact("fail", _sentence(f"the baseline {plan.baseline}", failures[plan.baseline]))
        return
    for cell in cells:
        result = results.get(cell.id)
        if isinstance(result, Capture):
            yield Fact("ok", f"{cell.id}: it loads, and predicts {result.response.samples} samples")
            yield from _scores(maker, cell, result)
        elif result is not None:
            yield Fact("fail", _sentence(cell.id, result))


def _scores(maker: JobMaker, cell: Cell, capture: Capture) -> Iterator[Fact]:
    model = maker.project.model(cell.model)
    if model.labels is None:
        yield Fact("warn", f"model {model.name} has no labels: outputs are compared, accuracy is not known")
        return
    try:
        results = score(maker.subject(cell), capture.outputs, capture.outputs, {})
    except ConfigurationError as error:
        yield Fact("fail", f"model {model.name}: {error}")
        return
    if not results:
        yield Fact("warn", f"model {model.name} has labels and no metrics; name some, such as accuracy")
    for result in results:
        if result.baseline is None:
            yield Fact("fail", f"model {model.name}: {result.metric} of {result.output}: {result.message}")
        else:
            yield Fact("ok", f"model {model.name}: {result.metric} is {result.baseline:.4g} in the baseline")


def _sentence(what: str, failure: Failure) -> str:
    return f"{what} fails at {failure.stage}: {error_line(failure)}"

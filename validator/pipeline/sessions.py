"""Registers the Nox sessions of a run: `validate`, and one `capture(environment)` for each environment."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import nox

from validator.errors import Exit, ValidatorError
from validator.failure import Failure
from validator.matrix import Environment
from validator.pipeline.bounds import announce
from validator.pipeline.dropping import settle
from validator.pipeline.history import CodePlace, place_of, remember
from validator.pipeline.jobs import JobMaker
from validator.pipeline.project import Project, open_project
from validator.pipeline.rounds import predictions, tasks_apart
from validator.pipeline.run import clear, progress, workers
from validator.pipeline.run_folder import RunFolder, locked
from validator.pipeline.signals import interruptible, shield
from validator.pipeline.supply import supplied, tell
from validator.pipeline.validate import Run, deliver, validate
from validator.runner import Capture


def register(default_config: Path) -> None:
    """Register the sessions of the configuration named behind `--` on Nox's command line, or of the default.

    Args:
        default_config: the validator.yml used when no `--config` is given.
    """
    options = _options(default_config)
    try:
        project = open_project(Path(options.config), options.only)
    except ValidatorError as error:
        _register_refusal(str(error))
        return
    folder = project.run_folder(Path(options.output) if options.output else None)
    for environment in project.plan.environments:
        _register_capture(project, folder, environment)

    @nox.session(name="validate", venv_backend="none")
    def validate_session(session: nox.Session) -> None:
        """Run every cell of the matrix, compare it with the baseline, and report."""
        try:
            code = _validate(project, folder, options.jobs, resume=options.resume)
        except ValidatorError as error:
            session.error(str(error))
        if code != Exit.OK:
            session.error(f"exit code {int(code)} ({code.name.lower().replace('_', ' ')})")


@interruptible()
def _validate(project: Project, folder: RunFolder, jobs: int | None, *, resume: bool) -> Exit:
    shield()
    announce(project, tell)
    place = place_of(project.path, None)
    project = supplied(project)
    with locked(folder.root, "the run"):
        folder.report().unlink(missing_ok=True)
        clear(folder, resume=resume, say=tell)
        count = workers(project, jobs)
        with progress(project, count) as watcher:
            report = validate(Run(project, folder, count, watcher, resume=resume))
        code = deliver(folder, report)
        remember(folder, report, CodePlace.of(project.path), place)
        settle(folder, report, project.settings.keep)
        return code


def _register_capture(project: Project, folder: RunFolder, environment: Environment) -> None:
    cells = tuple(cell for cell in project.plan.cells if cell.environment == environment.name)
    plan = replace(project.plan, environments=(environment,), cells=cells)

    @nox.session(name=f"capture({environment.name})", venv_backend="none", default=False)
    def capture_session(session: nox.Session) -> None:
        """Build this environment, run its cells and their training, and keep the captures."""
        try:
            shield()
            announce(project, session.log)
            supply = supplied(project, session.log)
            with locked(folder.captures(environment.name), f"the captures of {environment.name}"):
                lost = _capture(replace(supply, plan=plan), folder)
        except ValidatorError as error:
            session.error(str(error))
        for job, failure in lost.items():
            session.warn(f"{job}: {failure.stage} failed: {failure.message}")


@interruptible()
def _capture(project: Project, folder: RunFolder) -> dict[str, Failure]:
    maker = JobMaker(project, folder)
    jobs = [*predictions(maker), *chain.from_iterable(tasks_apart(maker).values())]
    with progress(project, 1) as watcher, Run(project, folder, 1, watcher).pool() as pool:
        watcher.planned("predict", jobs)
        captures = pool.run(jobs)
    return {job: capture for job, capture in captures.items() if not isinstance(capture, Capture)}


def _register_refusal(message: str) -> None:
    """A configuration that cannot be used: say so when a session is run, not while Nox lists them."""

    @nox.session(name="validate", venv_backend="none")
    def validate_session(session: nox.Session) -> None:
        """Say what is wrong with the configuration."""
        session.error(message)


def _options(default_config: Path) -> argparse.Namespace:
    """What stands behind `--`. Nox hands it to sessions only when they run, and they exist by then."""
    arguments: Sequence[str] = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else ()
    parser = argparse.ArgumentParser(prog="nox -s validate --", exit_on_error=True)
    parser.add_argument("--config", default=str(default_config), help="the validator.yml")
    parser.add_argument("--output", default=None, help="the folder of the run")
    parser.add_argument("--jobs", type=int, default=None, help="environments at a time; default one a core")
    parser.add_argument("--only", action="append", default=[], help="run this cell (and its baseline) alone")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was interrupted")
    known, _ = parser.parse_known_args(arguments)
    return known

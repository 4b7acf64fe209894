"""The whole run for the command line: Nox captures the environments, then they are judged here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from validator import __version__
from validator.errors import ConfigurationError, Exit, ValidatorError
from validator.pipeline import pull_request, sides
from validator.pipeline.capture import Run
from validator.pipeline.follow import follow
from validator.pipeline.project import (
    Project,
    check_files,
    open_project,
    prepare_recordings,
    shown_path,
)
from validator.pipeline.pull_request import Found
from validator.pipeline.run_folder import WORK, RunFolder, locked
from validator.pipeline.sessions import RUN_ID, session_name
from validator.pipeline.validate import conclude, validate, write
from validator.results import Report
from validator.runner.request import write_text

NOXFILE = Path(__file__).with_name("noxfile.py")
#: What no process of a run needs, and a model's own code must not find in the environment of one.
_HIDDEN = re.compile(r"^(GITHUB_|GH_|ACTIONS_|INPUT_|KERAS_VALIDATOR_)")


@dataclass(frozen=True)
class Request:
    """What the command line asks for. `base`, `head` and `event` say what an upgrade is looked for in."""

    config: Path
    only: tuple[str, ...] = ()
    output: Path | None = None
    json: bool = False
    jobs: int = 1
    base: str | None = None
    head: str | None = None
    event: bool = False

    def __post_init__(self) -> None:
        if self.event and self.head is not None:
            raise ConfigurationError("--head cannot stand beside --event, which names the head itself")

    @property
    def folder(self) -> RunFolder:
        """The folder of the run: the one asked for, or one beside the configuration."""
        name = "only" if self.only else "run"
        return RunFolder((self.output or self.config.resolve().parent / WORK / name).resolve())


def find_upgrade(request: Request) -> Found | None:
    """What the request's commits change; None where it asks for none, and the matrix alone is run.

    Raises:
        ConfigurationError: commits, manifests, or the event cannot be used.
    """
    if request.event:
        asked = pull_request.asked_by_actions(os.environ, request.base)
    else:
        asked = pull_request.asked_by_revisions(request.base, request.head)
    return None if asked is None else pull_request.find(request.config.resolve(), asked, os.environ)


def run_matrix(request: Request) -> Exit:
    """Find the upgrade, capture every environment of the plan, judge, print and write the report.

    Where commits are compared and nothing relevant changed between them, nothing is run.

    Raises:
        ConfigurationError: the configuration or a file it names cannot be used, or the folder is in use.
            The folder then holds a report that says so, and none of an earlier run.
        KeyboardInterrupt: passed on when every child is gone.
    """
    folder = request.folder
    with locked(folder.root, "the run"):
        folder.report().unlink(missing_ok=True)
        try:
            found = find_upgrade(request)
            if found is not None and not found.detected.upgrade.relevant and not request.only:
                return conclude(folder, _unchanged(request, found), json=request.json)
            return _run(request, open_project(request.config, request.only, found))
        except ValidatorError as error:
            write(folder, _refused(request, error))
            raise


def _run(request: Request, project: Project) -> Exit:
    check_files(project)
    run = Run(project, request.folder, uuid.uuid4().hex)
    for model in project.settings.models:  # a mistake in one ends the run before anything is installed
        prepare_recordings(project, model, run.folder)
    if project.found is not None:
        write_text(run.folder.upgrade(), pull_request.dump(project.found))
    log = run.folder.root / "nox.log"
    # Nox starts in our own folder: in the caller's, a module of theirs could stand before one of ours.
    package = Path(__file__).resolve().parents[2]
    environ = {name: value for name, value in os.environ.items() if not _HIDDEN.match(name)}
    environ |= {RUN_ID: run.id, "PYTHONPATH": str(package), "NO_COLOR": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            _command(request, run),
            cwd=package,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            follow(run, lambda: process.poll() is not None, quiet=request.json)
        except BaseException:
            _stop(process)
            raise
    if process.returncode not in {0, 1}:
        raise ConfigurationError(f"Nox ended with exit code {process.returncode}; see {log}")
    return validate(run, json=request.json)


def _command(request: Request, run: Run) -> list[str]:
    project = run.project
    command = [sys.executable, "-m", "nox", "-f", str(NOXFILE)]
    command += ["--envdir", str(project.work / "environments")]
    command += ["--no-error-on-missing-interpreters", "-j", str(request.jobs), "-s"]
    command += [session_name(environment.name) for environment in project.plan.environments]
    command += ["--", "--config", str(project.path), "--output", str(run.folder.root)]
    command += ["--upgrade", str(run.folder.upgrade())] if project.found is not None else []
    return command + [word for cell in request.only for word in ("--only", cell)]


def _unchanged(request: Request, found: Found) -> Report:
    """The report where nothing is run, because nothing that could move a model's numbers changed."""
    return Report(
        verdict="pass",
        reasons=found.detected.reasons,
        baseline=sides.BASE,
        upgrade=found.detected.upgrade,
        environments=(),
        models=(),
        tool=__version__,
        configuration=shown_path(request.config.resolve()),
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=found.commit,
    )


def _refused(request: Request, error: ValidatorError) -> Report:
    """The report of a run that could not begin: it says why, and stands in the way of an older one."""
    return Report(
        verdict="inconclusive",
        reasons=(str(error),),
        baseline="",
        environments=(),
        models=(),
        tool=__version__,
        configuration=shown_path(request.config.resolve()),
        commit=pull_request.commit_of(os.environ) if request.event else None,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask Nox to end, so that it ends its workers; then insist."""
    for sign, seconds in ((signal.SIGINT, 10), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sign)
            process.wait(timeout=seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return

"""The whole run for the command line: Nox captures the environments, then they are judged here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from validator.errors import ConfigurationError, Exit
from validator.pipeline.capture import Run
from validator.pipeline.follow import follow
from validator.pipeline.project import check_files, open_project
from validator.pipeline.run_folder import locked
from validator.pipeline.sessions import RUN_ID, session_name
from validator.pipeline.validate import validate

NOXFILE = Path(__file__).with_name("noxfile.py")


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    config: Path
    only: tuple[str, ...]
    output: Path | None
    json: bool
    jobs: int


def run_matrix(request: Request) -> Exit:
    """Capture every environment of the plan, judge, print and write the report.

    Raises:
        ConfigurationError: the configuration or a file it names cannot be used, or the folder is in use.
        KeyboardInterrupt: passed on when every child is gone.
    """
    project = open_project(request.config, request.only)
    check_files(project)
    output = request.output or (project.work / "only" if request.only else None)
    run = Run(project, project.run_folder(output), uuid.uuid4().hex)
    with locked(run.folder.root, "the run"):
        log = run.folder.root / "nox.log"
        command = [
            sys.executable,
            "-m",
            "nox",
            "-f",
            str(NOXFILE),
            "--envdir",
            str(project.work / "environments"),
        ]
        command += ["--no-error-on-missing-interpreters", "-j", str(request.jobs), "-s"]
        command += [session_name(environment.name) for environment in project.plan.environments]
        command += ["--", "--config", str(project.path), "--output", str(run.folder.root)]
        command += [word for cell in request.only for word in ("--only", cell)]
        package = str(Path(__file__).resolve().parents[2])
        environ = {**os.environ, RUN_ID: run.id, "PYTHONPATH": package, "NO_COLOR": "1"}
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
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

"""Registers the Nox sessions of a run: one `capture(environment)` each, and `validate`, which needs them."""

from __future__ import annotations

import argparse
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import nox

from validator.environments.uv import Uv
from validator.errors import Exit, ValidatorError
from validator.matrix import Environment
from validator.pipeline import pull_request
from validator.pipeline.capture import Run, capture
from validator.pipeline.project import open_project
from validator.results import Failure
from validator.runner import Watcher

RUN_ID = "KERAS_VALIDATOR_RUN"


def session_name(environment: str) -> str:
    """The Nox session that captures an environment."""
    return f"capture({environment})"


def register(default_config: Path) -> None:
    """Register the sessions of the configuration named behind `--` on Nox's command line, or of the default.

    Args:
        default_config: the validator.yml used when no `--config` is given.
    """
    options = _options(default_config)
    try:
        found = pull_request.load(Path(options.upgrade)) if options.upgrade else None
        project = open_project(Path(options.config), options.only, found)
    except ValidatorError as error:
        _register_refusal(str(error))
        return
    # one id for the main process and, through the environment, for every process that `nox -j` starts
    run_id = os.environ.setdefault(RUN_ID, uuid.uuid4().hex)
    run = Run(project, project.run_folder(Path(options.output) if options.output else None), run_id)
    for environment in project.plan.environments:
        _register_capture(run, environment)
    requires = [session_name(environment.name) for environment in project.plan.environments]

    @nox.session(name="validate", venv_backend="none", requires=requires)
    def validate(session: nox.Session) -> None:
        """Run every cell of the matrix, compare it with the baseline, and report."""
        from validator.pipeline.validate import validate as judge

        try:
            code = judge(run)
        except ValidatorError as error:
            session.error(str(error))
        if code != Exit.OK:
            session.error(f"the verdict's exit code is {int(code)} ({code.name.lower().replace('_', ' ')})")


def _register_capture(run: Run, environment: Environment) -> None:
    @nox.session(
        name=session_name(environment.name),
        python=environment.python,
        venv_backend="uv",
        reuse_venv=True,
        allow_parallel=True,
        default=False,
    )
    def capture_session(session: nox.Session) -> None:
        uv = Uv.found(os.environ)
        venv = Path(session.virtualenv.location).resolve()
        try:
            status = capture(run, environment, venv, uv, _lines(session))
        except ValidatorError as error:
            session.error(str(error))
        if status.failure:
            session.warn(f"{environment.name}: {status.failure.stage} failed: {status.failure.message}")
        else:
            built = "reused" if status.reused else "built"
            session.log(f"{environment.name}: {built}, all cells in {status.seconds:.1f} s")


def _register_refusal(message: str) -> None:
    """A configuration that cannot be used: say so when a session is run, not while Nox lists them."""

    @nox.session(name="validate", venv_backend="none")
    def validate(session: nox.Session) -> None:
        """Say what is wrong with the configuration."""
        session.error(message)


def _lines(session: nox.Session) -> Watcher:
    """Progress as one line a cell."""
    began: dict[str, float] = {}

    def started(cell: str) -> None:
        began[cell] = time.monotonic()

    def finished(cell: str, failure: Failure | None) -> None:
        seconds = time.monotonic() - began.get(cell, time.monotonic())
        session.log(f"{cell}: " + (f"failed: {failure.stage}" if failure else f"captured in {seconds:.1f} s"))

    return Watcher(started, finished)


def _options(default_config: Path) -> argparse.Namespace:
    """What stands behind `--`. Nox hands it to sessions only when they run, and they exist by then."""
    arguments: Sequence[str] = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else ()
    parser = argparse.ArgumentParser(prog="nox -s validate --", exit_on_error=True)
    parser.add_argument("--config", default=str(default_config), help="the validator.yml")
    parser.add_argument("--output", default=None, help="the folder of the run")
    parser.add_argument("--upgrade", default=None, help="an upgrade.json: run its base and head as well")
    parser.add_argument("--only", action="append", default=[], help="run this cell (and its baseline) alone")
    known, _ = parser.parse_known_args(arguments)
    return known

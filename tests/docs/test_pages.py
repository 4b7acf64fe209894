"""Every command that a how-to or tutorial prints is run as printed, or says why it is not."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs import pages, projects
from tests.testing.user import UserEnvironment, user_environment

RUN = [page for page in pages.PAGES if any(step.kind == "run" for step in pages.steps(page))]
#: Pages that run a model, which takes minutes; the others plan, and need no Keras.
SLOW = ("validator run", "upgrade-validator run", "pytest ", "python ")


def _name(page: Path) -> str:
    return str(page.relative_to(pages.DOCS))


def _is_slow(page: Path) -> bool:
    return any(step.kind == "run" and any(each in step.text for each in SLOW) for step in pages.steps(page))


@pytest.mark.parametrize("page", pages.PAGES, ids=_name)
def test_every_command_is_run_or_says_why_not(page: Path) -> None:
    for step in pages.steps(page):
        assert step.kind in ("file", "run", "not run", "shown", "workflow", "gitlab"), step
        if step.language in pages.COMMANDS:
            assert step.kind in ("run", "not run"), f"say whether this is run: {step.text}"
            assert step.kind == "run" or step.argument, f"say why this is not run: {step.text}"
    assert pages.project(page) or page not in RUN


def test_what_is_not_run() -> None:
    """The whole list; a further entry needs a reason as good as these."""
    skipped = [
        (_name(page), step.argument)
        for page in pages.PAGES
        for step in pages.steps(page)
        if step.kind == "not run"
    ]
    assert skipped == [
        ("how-to/cluster.md", "there is no such host"),
        ("how-to/gpu-runner.md", "needs a GPU"),
        ("how-to/hugging-face.md", "needs the network"),
        ("how-to/private-index.md", "needs an index with a password"),
    ]


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> UserEnvironment:
    return user_environment(tmp_path_factory.mktemp("installed"))


@pytest.mark.parametrize("page", [page for page in RUN if not _is_slow(page)], ids=_name)
def test_the_commands_of_a_page_that_plans(page: Path, tmp_path: Path) -> None:
    _follow(page, tmp_path / "project", _programs(tmp_path, sys.executable), str(ROOT))


@pytest.mark.matrix
@pytest.mark.environment
@pytest.mark.parametrize("page", [page for page in RUN if _is_slow(page)], ids=_name)
def test_the_commands_of_a_page_that_runs_models(page: Path, tmp_path: Path, user: UserEnvironment) -> None:
    own = pages.project(page) == "user"
    python, path = (str(user.python), user.installed) if own else (sys.executable, ROOT)
    _follow(page, tmp_path / "project", _programs(tmp_path, python), str(path))


def _programs(scratch: Path, python: str) -> Path:
    """The commands that an installation brings, for one interpreter."""
    folder = scratch / "bin"
    folder.mkdir()
    programs = {
        "keras-validator": '-m validator "$@"',
        "uvx": '-m validator "${@:2}"',
        "pytest": '-m pytest -p no:cacheprovider "$@"',
        "python": '"$@"',
    }
    for name, arguments in programs.items():
        file = folder / name
        file.write_text(f"#!/bin/bash\nexec {shlex.quote(python)} {arguments}\n")
        file.chmod(0o755)
    return folder


def _follow(page: Path, folder: Path, programs: Path, path: str) -> None:
    """Do what a page says, from its first line to its last."""
    folder.mkdir()
    projects.prepare(pages.project(page), folder)
    hidden = ("PYTEST", "KERAS_VALIDATOR", "GITHUB_", "CI")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environ |= {"PATH": f"{programs}:{environ['PATH']}", "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    for step in pages.steps(page):
        if step.kind == "file":
            file = folder / step.argument
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(step.text, encoding="utf-8")
        elif step.kind == "run":
            done = subprocess.run(
                ["bash", "-e", "-c", step.text],
                cwd=folder,
                env=environ,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
            assert done.returncode == int(step.argument or 0), f"{step.text}\n{done.stdout}\n{done.stderr}"

"""What something else wrote to the files of a step is undone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from validator.github import StepFiles

NAMES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name in NAMES[:4]:
        (tmp_path / name).write_text("before\n")
    return {name: str(tmp_path / name) for name in NAMES}


def test_files_that_nobody_touched_stay(environ: dict[str, str]) -> None:
    files = StepFiles.read(environ)
    assert files.restore() == ()
    assert Path(environ["GITHUB_ENV"]).read_text() == "before\n"
    assert not Path(environ["GITHUB_STEP_SUMMARY"]).exists()


def test_what_was_appended_replaced_removed_or_made_is_undone(
    environ: dict[str, str], tmp_path: Path
) -> None:
    files = StepFiles.read(environ)
    paths = {name: Path(path) for name, path in environ.items()}
    with paths["GITHUB_OUTPUT"].open("a") as file:
        file.write("verdict=pass\n")
    (tmp_path / "elsewhere").write_text("of somebody else")
    paths["GITHUB_ENV"].unlink()
    paths["GITHUB_ENV"].symlink_to(tmp_path / "elsewhere")
    paths["GITHUB_PATH"].unlink()
    os.truncate(paths["GITHUB_STATE"], 0)
    paths["GITHUB_STEP_SUMMARY"].write_text("all is well")
    assert files.restore() == NAMES
    assert [paths[name].read_text() for name in NAMES[:4]] == ["before\n"] * 4
    assert not paths["GITHUB_ENV"].is_symlink()
    assert not paths["GITHUB_STEP_SUMMARY"].exists()
    assert (tmp_path / "elsewhere").read_text() == "of somebody else"
    assert files.restore() == ()


def test_outside_a_job_there_are_none() -> None:
    assert StepFiles.read({}).restore() == ()

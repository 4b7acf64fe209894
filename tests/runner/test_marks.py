"""What a folder looks like: whatever could change a job changes it, and looking never fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from validator.runner import stamps


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("model.py", "data/vocabulary.txt", ".hidden/table.csv", "run/report.json", ".git/index"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("before")
    return folder


def replaced(file: Path) -> None:
    """Another file of the same name, size and time of change."""
    state, other = file.stat(), file.with_name("other")
    other.write_text("beyond")
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "model.py").write_text("after!"),
        lambda folder: (folder / "data" / "vocabulary.txt").unlink(),
        lambda folder: (folder / ".hidden" / "table.csv").write_text("after"),
        lambda folder: (folder / "data" / "new").touch(),
        lambda folder: (folder / "data" / "new").mkdir(),
        lambda folder: replaced(folder / "model.py"),
    ],
)
def test_what_could_change_a_job_is_seen(project: Path, change: Callable[[Path], object]) -> None:
    before = stamps(project, excluded=(project / "run",))
    assert before is not None
    assert stamps(project, excluded=(project / "run",)) == before
    change(project)
    assert stamps(project, excluded=(project / "run",)) not in (before, None)


def test_what_a_run_writes_is_left_out(project: Path) -> None:
    (project / "venv" / "lib").mkdir(parents=True)
    (project / "venv" / "pyvenv.cfg").touch()
    before = stamps(project, excluded=(project / "run",))
    for name in ("run/report.json", ".git/index", "venv/lib/module.py", "__pycache__/model.pyc"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("after")
    assert stamps(project, excluded=(project / "run",)) == before


def test_links_are_followed_once(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "code.py").write_text("before")
    (project / "linked").symlink_to(tmp_path / "elsewhere")
    (project / "around").symlink_to(project)
    (project / "nowhere").symlink_to(project / "missing")
    before = stamps(project)
    assert before is not None
    (tmp_path / "elsewhere" / "code.py").write_text("after!")
    assert stamps(project) not in (before, None)


def test_a_link_that_names_another_folder_is_seen(project: Path) -> None:
    """Both folders are looked at anyway."""
    for version in ("1", "2"):
        (project / "data" / version).mkdir()
    current = project / "zz" / "current"
    current.parent.mkdir()
    current.symlink_to(project / "data" / "1")
    before = stamps(project)
    current.unlink()
    current.symlink_to(project / "data" / "2")
    assert stamps(project) not in (before, None)


def test_too_many_files_are_not_looked_at(project: Path) -> None:
    for number in range(20_001):
        (project / "data" / str(number)).touch()
    assert stamps(project) is None
    assert stamps(project / "missing") is not None  # a file may go at any time

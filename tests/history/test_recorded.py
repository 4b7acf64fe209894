"""A run's line: in its folder, in the history, and in the report; and when it cannot be written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.history.runs import entry, write
from tests.report.examples import examples
from validator.history import read
from validator.pipeline.history import CodePlace, place_of, remember
from validator.pipeline.run_folder import RunFolder

REPORT = examples().model_copy(update={"started": "2026-11-28T10:00:00+00:00"})


def project(folder: Path) -> Path:
    """A validator.yml in a folder of a repository."""
    path = folder / "repository" / "ocr" / "validator.yml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "version: 1\nhistory: kept/runs.jsonl\nmodels: [{name: a, artifact: a.keras, inputs: a.npz}]\n"
    )
    for arguments in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(folder / "repository"), *arguments], check=True)
    return path


def test_a_run_is_in_its_folder_and_in_the_file_of_the_settings(tmp_path: Path) -> None:
    path = project(tmp_path)
    place = place_of(path, None)
    assert place == path.parent / "kept" / "runs.jsonl"
    folder = RunFolder(tmp_path / "run")
    for second in ("00", "01"):
        report = REPORT.model_copy(update={"started": f"2026-11-28T10:00:{second}+00:00", "commit": None})
        remember(folder, report, CodePlace.of(path), place)
    history = read(place)
    assert [each.configuration for each in history.entries] == ["ocr/validator.yml"] * 2
    head = ["git", "-C", str(path.parent), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    assert {each.commit for each in history.entries} == {commit}
    assert folder.history().read_text() == place.read_text().splitlines(keepends=True)[-1]
    assert 'class="trend"' in (folder.root / "report.html").read_text(encoding="utf-8")


def test_runs_of_another_configuration_are_no_trend(tmp_path: Path) -> None:
    path = project(tmp_path)
    place = write(tmp_path / "runs.jsonl", [entry(0, 0.9), entry(1, 0.9)])
    folder = RunFolder(tmp_path / "run")
    remember(folder, REPORT, CodePlace.of(path), place)
    assert "<h2>Trend</h2>" not in (folder.root / "report.html").read_text(encoding="utf-8")


def test_a_history_that_cannot_be_written_costs_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    place = Path("/proc/runs.jsonl")
    remember(folder, REPORT, CodePlace.of(project(tmp_path)), place)
    told = capsys.readouterr().err
    assert told.startswith("history /proc/runs.jsonl: ")
    assert f"this run is not in it, but in {folder.history()}" in told
    assert len(read(folder.history()).entries) == 1


def test_a_run_that_judged_nothing_leaves_no_line(tmp_path: Path) -> None:
    path, folder = project(tmp_path), RunFolder(tmp_path / "run")
    remember(folder, REPORT, CodePlace.of(path), None)
    assert folder.history().is_file()
    remember(folder, REPORT.model_copy(update={"models": ()}), CodePlace.of(path), tmp_path / "runs.jsonl")
    assert not folder.history().exists()
    assert not (tmp_path / "runs.jsonl").exists()

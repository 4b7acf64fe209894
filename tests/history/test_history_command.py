"""`keras-validator history` as a process, and the page that it writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.history.runs import entry, fallen, write


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "validator", "history", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_prints_tables_lines_and_steps(tmp_path: Path) -> None:
    write(tmp_path / "runs.jsonl", [*fallen(), entry(9, None, model="llama", noise=None, verdict="failed")])
    (tmp_path / "validator.yml").write_text(
        "version: 1\nhistory: runs.jsonl\nmodels: [{name: digits, artifact: m.keras, inputs: i.npz}]\n"
    )
    done = command(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "accuracy 0.910 → 0.840 since commit bbbbbbb / keras 3.10.0" in done.stdout
    assert "█████▁▁▁" in done.stdout
    assert "2026-10-06   bbbbbbb   keras 3.10.0   changed " in done.stdout
    only = command(tmp_path, "--model", "llama")
    assert "digits" not in only.stdout
    assert "failed" in only.stdout


def test_json_is_the_lines_themselves(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.jsonl", fallen())
    done = command(tmp_path, "--history", "runs.jsonl", "--json")
    assert done.stdout == path.read_text()


def test_a_model_of_two_configurations_is_shown_twice(tmp_path: Path) -> None:
    write(tmp_path / "runs.jsonl", [entry(0, 0.9), entry(0, 0.5, configuration="b/validator.yml")])
    done = command(tmp_path, "--history", "runs.jsonl")
    assert "digits in head (b/validator.yml), run by run" in done.stdout
    assert "digits in head (validator.yml), run by run" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--history", "none.jsonl"], "none.jsonl: there is no such file"),
        (["--history", "runs.jsonl", "--model", "none"], "no run of a model called 'none'; it has digits"),
        (["--history", "."], "name a history that a run wrote"),
        ([], "validator.yml"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    write(tmp_path / "runs.jsonl", fallen())
    done = command(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_lines_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.jsonl", fallen())
    with path.open("a") as file:
        file.write('{"schema": 2}\n{"sch')
    done = command(tmp_path, "--history", "runs.jsonl")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0].startswith("runs.jsonl, line 9: written by a newer keras-validator: it is of schema 2")
    assert lines[1].startswith("runs.jsonl, line 10: the last line was cut off")


def test_the_page_escapes_what_others_wrote(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    entries = [
        entry(night, 0.9, model=hostile, keras=f"{hostile}{night}", configuration=hostile)
        for night in range(3)
    ]
    write(tmp_path / "runs.jsonl", entries)
    done = command(tmp_path, "--history", "runs.jsonl", "--html", "page.html")
    assert (done.returncode, done.stdout) == (0, "")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<script" not in text
    assert "&lt;img" in text
    assert text.count("<circle") >= 9


def test_the_page_names_the_step(tmp_path: Path) -> None:
    write(tmp_path / "runs.jsonl", fallen())
    command(tmp_path, "--history", "runs.jsonl", "--html", "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "since commit bbbbbbb / keras 3.10.0" in text
    assert 'class="step"' in text

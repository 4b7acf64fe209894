"""A run that is killed in every phase goes on with `--resume`, and comes to what a whole run says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import CONFIG, write_project
from validator.pipeline.jobs import JobMaker
from validator.pipeline.project import open_project
from validator.pipeline.restoring import Restoring
from validator.pipeline.rounds import predictions
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.validate import Run
from validator.report import json as report_json
from validator.runner import Capture, Machine, Marks, RunLimit, Watcher
from validator.verdict.results import Report

pytestmark = pytest.mark.environment

#: A job of each phase: the run is killed as soon as it has ended.
PHASES = ("moved@keras-3.3.3", "moved@keras-3.3.3/outputs", "moved@keras-3.5.0/layers")
#: What differs from one run to the next.
TIMES = {"started", "seconds", "restored", "cache_notes", "configuration", "reproduce", "acceptance_file"}


@dataclass
class Interrupted:
    """A project and its runs."""

    folder: Path

    @property
    def run_folder(self) -> Path:
        return self.folder / ".keras-validator" / "run"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "validator", "run", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, *arguments: str) -> tuple[Report, str]:
        process = self.start(*arguments)
        _, errors = process.communicate(timeout=300)
        return report_json.load((self.run_folder / "report.json").read_text()), errors

    def kill_after(self, job: str, *arguments: str) -> None:
        process = self.start(*arguments)
        until = time.monotonic() + 200
        while job not in self.marked():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def marked(self) -> dict[str, float]:
        """Jobs that have ended, and when their answers were written."""
        marks = [json.loads(path.read_text()) for path in (self.run_folder / "ended").glob("*.json")]
        return {mark["job"]: self.answered(mark["job"]) for mark in marks}

    def answered(self, job: str) -> float:
        cell, _, further = job.partition("/")
        model, _, environment = cell.partition("@")
        folder = self.run_folder / "captures" / environment.partition("+")[0] / model
        folder = folder / f"+{further}" if further else folder
        return (folder / "response.json").stat().st_mtime


@pytest.fixture
def interrupted(tmp_path: Path) -> Interrupted:
    write_project(tmp_path)
    lines = [line for line in CONFIG.splitlines() if "name: lost" not in line]
    text = "/" + "no path " * 40  # and longer than a path may be
    same = lines[-2].replace("}", f", builder_arguments: {{scale: 1.0, note: '{text}'}}}}")
    (tmp_path / "validator.yml").write_text("\n".join([*lines[:-2], same, lines[-1]]) + "\n")
    code = (tmp_path / "little.py").read_text().replace("scale=1.0", "scale=1.0, note=''")
    (tmp_path / "little.py").write_text(code)
    return Interrupted(tmp_path)


def told(value: object) -> object:
    """A report without what differs from run to run."""
    if isinstance(value, dict):
        return {name: told(each) for name, each in value.items() if name not in TIMES}
    return [told(each) for each in value] if isinstance(value, list) else value


def test_a_run_killed_in_every_phase_goes_on(interrupted: Interrupted) -> None:
    whole, _ = interrupted.finish()
    assert not (interrupted.run_folder / "ended").exists()  # it is complete: there is nothing to resume
    before: dict[str, float] = {}
    for number, job in enumerate(PHASES):
        interrupted.kill_after(job, *(["--resume"] if number else []))
        marked = interrupted.marked()
        assert before.items() <= marked.items()  # nothing that had ended ran again
        before = marked
    resumed, errors = interrupted.finish("--resume")
    assert f"{len(before)} jobs of the interrupted run have ended" in errors
    assert {job: interrupted.answered(job) for job in before} == before
    assert {each.cell for each in resumed.restored} >= {"same@keras-3.3.3", "moved@keras-3.3.3"}
    assert resumed.cache_notes == ()
    assert told(resumed.model_dump(mode="json")) == told(whole.model_dump(mode="json"))
    again, errors = interrupted.finish("--resume")
    assert "no interrupted run is in this directory, so everything runs" in errors
    assert again.restored == ()


@pytest.mark.parametrize("changed", ["little.py", ".data/vocabulary.txt", "validator.yml"])
def test_what_changed_since_is_run_again(interrupted: Interrupted, changed: str) -> None:
    file = interrupted.folder / changed
    file.parent.mkdir(exist_ok=True)
    file.touch()
    interrupted.kill_after(PHASES[1])
    with file.open("a") as opened:
        opened.write("# another one\n")
    report, _ = interrupted.finish("--resume")
    assert report.restored == ()
    note = "a file, a setting or a package changed after same@keras-3.3.3 had ended, so it runs again"
    assert note in report.cache_notes


def test_a_run_that_its_time_limit_ended_goes_on(interrupted: Interrupted) -> None:
    """What was measured stays, though no time is left to verify it."""
    config = interrupted.folder / "validator.yml"
    config.write_text(config.read_text() + "limits: {total_seconds: 60}\n")
    interrupted.kill_after(PHASES[1])
    before = interrupted.marked()
    project = open_project(config)
    folder = RunFolder(interrupted.run_folder)
    run = Run(project, folder, 1, Watcher(), limit=RunLimit.of(0.001))
    marks = Marks(folder.ended(), Machine.this(), resumes=True)
    with run.pool() as pool:
        restoring = Restoring(pool, project, folder, marks)
        jobs = predictions(JobMaker(project, folder))
        assert all(isinstance(each, Capture) for each in restoring.run(jobs).values())
        assert restoring.verify(job.id for job in jobs) == {}
    assert restoring.notes == {}
    assert interrupted.marked() == before


def test_captures_that_something_else_wrote_to_are_not_used(interrupted: Interrupted) -> None:
    interrupted.kill_after(PHASES[1])
    outputs = interrupted.run_folder / "captures" / "keras-3.3.3" / "same" / "outputs" / "0.npy"
    content = bytearray(outputs.read_bytes())
    content[-1] ^= 1
    outputs.write_bytes(content)
    mark = next((interrupted.run_folder / "ended").glob("*.json"))
    torn = json.loads(mark.read_text())["job"]
    mark.write_text("{")
    report, _ = interrupted.finish("--resume")
    assert "same@keras-3.3.3" not in {each.cell for each in report.restored}
    assert torn not in {each.cell for each in report.restored}
    files = "the files of same@keras-3.3.3 are not those that the interrupted run left, so it runs again"
    unreadable = f"what the interrupted run noted of {torn} cannot be read, so it runs again"
    assert unreadable in report.cache_notes
    assert files in report.cache_notes or torn == "same@keras-3.3.3"


@pytest.mark.parametrize("keep", ["failed", "numbers"])
def test_what_stays_of_a_finished_run(interrupted: Interrupted, keep: str) -> None:
    with (interrupted.folder / "validator.yml").open("a") as file:
        file.write(f"keep: {keep}\n")
    report, _ = interrupted.finish()
    captures = interrupted.run_folder / "captures"
    tensors = {path.relative_to(captures).parts[:2] for path in captures.rglob("*.npy")}
    kept = {(environment, name.partition("+")[0]) for environment, name in tensors}
    assert kept == ({("keras-3.3.3", "moved"), ("keras-3.5.0", "moved")} if keep == "failed" else set())
    assert (interrupted.run_folder / "recordings").exists() == (keep == "failed")
    assert len(list(captures.rglob("response.json"))) > len(report.models)
    assert (interrupted.run_folder / "report.html").is_file()

"""The shape of a run: three rounds, one parse a capture, one judgement a cell and round, one import."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from tests.pipeline.small_project import write_project
from validator.pipeline.project import open_project
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.validate import Run, validate
from validator.runner import Watcher
from validator.runner.captures import WORKER_FOLDER, read_capture, read_environment
from validator.runner.process import WorkerProcess
from validator.verdict.judge import judge_cell
from validator.verdict.results import Report

pytestmark = pytest.mark.environment


@contextmanager
def calls(counted: dict[CodeType, str]) -> Iterator[Counter[tuple[str, str]]]:
    """Count calls of functions, by function and first argument, in every thread. Nothing is replaced."""
    seen: Counter[tuple[str, str]] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in counted:
            first = frame.f_locals[frame.f_code.co_varnames[0]]
            seen[counted[frame.f_code], str(getattr(getattr(first, "cell", first), "id", first))] += 1

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


class Finished:
    def __init__(self, folder: Path) -> None:
        project = open_project(write_project(folder))
        self.folder = RunFolder(folder / "run")
        silent = Watcher(lambda _, __: None, lambda _: None, lambda _, __: None)
        counted = {
            read_capture.__code__: "read",
            judge_cell.__code__: "judged",
            WorkerProcess.__init__.__code__: "started",
        }
        with calls(counted) as seen:
            self.report: Report = validate(Run(project, self.folder, 2, silent))
        self.seen = seen


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished(tmp_path_factory.mktemp("whole"))


def test_every_round_happened(finished: Finished) -> None:
    cells = {cell.cell: cell.verdict for model in finished.report.models for cell in model.cells}
    assert cells == {
        "same@keras-3.5.0": "identical",
        "moved@keras-3.5.0": "changed",
        "lost@keras-3.5.0": "failed",
    }
    assert (finished.folder.captures("keras-3.5.0") / "moved" / "+layers" / "response.json").exists()
    assert (finished.folder.captures("keras-3.5.0") / "moved" / "+outputs" / "response.json").exists()


def test_a_quiet_cell_pays_for_no_later_round(finished: Finished) -> None:
    for environment in ("keras-3.3.3", "keras-3.5.0"):
        assert not [*(finished.folder.captures(environment) / "same").glob("+*")]
    assert [*(finished.folder.captures("keras-3.3.3") / "moved").glob("+outputs*")]


def test_every_capture_is_parsed_once(finished: Finished) -> None:
    reads = {place: count for (name, place), count in finished.seen.items() if name == "read"}
    written = {str(path.parent) for path in finished.folder.root.glob("captures/**/response.json")}
    assert written
    assert {place: count for place, count in reads.items() if place in written} == dict.fromkeys(written, 1)


def test_a_cell_is_judged_once_a_round(finished: Finished) -> None:
    judged = {cell: count for (name, cell), count in finished.seen.items() if name == "judged"}
    assert judged == {"same@keras-3.5.0": 1, "moved@keras-3.5.0": 3, "lost@keras-3.5.0": 1}


def test_the_backend_is_imported_once_an_environment(finished: Finished) -> None:
    starts = [count for (name, _), count in finished.seen.items() if name == "started"]
    assert sum(starts) == 2
    for environment in ("keras-3.3.3", "keras-3.5.0"):
        facts = read_environment(finished.folder.captures(environment) / WORKER_FOLDER)
        assert facts is not None
        assert facts.isolation == "fork"

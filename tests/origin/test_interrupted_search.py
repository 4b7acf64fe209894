"""A search that is interrupted, in each phase: no process stays, and what was run is kept."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from validator.origin.results import Results
from validator.origin.types import Behaviour

PHASES = ("ends", "releases", "nights", "lines")


@pytest.mark.environment
@pytest.mark.matrix
def test_it_ends_at_once_in_each_phase_and_goes_on_where_it_stopped(
    keras_python: Callable[[str], Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.origin.tracing_process", str(keras_python("keras-3.3.3"))]
    command += [str(tmp_path / "overlays"), str(tmp_path / "work")]
    for phase in PHASES:
        with _started(command) as search:
            assert any(line.startswith(f"{phase} ") for line in _lines(search)), f"{phase} was not reached"
            children = psutil.Process(search.pid).children(recursive=True)
            assert children
            search.send_signal(signal.SIGTERM)  # a shell makes a background job ignore the others
            assert search.wait(30) == 130
            _, alive = psutil.wait_procs(children, 10)
            assert not alive, f"{phase}: {alive}"
            assert not list((tmp_path / "work" / "runs").glob("*"))
    with _started(command) as search:
        last = list(_lines(search))[-1]
    word, runs, names = last.split(" ")
    assert (word, names) == ("runs", "UnitNormalization.call")
    with _started([*command[:-1], str(tmp_path / "new")]) as search:
        anew = list(_lines(search))[-1]
    assert int(runs) < int(anew.split(" ")[1])


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _lines(search: subprocess.Popen[str]) -> Iterator[str]:
    assert search.stdout is not None
    return iter(line.strip() for line in search.stdout)


def test_results_that_cannot_be_kept_are_known_to_the_search_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    results = Results(tmp_path / "results" / "cell.jsonl")
    results.keep("a run", Behaviour(digest="x"))
    assert results.get("a run") == Behaviour(digest="x")
    assert not results.writable

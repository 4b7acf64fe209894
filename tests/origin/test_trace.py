"""The whole way over versions of a small package: releases, nights, lines, and a time that ends anywhere."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.origin.small_keras import MODEL, Overlays, Steps, run
from validator.environments import Wheel
from validator.failure import Failure
from validator.origin.trace import Tracer, Tracing
from validator.origin.types import Origin

OLD = '''"""A module."""

SCALE = 2


def unused():
    return 1


def ran(x):
    """Doubles."""
    x = abs(x)
    y = x * SCALE
    return y


def f():
    return ran(10)
'''
NEW = (
    OLD.replace("Doubles.", "Doubles, now documented.")
    .replace("y = x * SCALE", "y = helper(x)")
    .replace("return 1", "return 2")
    .replace("def f", "def helper(x):\n    return x * SCALE + 1\n\n\ndef f")
)
TEXTS = {"3.3.3": OLD, "3.4.0": OLD, "3.4.1": OLD, "3.5.0": NEW, "3.6.0": NEW, "3.10.0": OLD}
NIGHTS = {
    f"3.5.0.dev2024{month:02}{day:02}03": "3.4.1" if (month, day) <= (1, 25) else "3.5.0"
    for month in (1, 2)
    for day in range(1, 29)
}


def traced(folder: Path, overlays: Overlays | None = None, **fields: Any) -> tuple[Origin, Steps]:
    overlays = overlays or Overlays(folder, TEXTS, NIGHTS)
    steps = Steps(overlays, fields.pop("ends", ("3.3.3", "3.5.0")), **fields)
    steps.unsteady = fields.get("unsteady", steps.unsteady)
    outcome = Tracing(steps.case)
    Tracer(outcome, steps).search()
    return outcome.origin(steps, "keras-validator origin cell"), steps


def test_it_comes_to_the_release_the_night_and_the_line(tmp_path: Path) -> None:
    origin, _ = traced(tmp_path)
    assert origin.refused is None
    assert origin.releases is not None
    assert origin.releases.since is not None
    assert origin.releases.since.after == "3.5.0"
    assert origin.releases.gone is not None
    assert origin.releases.gone.after == "3.10.0"
    [nights] = origin.nights
    assert (nights.before, nights.after) == ("3.5.0.dev2024012503", "3.5.0.dev2024012603")
    assert "model.py" in nights.link
    [lines] = origin.lines
    assert [(unit.name, unit.added, unit.removed) for unit in lines.units] == [("ran", 1, 1)]
    assert lines.proof == "both"
    assert "-    y = x * SCALE\n+    y = helper(x)" in lines.diff
    assert not any("documented" in line for line in lines.diff.splitlines() if line[0] in "+-")
    assert origin.stopped is None


def test_without_nights_the_lines_are_those_between_releases(tmp_path: Path) -> None:
    overlays = Overlays(tmp_path, TEXTS, NIGHTS)
    overlays.no_nights = Failure(stage="resolve", error="uv", message="not found in the package registry")
    origin, _ = traced(tmp_path, overlays)
    assert origin.missing == ("nights",)
    assert origin.nights == ()
    assert [(lines.before, lines.after) for lines in origin.lines] == [("3.4.1", "3.5.0")]


def test_without_an_index_the_two_ends_are_compared(tmp_path: Path) -> None:
    overlays = Overlays(tmp_path, TEXTS, NIGHTS)
    overlays.failure = overlays.no_nights = Failure(stage="resolve", error="uv", message="offline")
    origin, _ = traced(tmp_path, overlays)
    assert origin.missing == ("index", "nights")
    assert [(lines.before, lines.after) for lines in origin.lines] == [("3.3.3", "3.5.0")]


def test_a_flaky_end_is_refused(tmp_path: Path) -> None:
    overlays = Overlays(tmp_path, TEXTS, NIGHTS)
    steps = Steps(overlays, ("3.3.3", "3.5.0"))
    steps.unsteady = lambda wheel, again: f" {again}" if wheel == Wheel("keras", "3.5.0") else ""
    outcome = Tracing(steps.case)
    Tracer(outcome, steps).search()
    origin = outcome.origin(steps, "")
    assert (origin.refused, origin.refused_end) == ("flaky", "keras 3.5.0")
    assert origin.releases is None
    assert steps.runs == 4


def test_ends_that_agree_are_said_to_and_what_lies_between_is_found(tmp_path: Path) -> None:
    origin, _ = traced(tmp_path, ends=("3.3.3", "3.10.0"))
    assert origin.refused == "same"
    assert origin.releases is not None
    assert [each.after for each in origin.releases.transitions] == ["3.5.0", "3.10.0"]
    assert origin.lines == ()


def test_a_baseline_that_does_not_run_is_refused(tmp_path: Path) -> None:
    overlays = Overlays(tmp_path, {**TEXTS, "3.3.3": "import nothing_of_this_name"}, NIGHTS)
    origin, _ = traced(tmp_path, overlays)
    assert (origin.refused, origin.refused_end) == ("fails", "keras 3.3.3")
    assert origin.reason == "ModuleNotFoundError"


def test_a_candidate_that_fails_is_traced_like_any_other(tmp_path: Path) -> None:
    broken = OLD.replace("y = x * SCALE", "raise ValueError(x)")
    texts = {version: OLD if version < "3.5" and version != "3.10.0" else broken for version in TEXTS}
    origin, _ = traced(tmp_path, Overlays(tmp_path, texts, NIGHTS), fails=True)
    assert origin.releases is not None
    assert origin.releases.since is not None
    assert origin.releases.since.error == "ValueError"
    assert [unit.name for unit in origin.lines[0].units] == ["ran"]


def test_a_candidate_that_fails_here_and_did_not_in_the_run_is_refused(tmp_path: Path) -> None:
    overlays = Overlays(tmp_path, {**TEXTS, "3.5.0": "import nothing_of_this_name"}, NIGHTS)
    origin, _ = traced(tmp_path, overlays)
    assert (origin.refused, origin.refused_end) == ("fails", "keras 3.5.0")


def test_a_downgrade_is_traced_to_where_the_old_behaviour_ends(tmp_path: Path) -> None:
    origin, _ = traced(tmp_path, ends=("3.5.0", "3.4.0"))
    assert origin.releases is not None
    assert origin.releases.since is None
    assert origin.releases.gone is not None
    assert origin.releases.gone.after == "3.5.0"
    assert [unit.name for unit in origin.lines[0].units] == ["ran"]


@pytest.mark.parametrize("most", range(26))
def test_whenever_the_time_ends_what_was_found_stands(tmp_path: Path, most: int) -> None:
    whole, steps = traced(tmp_path / "whole")
    if most == 0:
        return
    origin, _ = traced(tmp_path / "part", most=most)
    if most >= steps.runs:
        assert origin.stopped is None
        return
    assert origin.stopped is not None
    assert origin.command == "keras-validator origin cell"
    order = ["ends", "releases", "nights", "lines"]
    reached = order.index(origin.stopped)
    assert (origin.releases is not None) or reached <= 1
    assert origin.nights == (whole.nights if reached > 2 else ()) or reached > 2
    if origin.lines:
        assert not origin.lines[0].smallest


def test_nights_that_do_not_behave_like_the_releases_leave_the_releases(tmp_path: Path) -> None:
    overlays = Overlays(tmp_path, TEXTS, dict.fromkeys(NIGHTS, "3.4.1"))
    origin, _ = traced(tmp_path, overlays)
    assert origin.missing == ("branch",)
    assert [(lines.before, lines.after) for lines in origin.lines] == [("3.4.1", "3.5.0")]


def test_a_model_that_asks_for_the_version_is_not_blamed_on_a_function(tmp_path: Path) -> None:
    """What differs is not in the modules that are searched: as for a layer that reads `keras.__version__`."""
    texts = {
        version: text.replace("def unused", f"VERSION = {version < '3.5'}\n\n\ndef unused")
        for version, text in TEXTS.items()
    }
    steps = Steps(Overlays(tmp_path, texts, {}), ("3.3.3", "3.5.0"))
    steps.mixture = lambda folder, name, sources: run(
        texts["3.4.1" if name.startswith("keras-3.4.1") else "3.5.0"]
    )
    found = Tracing(steps.case)
    Tracer(found, steps).search()
    origin = found.origin(steps, "")
    assert "unexplained" in origin.missing
    assert origin.lines == ()


def test_a_clone_names_the_pull_request(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    path = clone / MODEL
    path.parent.mkdir(parents=True)
    path.write_text(NEW)
    date = {"GIT_AUTHOR_DATE": "2024-01-25T12:00:00Z", "GIT_COMMITTER_DATE": "2024-01-25T12:00:00Z"}
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for arguments in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "Use the helper (#123)")):
        subprocess.run(["git", "-C", str(clone), *arguments], check=True, env={**os.environ, **date})
    origin, _ = traced(tmp_path / "trees", repository=clone)
    [commit] = origin.nights[0].commits
    assert (commit.subject, commit.pull_request) == ("Use the helper (#123)", 123)
    origin, _ = traced(tmp_path / "trees", repository=tmp_path / "nowhere")
    assert origin.missing == ("repository",)

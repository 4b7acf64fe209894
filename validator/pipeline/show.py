"""Prints what is on disk: the plan of a configuration, a finished run's report, two captures side by side."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from validator.checks.loading.types import are_other_processors
from validator.checks.outputs import compare_stored, unproven
from validator.documents import read_bytes
from validator.errors import ConfigurationError, Exit
from validator.failure import Failure
from validator.matrix import Cell, Environment, Plan, shards
from validator.pipeline.pull_request import PullRequest
from validator.pipeline.run import Request, find_upgrade, is_settled, opened
from validator.pipeline.supply import tell
from validator.report import html, junit, markdown
from validator.report import json as report_json
from validator.report.tables import print_outputs, print_plan
from validator.report.terminal import show
from validator.runner import read_capture
from validator.storage import recording
from validator.storage.tensors import StoredTensor
from validator.verdict.bands import BANDS, GREEN
from validator.verdict.results import Report

#: The name of a job: what is no plain name is replaced.
_UNSAFE, _NAME = re.compile(r"[^A-Za-z0-9._+, -]"), 80


def show_plan(request: Request, form: str = "terminal", most: int | None = None) -> None:
    """Print the environments and cells of a run, and why a pull request would run them.

    In the form `github`, print shards for `strategy.matrix` instead, `most` at most.

    Raises:
        ConfigurationError: the configuration or the commits cannot be used.
    """
    change = find_upgrade(request)
    upgrade = change.detected.upgrade if change else None
    if form == "github":
        sys.stdout.write(json.dumps(_matrix(request, change, most)) + "\n")
        return
    plan = opened(request, change).plan
    if request.json or form == "json":
        json.dump(_plan_json(plan, change), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        print_plan(plan, upgrade, Console())


def _matrix(request: Request, change: PullRequest | None, most: int | None) -> dict[str, object]:
    """The matrix of GitHub's jobs: never empty, which GitHub refuses. One shard says why nothing runs."""
    parts: tuple[tuple[Cell, ...], ...] = ((),)
    if change is None or not is_settled(request, change):
        parts = shards(opened(request, change).plan, most)
    names = (_UNSAFE.sub("-", ", ".join(dict.fromkeys(cell.environment for cell in part))) for part in parts)
    jobs = [
        {"shard": f"{number}/{len(parts)}", "index": number, "name": name[:_NAME] or "nothing to run"}
        for number, name in enumerate(names, start=1)
    ]
    return {"include": jobs}


def _plan_json(plan: Plan, change: PullRequest | None) -> dict[str, object]:
    upgrade = change.detected.upgrade.model_dump(mode="json") if change else None
    return {
        "schema": 2,
        "baseline": plan.baseline,
        "upgrade": upgrade,
        "environments": [_environment_json(environment) for environment in plan.environments],
        "cells": [{"cell": cell.id, **asdict(cell)} for cell in plan.cells],
        "left_out": [asdict(part) for part in plan.left_out],
    }


def _environment_json(environment: Environment) -> dict[str, object]:
    """An environment without the hashes of its packages, of which a lock can have thousands."""
    return {key: value for key, value in asdict(environment).items() if key != "hashes"}


def read_report(run: Path) -> Report:
    """The report in the folder of a run.

    Raises:
        ConfigurationError: there is none, or it cannot be read.
    """
    path = run / "report.json" if run.is_dir() else run
    try:
        text = read_bytes(path, report_json.LARGEST).decode("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: {reason}; name the folder of a finished run") from None
    return report_json.load(text)


def show_report(run: Path, form: str, *, everything: bool = False) -> None:
    """Print the report of a finished run; `everything`: on a terminal, each cell that holds too.

    Raises:
        ConfigurationError: there is no report, or it cannot be read.
    """
    report = read_report(run)
    forms: dict[str, Callable[[Report], str]] = {
        "markdown": markdown.summary,
        "html": html.page,
        "json": report_json.dump,
        "junit": junit.dump,
    }
    if form in forms:
        sys.stdout.write(forms[form](report))
    else:
        show(report, Console(), everything=everything)


def show_comparison(baseline: Path, candidate: Path, as_json: bool) -> Exit:
    """Compare two captures or recordings output by output, print each, and give the exit code.

    Raises:
        ConfigurationError: a side is neither a capture nor a recording.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sides = [
            stored_outputs(path, Path(scratch, side))
            for path, side in ((baseline, "baseline"), (candidate, "candidate"))
        ]
        findings = compare_stored(sides[0], sides[1], BANDS)
        if are_other_processors(_surroundings(baseline), _surroundings(candidate)):
            findings = tuple(map(unproven, findings))
            tell("the two captures are from different processors: their bits are not comparable")
    if as_json:
        outputs = [finding.model_dump(mode="json") for finding in findings]
        sys.stdout.write(json.dumps({"schema": 2, "outputs": outputs}, indent=1) + "\n")
    else:
        print_outputs(findings, Console())
    verdicts = {finding.verdict for finding in findings}
    if verdicts <= {"not-compared"}:
        return Exit.CANNOT_JUDGE
    return Exit.OK if verdicts <= GREEN else Exit.GATE


def _surroundings(path: Path) -> Mapping[str, str]:
    """What a capture's process ran under; nothing of a recording."""
    capture = read_capture(path)
    return {} if isinstance(capture, Failure) else capture.response.surroundings


def stored_outputs(path: Path, scratch: Path) -> tuple[StoredTensor, ...]:
    """The outputs of a capture, or the arrays of a recording; a file is converted into `scratch`.

    Raises:
        ConfigurationError: it is neither, or the cell failed.
    """
    if not (path / "response.json").exists():
        return recording.prepare(path, scratch).open()
    capture = read_capture(path)
    if isinstance(capture, Failure):
        raise ConfigurationError(
            f"{path}: this cell failed at {capture.stage}, so it has no outputs to compare"
        )
    return capture.outputs

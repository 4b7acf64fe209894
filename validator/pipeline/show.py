"""Prints what is there: the plan of a configuration, a finished run's report, two captures side by side."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from validator import recording
from validator.compare import compare_tensors, match_outputs
from validator.errors import ConfigurationError, Exit
from validator.matrix import Plan
from validator.pipeline.project import open_project
from validator.pipeline.pull_request import Found
from validator.pipeline.run import Request, find_upgrade
from validator.report import html, junit, markdown
from validator.report import json as report_json
from validator.report.terminal import show
from validator.results import OutputResult, Report
from validator.runner import read_capture
from validator.tensors import StoredTensor, open_tensors
from validator.verdict import OutputEvidence
from validator.verdict.outputs import judge_output


def show_plan(request: Request) -> None:
    """Print the environments and cells of a run, and why a pull request would run them.

    Raises:
        ConfigurationError: the configuration or the commits cannot be used.
    """
    found = find_upgrade(request)
    plan = open_project(request.config, request.only, found).plan
    if request.json:
        json.dump(_plan_json(plan, found), sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    for reason in found.detected.reasons if found else ():
        sys.stdout.write(f"{reason}.\n")
    if found and not found.detected.upgrade.relevant:
        return
    console = Console()
    environments = Table("environment", "python", "requirements", title="Environments", title_justify="left")
    for environment in plan.environments:
        role = " (baseline)" if environment.name == plan.baseline else ""
        environments.add_row(environment.name + role, environment.python, ", ".join(environment.requirements))
    cells = Table("cell", "compared with", title="Cells", title_justify="left")
    for cell in plan.cells:
        compared = "–" if cell.environment == plan.baseline else plan.baseline_of(cell).id
        cells.add_row(cell.id, compared)
    console.print(environments, cells, sep="\n")
    if plan.left_out:
        lost = Table("cell or environment", "why", title="Left out", title_justify="left")
        for one in plan.left_out:
            lost.add_row(one.what, one.reason)
        console.print(lost)


def _plan_json(plan: Plan, found: Found | None) -> dict[str, object]:
    return {
        "schema": 1,
        "baseline": plan.baseline,
        "upgrade": found.detected.upgrade.model_dump(mode="json") if found else None,
        "reasons": list(found.detected.reasons) if found else [],
        "environments": [asdict(environment) for environment in plan.environments],
        "cells": [{"cell": cell.id, **asdict(cell)} for cell in plan.cells],
        "left_out": [asdict(one) for one in plan.left_out],
    }


def read_report(run: Path) -> Report:
    """The report in the folder of a run.

    Raises:
        ConfigurationError: there is none, or it is not one.
    """
    path = run / "report.json" if run.is_dir() else run
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: {reason}; name the folder of a finished run") from None
    return report_json.load(text)


def show_report(run: Path, form: str) -> None:
    """Print the report of a finished run.

    Raises:
        ConfigurationError: there is no report, or it is not one.
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
        show(report, Console())


def show_comparison(baseline: Path, candidate: Path, as_json: bool) -> Exit:
    """Compare two captures or recordings output by output, print each, and say by the exit code.

    Raises:
        ConfigurationError: a side is neither a capture nor a recording.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sides = [
            _tensors(path, Path(scratch, side))
            for path, side in ((baseline, "baseline"), (candidate, "candidate"))
        ]
        results = _compare(sides[0], sides[1])
    if as_json:
        listed = [result.model_dump(mode="json") for result in results]
        sys.stdout.write(json.dumps({"schema": 1, "outputs": listed}, indent=1) + "\n")
    else:
        table = Table("output", "verdict", "max abs", "max rel", "mismatched", "what")
        for result in results:
            largest = [
                f"{number:.3g}" if number is not None else "–" for number in (result.max_abs, result.max_rel)
            ]
            what = result.message or result.rule
            table.add_row(
                result.name, result.verdict, *largest, f"{result.mismatched:,} of {result.size:,}", what
            )
        Console().print(table)
    if not any(result.verdict != "not-compared" for result in results):
        return Exit.CANNOT_JUDGE
    return Exit.OK if all(result.verdict in {"identical", "rounding"} for result in results) else Exit.GATE


def _compare(baseline: Sequence[StoredTensor], candidate: Sequence[StoredTensor]) -> list[OutputResult]:
    match = match_outputs(baseline, candidate)
    evidence = [
        OutputEvidence(pair.baseline.name, compare_tensors(pair.baseline, pair.candidate))
        for pair in match.pairs
    ]
    evidence += [OutputEvidence(tensor.name, None, "is missing") for tensor in match.missing]
    evidence += [OutputEvidence(tensor.name, None, "is new") for tensor in match.extra]
    evidence += [
        OutputEvidence(pair.baseline.name, None, f"is missing; `{pair.candidate.name}` looks like it")
        for pair in match.renamed
    ]
    return [judge_output(one) for one in evidence]


def _tensors(path: Path, scratch: Path) -> tuple[StoredTensor, ...]:
    if not (path / "response.json").exists():
        return recording.prepare(path, scratch).open()
    capture = read_capture(path)
    if capture is None or capture.failure is not None:
        stage = capture.failure.stage if capture and capture.failure else "predict"
        raise ConfigurationError(f"{path}: this cell failed at {stage}, so it has no outputs to compare")
    return open_tensors(capture.outputs, path)

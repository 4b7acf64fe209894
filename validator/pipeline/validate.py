"""Judges the captures of a run and writes the report."""

from __future__ import annotations

import sys

from rich.console import Console

from validator.errors import Exit
from validator.pipeline.capture import Run
from validator.pipeline.decode import run_forced
from validator.pipeline.diagnose import diagnose
from validator.pipeline.judge import judge
from validator.pipeline.parity import search_parity
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.twins import run_twins
from validator.report import json as report_json
from validator.report import junit, markdown
from validator.report.terminal import show
from validator.results import Report
from validator.runner.request import write_text
from validator.verdict.gate import EXIT_CODES


def validate(run: Run, *, json: bool = False) -> Exit:
    """Compare every cell of a run with its baseline, write the report in all its forms, and print it.

    Returns:
        The exit code: 0 pass or warn, 1 the gate failed, 3 cannot judge.
    """
    run_forced(run)
    report = judge(run)
    if run_twins(run, report):
        report = judge(run)
    return conclude(run.folder, search_parity(run, diagnose(run, report)), json=json)


def conclude(folder: RunFolder, report: Report, *, json: bool = False) -> Exit:
    """Write a report in all its forms, print it, and say its exit code."""
    write(folder, report)
    if json:
        sys.stdout.write(report_json.dump(report))
    else:
        show(report, Console())
    return EXIT_CODES[report.verdict]


def write(folder: RunFolder, report: Report) -> None:
    """Write the report into the folder of its run; report.json last, so that it stands for the whole."""
    write_text(folder.root / "report.md", markdown.summary(report))
    write_text(folder.root / "junit.xml", junit.dump(report))
    write_text(folder.report(), report_json.dump(report))

"""Judges the captures of a run and writes the report."""

from __future__ import annotations

import sys

from rich.console import Console

from validator.errors import Exit
from validator.pipeline.capture import Run
from validator.pipeline.judge import judge
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
    report = judge(run)
    write(run, report)
    if json:
        sys.stdout.write(report_json.dump(report))
    else:
        show(report, Console())
    return EXIT_CODES[report.verdict]


def write(run: Run, report: Report) -> None:
    """Write the report into the folder of its run; report.json last, so that it stands for the whole."""
    root = run.folder.root
    write_text(root / "report.md", markdown.summary(report))
    write_text(root / "junit.xml", junit.dump(report))
    write_text(run.folder.report(), report_json.dump(report))

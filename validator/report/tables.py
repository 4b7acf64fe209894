"""What the commands `plan` and `compare` print on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from validator.checks.outputs.types import OutputFinding
from validator.matrix import Plan
from validator.report.figures import NONE, number, share
from validator.report.phrases import unmarked
from validator.report.words.outputs import WORDS
from validator.report.words.upgrade import why_it_runs
from validator.upgrade import Upgrade


def print_plan(plan: Plan, upgrade: Upgrade | None, console: Console) -> None:
    """Print the environments and cells of a plan, what is left out, and why a pull request runs them."""
    for reason in upgrade.reasons if upgrade else ():
        sys.stdout.write(f"{unmarked(why_it_runs(reason))}.\n")
    if upgrade and not upgrade.relevant:
        return
    environments = Table("environment", "python", "requirements", title="Environments", title_justify="left")
    for environment in plan.environments:
        compared = any(cell.environment == environment.name for cell in plan.compared)
        role = "" if compared else " (baseline)"
        role += ", the base commit's model files" if environment.base_files else ""
        environments.add_row(environment.name + role, environment.python, ", ".join(environment.requirements))
    cells = Table("cell", "compared with", title="Cells", title_justify="left")
    for cell in plan.cells:
        baseline = plan.baseline_of(cell)
        cells.add_row(cell.id, NONE if cell == baseline else baseline.id)
    console.print(environments, cells, sep="\n")
    if plan.left_out:
        left_out = Table("cell or environment", "reason", title="Left out", title_justify="left")
        for part in plan.left_out:
            left_out.add_row(part.what, part.reason)
        console.print(left_out)


def print_outputs(findings: Sequence[OutputFinding], console: Console) -> None:
    """Print outputs that were compared, one a row."""
    table = Table("output", "verdict", "max abs diff", "max rel diff", "outside tolerance", "result")
    for finding in findings:
        pair = finding.numbers.comparison
        figures = (NONE, NONE, NONE)
        if pair is not None:
            figures = (number(pair.max_abs), number(pair.max_rel), share(pair.mismatched, pair.size))
        table.add_row(finding.output, finding.verdict, *figures, unmarked(WORDS.sentence(finding)))
    console.print(table)

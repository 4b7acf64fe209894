"""`validator.run`: a validator.yml, by the way that the command line goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from validator.errors import ConfigurationError, Exit
from validator.matrix import MatrixSelection
from validator.pipeline.run import Request, produce
from validator.report import notebook
from validator.report.brief import brief
from validator.report.json import worded
from validator.verdict.gate import EXIT_CODES
from validator.verdict.results import CellResult, Report, Verdict

Names = str | Sequence[str]


@dataclass(frozen=True)
class RunResult:
    """What `run` returns.

    Attributes:
        report: report.json, typed.
        folder: the folder of the run, which holds the report in all its forms, captures and logs.
    """

    report: Report
    folder: Path

    @property
    def verdict(self) -> Verdict:
        """`pass`, `warn`, `fail` or `inconclusive`."""
        return self.report.verdict

    @property
    def passed(self) -> bool:
        """Whether the gate passes and something was compared: `pass` or `warn`."""
        return self.exit_code == Exit.OK

    @property
    def exit_code(self) -> Exit:
        """What `keras-validator run` ends with."""
        return EXIT_CODES[self.verdict]

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """Every cell that was compared with its baseline, worst first within each model."""
        return tuple(cell for model in self.report.models for cell in model.cells)

    @property
    def report_html(self) -> Path:
        """The report as a page."""
        return self.folder / "report.html"

    @property
    def report_json(self) -> Path:
        """The report as JSON."""
        return self.folder / "report.json"

    def cell(self, cell: str) -> CellResult:
        """A cell by its id, `model@environment`.

        Raises:
            ConfigurationError: the run has no such cell.
        """
        for each in self.cells:
            if each.cell == cell:
                return each
        known = ", ".join(each.cell for each in self.cells) or "none"
        raise ConfigurationError(f"no cell is called {cell!r}; the run has {known}")

    def __str__(self) -> str:
        """The verdict, its reasons and where the report lies, in a few lines."""
        return f"{brief(self.report)}\nFull report: {self.report_html}"

    def _repr_html_(self) -> str:
        """The same with a row for each cell, for a notebook."""
        return notebook.run(self.report, str(self.report_html))


def run(  # noqa: PLR0913 - the public call, all but one by name
    config: str | Path = "validator.yml",
    *,
    models: Names = (),
    baseline: str = "",
    against: Names = (),
    only: Names = (),
    base: str | None = None,
    head: str | None = None,
    output: str | Path | None = None,
    jobs: int | None = None,
    progress: bool = True,
    origin: bool = True,
) -> RunResult:
    """Run the models of a validator.yml in their environments, compare, and write the report.

    A gate that fails is a result, not an exception. One run at a time writes into a folder.

    Args:
        config: the validator.yml.
        models: the models to run; all if empty.
        baseline: what to compare with, instead of the configured baseline: an environment of the matrix, a
            version of Keras, `legacy`, or `current`, the Python of this process.
        against: what to compare with it, in the same words; every other environment if empty.
        only: ids of cells, as `keras-validator plan` prints them.
        base, head: revisions of git whose requirements become the environments `base` and `head`.
        output: the folder of the run. Default: `.keras-validator/run` beside the configuration, or
            `.keras-validator/only` for a part of it.
        jobs: how many environments compute at a time. Default: one a core.
        progress: whether stderr shows what goes on.
        origin: whether a change is traced to a release and its lines, within `origin.seconds` of the
            settings.

    Raises:
        ConfigurationError: the configuration, a file that it names, or an argument cannot be used.
        CannotJudgeError: a requirement of the judgement itself is missing.
    """
    if jobs is not None and jobs < 1:
        raise ConfigurationError(f"jobs must be a positive number, not {jobs}")
    selection = MatrixSelection(_names(models), baseline, _names(against))
    folder = None if output is None else Path(output)
    request = Request(
        Path(config),
        _names(only),
        folder,
        jobs=jobs,
        base=base,
        head=head,
        selection=selection,
        quiet=not progress,
        origin=origin,
    )
    return RunResult(worded(produce(request)), request.folder.root)


def _names(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)

"""A report → its line in the history."""

from __future__ import annotations

from validator.base import finite
from validator.checks.accuracy.types import AccuracyComparison
from validator.checks.outputs.types import OutputsComparison
from validator.history.types import HistoryCell, HistoryRun, MetricPair
from validator.verdict.results import CellResult, EnvironmentResult, Report

_PACKAGES = (
    *("keras", "keras-nightly", "tf-keras", "tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu"),
    *("jax", "torch", "numpy"),
)


def entry_of(report: Report, commit: str | None = None) -> HistoryRun | None:
    """The line of a run; None where nothing was judged. `commit`: where the report names none."""
    if not report.models:
        return None
    environments = {each.name: each for each in report.environments}
    baseline = environments.get(report.baseline)
    return HistoryRun(
        time=report.started,
        commit=report.commit or commit,
        verdict=report.verdict,
        configuration=report.configuration,
        asked=report.upgrade.asked if report.upgrade else (),
        tool=report.tool,
        cells=tuple(
            _cell(model.name, cell, environments.get(cell.environment), baseline)
            for model in report.models
            for cell in model.cells
            if cell.effect in (None, "packages")
        ),
    )


def _cell(
    model: str, cell: CellResult, own: EnvironmentResult | None, baseline: EnvironmentResult | None
) -> HistoryCell:
    outputs = cell.comparison(OutputsComparison)
    packages = {name: own.packages[name] for name in _PACKAGES if name in own.packages} if own else {}
    return HistoryCell(
        model=model,
        environment=cell.environment,
        variant=cell.variant,
        verdict=cell.verdict,
        keras=own.keras if own else "",
        baseline=baseline.keras if baseline else "",
        backend=own.backend if own else "",
        packages={**packages, **({"python": own.python} if own and own.python else {})},
        max_abs=finite(outputs.max_abs) if outputs else None,
        noise=finite(outputs.noise_ratio) if outputs else None,
        metrics=_metrics(cell),
        seconds=finite(cell.seconds),
    )


def _metrics(cell: CellResult) -> dict[str, MetricPair]:
    """The task metrics; with the output's name where several have the same."""
    accuracy = cell.comparison(AccuracyComparison)
    scored = accuracy.metrics if accuracy else ()
    several = len({each.output for each in scored}) > 1
    return {
        f"{each.output} {each.metric}" if several else each.metric: MetricPair(
            baseline=finite(each.baseline), candidate=finite(each.candidate)
        )
        for each in scored
    }

"""What to do about a cell, where no check has something better to propose."""

from __future__ import annotations

from validator.checks.bands import CellVerdict
from validator.checks.loading.types import BaselineFailed
from validator.failure import Failure
from validator.report.content import Row
from validator.report.phrases import Words, listed, name, strong, words
from validator.report.words.failures import known
from validator.verdict.bands import GREEN

_ADVICE: dict[CellVerdict, str] = {
    "failed": "fix what the error names, then run the check again. “Reproduce” has what ran",
    "not-compared": "remove what prevents the comparison. Until then, the effect of the upgrade is unknown",
    "metric-only": "the predictions need nothing. Update thresholds that compare the reported metric",
}


def advice(worst: Row) -> Words:
    """What to do where no check has something better to propose."""
    if worst.cell.accepted is not None:
        return words("nothing as long as it is accepted")
    remedy, verdict = _remedy(worst), worst.cell.verdict
    if remedy is not None:
        return remedy
    if verdict in GREEN:
        checks = listed([strong(each) for each in worst.asides or worst.cell.gated])
        return words("predictions need nothing. Look into ", checks)
    return _intended(worst) if worst.cell.effect == "model" else _by_metrics(worst)


def without_artifact(row: Row) -> Words:
    """What to do where a side does not load the saved model."""
    what = words("remove ", name("artifact"), " from ", name(row.model), " in ", name("validator.yml"))
    return words(what, ". Both sides then use the builder and the weights")


def _intended(worst: Row) -> Words:
    """A model that the pull request changes may be meant to predict something else."""
    worse = next((metric.metric for metric in worst.metrics if metric.worse), "")
    falls = f". Its {worse} gets worse" if worse else ""
    return words(f"merge if the pull request is meant to change these predictions{falls}")


def _by_metrics(worst: Row) -> Words:
    if not worst.metrics:
        where = words(" to ", name(worst.model), " in ", name("validator.yml"))
        return words("add labels and a metric", where, ". They show whether the difference matters")
    if any(metric.worse for metric in worst.metrics):
        return words("do not merge before the cause is known. No verified setting restores parity")
    if any(metric.decision != "not-worse" for metric in worst.metrics):
        return words("record more labelled samples. These are too few to show whether it matters")
    return words("merge if exact predictions do not matter to you. No metric gets worse")


def _remedy(worst: Row) -> Words | None:
    """What mends a cell, where that is known."""
    findings = worst.cell.findings
    if worst.lacks_artifact:
        return without_artifact(worst)
    failures = [worst.failure, *(getattr(finding, "failure", None) for finding in findings)]
    hints = [known(failure) for failure in failures if isinstance(failure, Failure) and known(failure)]
    if any(isinstance(finding, BaselineFailed) for finding in findings):
        first = f"make the baseline run first: {hints[0]}" if hints else "make the baseline run first"
        return words(f"{first}. Without it, no difference can be measured")
    if hints or worst.cell.verdict in _ADVICE:
        return words(hints[0] if hints else _ADVICE[worst.cell.verdict])
    return None

"""What is said about one cell: its verdict, and what stands behind it."""

from __future__ import annotations

from validator.checks.bands import CellVerdict
from validator.report.content import Row
from validator.report.phrases import Words, strong, words
from validator.report.words.failures import failed
from validator.verdict.acceptances import Accepted
from validator.verdict.bands import Aside

VERDICTS: dict[CellVerdict, str] = {
    "identical": "identical",
    "rounding": "rounding",
    "suspicious": "suspicious",
    "changed": "changed",
    "metric-only": "metric only",
    "failed": "failed",
    "not-compared": "not compared",
}


_CHECKS: dict[Aside, str] = {"decode": "decoding", "training": "training"}
_ASIDES: dict[CellVerdict, str] = {
    "suspicious": "drifts beyond noise",
    "changed": "changes",
    "metric-only": "reports another metric",
    "failed": "fails",
    "not-compared": "was not compared",
}


def result(row: Row) -> Words:
    """The verdict, and behind it the finding that explains it best; a failure by its stage."""
    asides = [piece for each in row.asides.items() for piece in ("; ", strong(aside(*each)))]
    return words(_verdict(row), *asides, _rules(row), _accepted(row))


def _accepted(row: Row) -> Words:
    return words("; ", accepted(row.cell.accepted)) if row.cell.accepted is not None else ()


def accepted(each: Accepted) -> Words:
    """`accepted until 2027-02-28 by Ada: the new kernel rounds otherwise`."""
    until = f" until {each.until.isoformat()}" if each.until else ""
    return words(strong(f"accepted{until}"), f" by {each.by}: {each.reason}")


def aside(check: Aside, verdict: CellVerdict) -> str:
    """What decoding or training does that is not green: `training changes`."""
    return f"{_CHECKS[check]} {_ASIDES[verdict]}"


def _verdict(row: Row) -> Words:
    verdict = row.cell.verdict
    word = strong(VERDICTS[verdict])
    if row.baseline_failure is not None:  # named first where the candidate fails too: it decides nothing
        return words(word, ": the baseline ", failed(row.baseline_failure))
    if row.failure is not None and verdict == "failed":
        return failed(row.failure)
    if verdict == "identical" and not row.cell.gated:
        return words("identical")
    return words(word, ": ", row.lead) if row.lead else words(word)


def _rules(row: Row) -> Words:
    """All rules of the gate that it breaks, unless the words before name each."""
    named = {row.cell.verdict, *row.asides, *row.asides.values()}
    rules = row.cell.gated if set(row.cell.gated) - named else ()
    return words("; fails the gate: ", strong(", ".join(rules))) if rules else ()

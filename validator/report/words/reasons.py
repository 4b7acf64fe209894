"""Why a run has its verdict: one sentence for each of its reasons."""

from __future__ import annotations

from validator.report.content import Content, Row, unique
from validator.report.figures import number, ratio
from validator.report.phrases import Words, joined, listed, name, words
from validator.report.words.cell import result
from validator.report.words.models import changed_model
from validator.report.words.upgrade import why_it_runs, why_undecided
from validator.upgrade.types import ModelReason
from validator.verdict.bands import GREEN
from validator.verdict.results import Reason

_MOST = 3  # of anything that is listed


def reason(why: Reason, content: Content) -> Words:
    """One reason for the verdict of a run."""
    match why.kind:
        case "cell":
            return _of_cell(why, content)
        case "nothing-compared":
            text = words("no cell was compared with the baseline")
        case "irrelevant":
            unmoved = content.report.upgrade.reasons[:1] if content.report.upgrade else ()
            nothing = words("nothing in this upgrade can change a model's numbers")
            text = why_it_runs(unmoved[0]) if unmoved and unmoved[0].kind == "unmoved" else nothing
        case "undecided":
            undecided = content.report.upgrade.undecided if content.report.upgrade else ()
            text = joined([why_undecided(each) for each in undecided[:_MOST]], "; ")
        case "model-added":
            text = changed_model(ModelReason(model=why.model, state="added"))
        case "model-removed":
            text = changed_model(ModelReason(model=why.model, state="removed"))
        case "step-files":
            files = listed([name(file) for file in why.files])
            text = words("something in this run wrote to ", files, " of the job; that was undone")
        case "shard-missing":
            text = words(
                "shard ", name(why.shard), " left no result, so its cells are not compared; run its job again"
            )
        case "error":
            text = words(why.error)
    return text


def _of_cell(why: Reason, content: Content) -> Words:
    row = next((row for row in content.rows if row.cell.cell == why.cell), None)
    if row is None:
        return words(name(why.cell))
    # What warns about a cell that holds is none of its verdict.
    asides = [each.words for each in row.placed("why", "note") if each.finding.verdict not in GREEN]
    doubts = joined(unique(asides)[:_MOST], "; ") if row.cell.verdict in GREEN else ()
    return words(name(why.cell), ": ", doubts or result(row))


def figures_of(row: Row) -> str:
    """How far the predictions of a cell are apart: `max abs diff 19, drift ÷ noise 133×`."""
    parts = []
    if row.max_abs:
        parts.append(f"max abs diff {number(row.max_abs)}")
    if row.noise_ratio:
        parts.append(f"drift ÷ noise {ratio(row.noise_ratio)}")
    return ", ".join(parts)

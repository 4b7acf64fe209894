"""One cell against its baseline: every check in turn, and the verdict that their findings amount to."""

from __future__ import annotations

from dataclasses import dataclass

from validator.catalogue.matching import ObservedOrigin
from validator.checks.bands import CellVerdict
from validator.checks.known import named_again
from validator.checks.known import of_failure as known_failure
from validator.checks.known.types import KnownComparison
from validator.checks.loading.types import BaselineFailed, CellFailed
from validator.checks.outputs.types import OutputsComparison
from validator.checks.protocol import (
    Earlier,
    Evidence,
    Examined,
    Finding,
    FollowUp,
    FollowUpRound,
    Subject,
)
from validator.checks.registry import CHECKS
from validator.errors import ConfigurationError
from validator.failure import UNJUDGED, Failure
from validator.verdict.bands import BANDS, DECIDING
from validator.verdict.results import CellResult, Comparisons


@dataclass(frozen=True)
class Judgement:
    """A judged cell: its result, and what checks made of it, up to one that is not measured yet."""

    subject: Subject
    result: CellResult
    earlier: Earlier

    def follow_ups(self, follows: FollowUpRound) -> dict[str, FollowUp]:
        """Check → what it wants a round to record."""
        asked = {
            check.name: check.more(self.subject, examined, self.earlier)
            for check in CHECKS
            for examined in self.earlier.examined
            if examined.check == check.name and check.follows == follows
        }
        return {name: follow for name, follow in asked.items() if follow is not None}


def judge_cell(
    subject: Subject, baseline: Evidence | Failure, candidate: Evidence | Failure, label: CellResult
) -> Judgement:
    """Judge one cell. Nothing that was not compared is ever green.

    Args:
        subject: the cell, and what was decided about it before anything ran.
        baseline: what was captured of its baseline, or why there is nothing.
        candidate: what was captured of the cell itself.
        label: the result with ids, seconds and the command that reproduces it filled in.
    """
    earlier = Earlier()
    baseline = _readable(baseline)
    if isinstance(candidate, Failure):
        unjudged = candidate.stage in UNJUDGED
        failed = CellFailed(failure=candidate, verdict="not-compared" if unjudged else "failed")
        earlier = _with(earlier, _failed(failed))
        known = None if unjudged else known_failure(subject, baseline, failed, BANDS)
        earlier = earlier if known is None else _with(earlier, known)
        label = label.model_copy(update={"failure": candidate})
    if isinstance(baseline, Failure):
        earlier = _with(earlier, _failed(BaselineFailed(failure=baseline, verdict="not-compared")))
    if isinstance(candidate, Evidence) and isinstance(baseline, Evidence):
        earlier = _examined(subject, baseline, candidate)
    findings = tuple(finding for examined in earlier.examined for finding in examined.findings)
    comparisons = {examined.check: examined.comparison for examined in earlier.examined}
    result = label.model_copy(
        update={
            "verdict": verdict_of(findings),
            "checks": Comparisons.model_construct(None, **comparisons),
            "findings": findings,
        }
    )
    return Judgement(subject, result, earlier)


def with_origin(result: CellResult, origin: ObservedOrigin) -> CellResult:
    """A judged cell once its origin is known: known changes are named again, the verdict stands."""
    compared = result.comparison(KnownComparison)
    if compared is None:
        return result
    again = named_again(compared, origin, BANDS)
    others = tuple(finding for finding in result.findings if finding.check != again.check)
    checks = result.checks.model_copy(update={again.check: again.comparison})
    return result.model_copy(update={"checks": checks, "findings": (*others, *again.findings)})


def verdict_of(findings: tuple[Finding, ...]) -> CellVerdict:
    """The worst verdict of the findings that decide about predictions; not-compared where none does."""
    verdicts = [finding.verdict for finding in findings if finding.check in DECIDING and finding.verdict]
    return BANDS.worst(verdicts) if verdicts else "not-compared"


def _readable(baseline: Evidence | Failure) -> Evidence | Failure:
    """The baseline, or its failure: outputs of its own that cannot be read are not the upgrade's doing."""
    if isinstance(baseline, Failure):
        return baseline
    try:
        baseline.capture.outputs  # noqa: B018  # opened once, and kept
    except ConfigurationError as error:
        return _unreadable(error)
    return baseline


def _unreadable(error: ConfigurationError) -> Failure:
    return Failure(stage="crash", error="capture", message=str(error))


def _examined(subject: Subject, baseline: Evidence, candidate: Evidence) -> Earlier:
    """Ask every check, until one finds that the two sides must not be compared."""
    earlier = Earlier()
    for check in CHECKS:
        try:
            examined = check.examine(subject, baseline, candidate, BANDS, earlier)
        except ConfigurationError as error:  # a file of a capture is gone, or is not what the response says
            return _with(earlier, _failed(CellFailed(failure=_unreadable(error), verdict="failed")))
        earlier = _with(earlier, examined)
        if isinstance(examined.comparison, OutputsComparison) and examined.comparison.obstacles:
            break  # what follows would compare two different questions
        if check.follows == "measure" and check.more(subject, examined, earlier) is not None:
            break  # the others take up the verdict once it is measured
    return earlier


def _failed(finding: Finding) -> Examined:
    """A side without a capture, as the check `loading` has it."""
    return Examined("loading", None, (finding,))


def _with(earlier: Earlier, examined: Examined) -> Earlier:
    return Earlier((*earlier.examined, examined))

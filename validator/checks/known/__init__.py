"""The check `known`: is what was found a known change of Keras, and which others could concern the model?

In come the findings of every other check, the layers of the baseline's model and the releases of both sides,
out go changes of the catalogue. It records nothing, and decides no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

from validator.catalogue.adequacy import Adequacy, of_recording
from validator.catalogue.entries import CatalogueEntry
from validator.catalogue.entries import change as entry_of
from validator.catalogue.matching import Match, Observation, matches
from validator.catalogue.reach import ReleasePair, known_changes, release_of
from validator.checks.bands import Bands
from validator.checks.known.gathering import Sides, described, observation
from validator.checks.known.types import (
    Exposure,
    KnownChange,
    KnownChangeFinding,
    KnownComparison,
    KnownExposure,
    KnownWorkaround,
)
from validator.checks.loading.types import CellFailed
from validator.checks.protocol import Check, Earlier, Evidence, Examined, Finding, Subject
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.runner.captures import EnvironmentFacts, worker_facts
from validator.storage import recording

__all__ = ["CHECK", "Known"]

_NAMED = 2  # matches that are reported; what is less sure is in the comparison


class Known(Check[EnvironmentFacts | None, KnownComparison]):
    """Is it a known change?"""

    name = "known"
    comparison = KnownComparison
    findings = (KnownChangeFinding, KnownWorkaround, KnownExposure)

    def read(self, evidence: Evidence) -> EnvironmentFacts | None:
        """What the worker said about its environment."""
        return worker_facts(evidence.capture.folder)

    def compare(
        self,
        subject: Subject,
        baseline: EnvironmentFacts | None,
        candidate: EnvironmentFacts | None,
        earlier: Earlier,
    ) -> KnownComparison | None:
        """Matches and exposure; None where a release is not known, or both sides have the same."""
        pair = _pair(baseline, candidate)
        if pair is None:
            return None
        model = described(subject, earlier)
        cell = observation(subject, Sides(pair, model), earlier)
        named = matches(cell)
        exposure = exposure_of(subject, cell, named, [each.change for each in known_changes(model, pair)])
        return KnownComparison(
            matches=tuple(map(_known, named)), exposure=exposure if exposure.every else None
        )

    def find(self, comparison: KnownComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """The best matches, what to do about each, and how many changes could concern the model."""
        findings: list[Finding] = []
        for known in _best(comparison.matches):
            findings += [KnownChangeFinding(known=known), *_workaround(known)]
        if comparison.exposure is not None:
            findings.append(KnownExposure(exposure=comparison.exposure))
        return tuple(findings)

    def of_failure(
        self, subject: Subject, baseline: Evidence, failure: CellFailed, bands: Bands
    ) -> Examined | None:
        """The same for a candidate without a capture: whether its failure is a known change."""
        old = worker_facts(baseline.capture.folder)
        new = worker_facts(baseline.capture.folder, environment=subject.cell.environment)
        earlier = Earlier((Examined("loading", None, (failure,)),))
        compared = self.compare(subject, old, new, earlier)
        if compared is None or not compared.matches:
            return None
        return Examined(self.name, compared, self.find(compared, bands, earlier))


def exposure_of(
    subject: Subject, cell: Observation, named: Sequence[Match], reaching: Sequence[CatalogueEntry]
) -> Exposure:
    """Which of the changes that can reach the model were seen, which not, and which could not be."""
    inputs = _inputs(subject)
    best = {match.change.id for match in named if match.sure != "possible"}
    seen = tuple(match.change.id for match in named if match.change.id in best or not best)
    others = [change for change in reaching if change.id not in seen]
    exercised = {
        change.id
        for change in others
        if (inputs.shows(change) if inputs else not change.inputs) and _checked(subject, change)
    }
    unclear = {change.id for change in others if change.id in exercised and set(change.shows) & cell.shows}
    return Exposure(
        baseline=cell.pair.baseline,
        candidate=cell.pair.candidate,
        seen=seen,
        without_effect=tuple(change.id for change in others if change.id in exercised - unclear),
        unclear=tuple(change.id for change in others if change.id in unclear),
        not_exercised=tuple(change.id for change in others if change.id not in exercised),
    )


def _checked(subject: Subject, change: CatalogueEntry) -> bool:
    """Whether this run would have shown a change: in predictions, reported metrics, or training."""
    if {"predictions", "structure", "rounding", "failure"} & set(change.shows):
        return True
    if "metric" in change.shows and subject.labels is not None:
        return True
    return "training" in change.shows and subject.model.training is not None


def _best(known: tuple[KnownChange, ...]) -> tuple[KnownChange, ...]:
    """The first where nothing fits as well, else the first two."""
    if known and known[0].sure != "possible":
        return known[:1]
    return known[:_NAMED]


def _known(match: Match) -> KnownChange:
    change = match.change
    return KnownChange(
        change=change.id,
        title=change.title,
        since=change.since,
        fixed=change.fixed,
        link=change.link,
        sure=match.sure,
        why=match.why,
        layers=match.layers,
    )


def _workaround(known: KnownChange) -> tuple[Finding, ...]:
    entry = entry_of(known.change)
    if entry is None:
        return ()
    return (KnownWorkaround(change=entry.id, text=entry.workaround.text, code=entry.workaround.code),)


def _pair(baseline: EnvironmentFacts | None, candidate: EnvironmentFacts | None) -> ReleasePair | None:
    if baseline is None or candidate is None or baseline.keras is None or candidate.keras is None:
        return None
    old, new = (
        release_of(side.keras.module, side.keras.version) for side in (baseline, candidate) if side.keras
    )
    if old == new or baseline.backend != candidate.backend:
        return None
    return ReleasePair(old, new, candidate.backend or "tensorflow")


def _inputs(subject: Subject) -> Adequacy | None:
    """What the recorded inputs hold; None where they cannot be looked at."""
    if subject.inputs is None:
        return None
    try:
        return of_recording(recording.load(subject.inputs).open(), subject.model.batch_size)
    except (ConfigurationError, OSError, ValueError):
        return None


CHECK = Known()


def of_failure(
    subject: Subject, baseline: Evidence | Failure, failure: CellFailed, bands: Bands
) -> Examined | None:
    """What the check makes of a cell that failed; None where it has nothing to say."""
    return CHECK.of_failure(subject, baseline, failure, bands) if isinstance(baseline, Evidence) else None

"""The check `known`: is what was found a known change of Keras, and which others could concern the model?

In come the findings of every other check, the layers of the baseline's model and the releases of both sides,
out go changes of the catalogue. It records nothing, and decides no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from validator.catalogue.adequacy import Adequacy, of_recording
from validator.catalogue.entries import LEGACY, CatalogueEntry, number
from validator.catalogue.entries import change as entry_of
from validator.catalogue.matching import Match, Observation, ObservedOrigin, Why, matches, traced
from validator.catalogue.reach import ReleasePair, known_changes, release_of
from validator.checks import structure
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
from validator.storage.tensors import StoredTensor

__all__ = ["CHECK", "Known", "named_again", "of_failure"]

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
        """Matches and exposure; None where a release is not known, or the model itself is another."""
        pair = _pair(baseline, candidate) if subject.is_about_packages else None
        return None if pair is None else self._compared(subject, pair, earlier)

    def _compared(self, subject: Subject, pair: ReleasePair, earlier: Earlier) -> KnownComparison:
        model = described(subject, earlier)
        cell = observation(subject, Sides(pair, model), earlier, _recorded(subject))
        named = matches(cell)
        exposure = exposure_of(subject, cell, named, [each.change for each in known_changes(model, pair)])
        return KnownComparison(
            matches=tuple(_known(match, ended=_ends(match.change, pair)) for match in named),
            exposure=exposure if exposure.every else None,
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
        self, subject: Subject, baseline: Evidence | Failure, failure: CellFailed, bands: Bands
    ) -> Examined | None:
        """The same for a candidate without a capture: whether its failure is a known change."""
        pair = _planned(subject)
        if isinstance(baseline, Evidence):
            old = worker_facts(baseline.capture.folder)
            new = worker_facts(baseline.capture.folder, environment=subject.cell.environment)
            pair = _pair(old, new)
        earlier = Earlier((Examined("loading", None, (failure,)), *_structure(subject, baseline)))
        compared = None if pair is None else self._compared(subject, pair, earlier)
        if compared is None or not compared.matches:
            return None
        return Examined(self.name, compared, self.find(compared, bands, earlier))


def exposure_of(
    subject: Subject, cell: Observation, named: Sequence[Match], reaching: Sequence[CatalogueEntry]
) -> Exposure:
    """Which of the changes that can reach the model were seen, which not, and which could not be.

    Of a candidate that failed, nothing but its failure was seen.
    """
    inputs = cell.inputs
    best = {match.change.id for match in named if match.sure != "possible"}
    seen = tuple(match.change.id for match in named if match.change.id in best or not best)
    others = [change for change in reaching if change.id not in seen]
    exercised = {
        change.id
        for change in others
        if not cell.failed
        and (inputs.shows(change) if inputs else not change.inputs)
        and _checked(subject, change)
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


def _ends(change: CatalogueEntry, pair: ReleasePair) -> bool:
    """Whether the baseline has a change that the candidate left behind."""
    return change.fixed is not None and number(pair.baseline) < number(change.fixed) <= number(pair.candidate)


def _known(match: Match, *, ended: bool) -> KnownChange:
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
        ended=ended,
    )


def _workaround(known: KnownChange) -> tuple[Finding, ...]:
    entry = entry_of(known.change)
    if entry is None:
        return ()
    remedy = entry.workaround
    return (KnownWorkaround(change=entry.id, text=remedy.text, code=remedy.code, ended=known.ended),)


def _pair(baseline: EnvironmentFacts | None, candidate: EnvironmentFacts | None) -> ReleasePair | None:
    if baseline is None or candidate is None or baseline.keras is None or candidate.keras is None:
        return None
    old, new = (
        release_of(side.keras.module, side.keras.version) for side in (baseline, candidate) if side.keras
    )
    if old == new or baseline.backend != candidate.backend:
        return None
    return ReleasePair(old, new, candidate.backend or "tensorflow")


def _structure(subject: Subject, baseline: Evidence | Failure) -> tuple[Examined, ...]:
    """The layers of the baseline, which is all that there is of the model."""
    if isinstance(baseline, Failure):
        return ()
    alone = structure.CHECK.read(baseline)
    return (Examined("structure", structure.CHECK.compare(subject, alone, alone, Earlier())),)


def _planned(subject: Subject) -> ReleasePair | None:
    """The releases that both environments ask for, where neither says what runs in it."""
    sides = [subject.plan.environment(cell.environment) for cell in (subject.baseline, subject.cell)]
    old, new = (LEGACY if side.legacy else str(side.keras or "") for side in sides)
    if old == new or not (old and new) or sides[0].backend != sides[1].backend:
        return None
    return ReleasePair(old, new, sides[1].backend)


def _recorded(subject: Subject) -> Adequacy:
    """What the recorded inputs and labels hold and lack; neither, of what a function makes in the worker."""
    held = Adequacy(frozenset(), frozenset())
    inputs, labels = _opened(subject.inputs), _opened(subject.labels)
    if inputs is not None:
        held = of_recording(inputs, subject.model.batch_size)
    return held if labels is None else held.with_labels(labels)


def _opened(place: Path | None) -> Sequence[StoredTensor] | None:
    if place is None:
        return None
    try:
        return recording.load(place).open()
    except (ConfigurationError, OSError, ValueError):
        return None


def named_again(compared: KnownComparison, origin: ObservedOrigin, bands: Bands) -> Examined:
    """The same once the search for the cell's origin has ended: what it rules out is no longer named.

    A change that was seen and is ruled out may have taken part: it shows in what differs in the cell.
    """
    explaining = [_match_of(known) for known in compared.matches]
    left = traced([match for match in explaining if match is not None], origin)
    exposure = compared.exposure
    if exposure is not None:
        seen = tuple(match.change.id for match in left)
        others = {name for name in (*exposure.seen, *exposure.unclear) if name not in seen}
        exposure = exposure.model_copy(
            update={"seen": seen, "unclear": tuple(name for name in exposure.every if name in others)}
        )
    ended = {known.change: known.ended for known in compared.matches}
    named = tuple(_known(match, ended=ended[match.change.id]) for match in left)
    again = KnownComparison(matches=named, exposure=exposure)
    return Examined(CHECK.name, again, CHECK.find(again, bands, Earlier()))


def _match_of(known: KnownChange) -> Match | None:
    entry = entry_of(known.change)
    return None if entry is None else Match(entry, known.sure, cast(tuple[Why, ...], known.why), known.layers)


CHECK = Known()


def of_failure(
    subject: Subject, baseline: Evidence | Failure, failure: CellFailed, bands: Bands
) -> Examined | None:
    """What the check makes of a cell that failed; None where it has nothing to say."""
    return CHECK.of_failure(subject, baseline, failure, bands)

"""Which known change explains what was found in a cell: by behaviour, never by the fingerprint alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from validator.catalogue.adequacy import Adequacy
from validator.catalogue.description import DescribedLayer, Description
from validator.catalogue.entries import CatalogueEntry, InputNeed, Shows, changes, number
from validator.catalogue.reach import ReleasePair, code_fits, fits, layer_fits, reach

#: `traced`: a search for the origin ended at the same release, and at none of another place. `likely`:
#: nothing else fits as well. `possible`: others fit as well.
Sure = Literal["traced", "likely", "possible"]
#: Why a change is named: what it has in common with the cell.
Why = Literal[
    "layer", "setting", "mask", "dtype", "structure", "weights", "value", "metric", "training", "error",
    "fed", "inputs", "release", "lines",
]  # fmt: skip
#: What only the recorded data can have; the others can arise between the layers of a model.
_OF_DATA: frozenset[InputNeed] = frozenset(
    {"smaller-batch", "flat-labels", "empty-text", "large-id", "wide-id"}
)


@dataclass(frozen=True)
class ObservedDifference:
    """Where a cell first differs.

    Attributes:
        layer: its name and class, its settings, and whether its code is the user's own.
        aspect: `value`, `dtype`, `mask`, `structure` or `weights`.
        kind: of a structural difference; empty for a value.
        changed: settings of the layer that are others in the candidate → their value there.
    """

    layer: DescribedLayer
    aspect: str
    kind: str = ""
    changed: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class ObservedOrigin:
    """What a search for the origin came to.

    Attributes:
        before, after: releases of Keras between which the behaviour changes; empty where Keras is innocent.
        places: files and functions to blame, `path:name` each; empty where they were not found.
    """

    before: str
    after: str
    places: tuple[str, ...] = ()

    def fits(self, since: str, fixed: str | None, lines: Sequence[str]) -> bool:
        """Whether a change that begins, or ends, at these releases can be what was found."""
        return self._at_release(since, fixed) and not (self.places and lines and not self.at(lines))

    def at(self, lines: Sequence[str]) -> bool:
        """Whether one of the places is in one of some files or folders of Keras."""
        return any(f"/{part}" in f"/{place}" for part in lines for place in self.places)

    def _at_release(self, since: str, fixed: str | None) -> bool:
        if not self.after:
            return False
        early, late = number(self.before), number(self.after)
        return any(early < number(release) <= late for release in (since, fixed) if release)


@dataclass(frozen=True)
class Observation:
    """What a cell found, as far as a known change could explain it.

    Attributes:
        shows: how the cell differs.
        differences: where predictions begin to differ; the first one first.
        training: kinds of findings about training, with the layer's name where one is blamed.
        reported: names of metrics that the framework reports otherwise.
        errors: of a cell that fails, `Class: message`.
        evidence: kinds of further findings.
        compiled: the model is compiled, although it may not be known how.
        failed: the candidate did not come to its predictions.
        inputs: what the recorded inputs and labels hold; None where they were not looked at.
    """

    pair: ReleasePair
    shows: frozenset[Shows]
    model: Description
    differences: tuple[ObservedDifference, ...] = ()
    training: tuple[tuple[str, str], ...] = ()
    reported: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    evidence: frozenset[str] = frozenset()
    compiled: bool = False
    failed: bool = False
    inputs: Adequacy | None = None
    origin: ObservedOrigin | None = None


@dataclass(frozen=True)
class Match:
    """A change that explains a cell, how sure that is, and why."""

    change: CatalogueEntry
    sure: Sure
    why: tuple[Why, ...]
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    change: CatalogueEntry
    why: tuple[Why, ...]
    layers: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, int, int]:
        """The more specific comes first."""
        print_ = self.change.fingerprint
        narrow = (
            len(print_.where)
            + len(print_.features)
            + len(print_.any_setting)
            + len(print_.optimizer)
            + bool(print_.losses)
            + bool(print_.metrics)
        )
        return (-len(self.why), -narrow, int(self.change.id[1:]))


def matches(observed: Observation, known: Sequence[CatalogueEntry] | None = None) -> tuple[Match, ...]:
    """The changes that explain a cell, the best first."""
    candidates = []
    for change in changes() if known is None else known:
        if observed.pair.concerns(change) and _held(change, observed.inputs):
            candidate = _candidate(change, observed)
            if candidate is not None:
                candidates.append(candidate)
    candidates.sort(key=lambda candidate: candidate.rank)
    explaining = tuple(_match(candidate, candidates) for candidate in candidates)
    return explaining if observed.origin is None else traced(explaining, observed.origin)


def _match(candidate: _Candidate, every: Sequence[_Candidate]) -> Match:
    best = candidate is every[0] and (len(every) == 1 or every[1].rank[:2] > candidate.rank[:2])
    return Match(candidate.change, "likely" if best else "possible", candidate.why, candidate.layers)


def traced(explaining: Sequence[Match], origin: ObservedOrigin) -> tuple[Match, ...]:
    """What is left of the changes that explain a cell, once the search for its origin has ended.

    A change of another release, or of other files of Keras, is not the cause, however well it fits. Of
    several that are left, only one whose lines were found is sure.
    """
    fitting = [
        match
        for match in explaining
        if origin.fits(match.change.since, match.change.fixed, match.change.lines)
    ]
    certain = [match for match in fitting if origin.at(match.change.lines)] or fitting
    agreeing = [
        replace(match, sure="traced" if certain == [match] else match.sure, why=_agreed(match, origin))
        for match in fitting
    ]
    return tuple(sorted(agreeing, key=lambda match: -len(match.why)))


def _agreed(match: Match, origin: ObservedOrigin) -> tuple[Why, ...]:
    at: tuple[Why, ...] = ("lines",) if origin.at(match.change.lines) else ()
    return (*match.why, "release", *at)


def _held(change: CatalogueEntry, inputs: Adequacy | None) -> bool:
    """Whether the recorded data hold what only they could; open where nobody looked."""
    return inputs is None or not set(change.inputs) & _OF_DATA & inputs.lacks


def _candidate(change: CatalogueEntry, observed: Observation) -> _Candidate | None:
    """A change with what it has in common with the cell; None where the cell does not behave so."""
    if not set(change.evidence) <= observed.evidence:
        return None
    reached = reach(change, observed.model, compiled=observed.compiled, sure=True)
    if reached is None:
        return None
    fed: tuple[Why, ...] = ("fed",) if {"inputs-fed", "labels-fed"} & set(change.evidence) else ()
    if change.inputs and observed.inputs is not None and observed.inputs.shows(change):
        fed = (*fed, "inputs")
    for way in (_by_difference, _by_metric, _by_training, _by_error):
        seen = way(change, observed)
        if seen is not None:
            return _Candidate(change, (*seen[0], *fed), seen[1] or reached.layers)
    if "fed" in fed and "predictions" in observed.shows and "predictions" in change.shows:
        return _Candidate(change, fed, reached.layers)
    return None


_Seen = tuple[tuple[Why, ...], tuple[str, ...]]


def _by_difference(change: CatalogueEntry, observed: Observation) -> _Seen | None:
    """The first difference is at a layer that the change reaches, and of its kind."""
    if not (
        {"predictions", "structure"} & set(change.shows) and {"predictions", "structure"} & observed.shows
    ):
        return None
    fitting = [each for each in observed.differences if _difference_fits(change, each, observed.model)]
    if not fitting:
        return None
    aspects = tuple(dict.fromkeys(each.aspect for each in fitting))
    setting: tuple[Why, ...] = (
        ("setting",) if change.fingerprint.where or change.fingerprint.any_setting else ()
    )
    why: tuple[Why, ...] = ("layer", *setting, *aspects)  # type: ignore[arg-type]
    return why, tuple(dict.fromkeys(each.layer.name for each in fitting))


def _difference_fits(change: CatalogueEntry, difference: ObservedDifference, model: Description) -> bool:
    print_ = change.fingerprint
    if not _kind_fits(change, difference):
        return False
    if print_.any_setting:
        return reach(change, Description((difference.layer,))) is not None
    if print_.layers or print_.any_layer or print_.custom:
        return layer_fits(change, difference.layer)
    if print_.code:
        return code_fits(change, difference.layer, model)
    return bool(change.differences) and difference.kind in change.differences


def _kind_fits(change: CatalogueEntry, difference: ObservedDifference) -> bool:
    """Whether what differs is what a change moves, wherever it is."""
    if change.aspects and difference.aspect not in change.aspects:
        return False
    if change.differences and difference.kind and difference.kind not in change.differences:
        return False
    if change.differences and not difference.kind and "value" not in change.aspects:
        return False
    return "structure" in change.aspects or not _reset(change, difference)


def _reset(change: CatalogueEntry, difference: ObservedDifference) -> bool:
    """Whether the candidate's layer has another value of the very setting that a change is about.

    Then the two sides compute something else by that setting, and not by what a release does with it.
    """
    print_ = change.fingerprint
    if not (print_.where or print_.any_setting):
        return False
    after = {**difference.layer.config, **dict(difference.changed)}
    changed = replace(difference.layer, config=after)
    if print_.any_setting:
        return reach(change, Description((changed,))) is None
    return not all(fits(after.get(key), required) for key, required in print_.where.items())


def _by_metric(change: CatalogueEntry, observed: Observation) -> _Seen | None:
    """The framework reports another number, of the name that the change moves."""
    if (
        "metric" not in change.shows
        or "metric" not in observed.shows
        or not (change.reported or change.evidence)
    ):
        return None
    named = [name for name in observed.reported if not change.reported or re.search(change.reported, name)]
    return (("metric",), ()) if named else None


def _by_training(change: CatalogueEntry, observed: Observation) -> _Seen | None:
    """Training differs in the way of the change, at a layer that it reaches, of those that are blamed."""
    if "training" not in change.shows or "training" not in observed.shows:
        return None
    print_ = change.fingerprint
    by_layer = bool(print_.layers or print_.any_layer)
    if not change.training and not (by_layer and _is_of_training(change, observed)):
        return None
    layers = {layer.name: layer for layer in observed.model.layers}
    for kind, name in observed.training:
        if change.training and kind not in change.training:
            continue
        if not by_layer:
            return ("training",), ()
        blamed = layers.get(name)
        if blamed is not None and layer_fits(change, blamed):
            return ("training", "layer"), (name,)
    return None


def _is_of_training(change: CatalogueEntry, observed: Observation) -> bool:
    """Whether a change that moves predictions too would show in this cell beside its training."""
    return "predictions" not in change.shows or "predictions" in observed.shows


def _by_error(change: CatalogueEntry, observed: Observation) -> _Seen | None:
    """The cell fails with the error of the change."""
    if "failure" not in change.shows or "failure" not in observed.shows:
        return None
    matched = any(re.search(pattern, error) for pattern in change.errors for error in observed.errors)
    return (("error",), ()) if matched else None

"""Which known change explains what was found in a cell: by behaviour, never by the fingerprint alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from validator.catalogue.description import DescribedLayer, Description
from validator.catalogue.entries import CatalogueEntry, Shows, changes, number
from validator.catalogue.reach import ReleasePair, layer_fits, reach

#: `traced`: a search for the origin ended at the same release. `likely`: nothing else fits as well.
#: `possible`: others fit as well.
Sure = Literal["traced", "likely", "possible"]
#: Why a change is named: what it has in common with the cell.
Why = Literal[
    "layer", "setting", "mask", "dtype", "structure", "value", "metric", "training", "error", "fed", "release"
]


@dataclass(frozen=True)
class ObservedDifference:
    """Where a cell first differs.

    Attributes:
        layer: its name and class, its settings, and whether its code is the user's own.
        aspect: `value`, `dtype`, `mask`, `structure` or `weights`.
        kind: of a structural difference; empty for a value.
    """

    layer: DescribedLayer
    aspect: str
    kind: str = ""


@dataclass(frozen=True)
class ObservedOrigin:
    """What a search for the origin came to: the first release that behaves so, and the functions to blame."""

    since: str
    functions: tuple[str, ...] = ()


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
        narrow = len(print_.where) + len(print_.features) + len(print_.any_setting) + len(print_.optimizer)
        return (-len(self.why), -narrow, int(self.change.id[1:]))


def matches(observed: Observation, known: Sequence[CatalogueEntry] | None = None) -> tuple[Match, ...]:
    """The changes that explain a cell, the best first."""
    candidates = []
    for change in changes() if known is None else known:
        if observed.pair.concerns(change) and _origin_fits(change, observed.origin):
            candidate = _candidate(change, observed)
            if candidate is not None:
                candidates.append(candidate)
    candidates.sort(key=lambda candidate: candidate.rank)
    return tuple(_match(candidate, candidates, observed) for candidate in candidates)


def _match(candidate: _Candidate, every: Sequence[_Candidate], observed: Observation) -> Match:
    if observed.origin is not None:
        return Match(candidate.change, "traced", (*candidate.why, "release"), candidate.layers)
    best = candidate is every[0] and (len(every) == 1 or every[1].rank[:2] > candidate.rank[:2])
    return Match(candidate.change, "likely" if best else "possible", candidate.why, candidate.layers)


def _origin_fits(change: CatalogueEntry, origin: ObservedOrigin | None) -> bool:
    """Whether a search, where there was one, ended where the change begins or ends."""
    if origin is None:
        return True
    return any(
        release and number(release) == number(origin.since) for release in (change.since, change.fixed)
    )


def _candidate(change: CatalogueEntry, observed: Observation) -> _Candidate | None:
    """A change with what it has in common with the cell; None where the cell does not behave so."""
    if not set(change.evidence) <= observed.evidence:
        return None
    reached = reach(change, observed.model, compiled=observed.compiled)
    if reached is None:
        return None
    fed: tuple[Why, ...] = ("fed",) if {"inputs-fed", "labels-fed"} & set(change.evidence) else ()
    for way in (_by_difference, _by_metric, _by_training, _by_error):
        seen = way(change, observed)
        if seen is not None:
            return _Candidate(change, (*seen[0], *fed), seen[1] or reached.layers)
    if fed and "predictions" in observed.shows and "predictions" in change.shows:
        return _Candidate(change, fed, reached.layers)
    return None


_Seen = tuple[tuple[Why, ...], tuple[str, ...]]


def _by_difference(change: CatalogueEntry, observed: Observation) -> _Seen | None:
    """The first difference is at a layer that the change reaches, and of its kind."""
    if not (
        {"predictions", "structure"} & set(change.shows) and {"predictions", "structure"} & observed.shows
    ):
        return None
    fitting = [each for each in observed.differences if _difference_fits(change, each)]
    if not fitting:
        return None
    aspects = tuple(dict.fromkeys(each.aspect for each in fitting))
    setting: tuple[Why, ...] = (
        ("setting",) if change.fingerprint.where or change.fingerprint.any_setting else ()
    )
    why: tuple[Why, ...] = ("layer", *setting, *aspects)  # type: ignore[arg-type]
    return why, tuple(dict.fromkeys(each.layer.name for each in fitting))


def _difference_fits(change: CatalogueEntry, difference: ObservedDifference) -> bool:
    print_ = change.fingerprint
    if change.aspects and difference.aspect not in change.aspects:
        return False
    if change.differences and difference.kind and difference.kind not in change.differences:
        return False
    if change.differences and not difference.kind and "value" not in change.aspects:
        return False
    if print_.any_setting:
        alone = Description((difference.layer,))
        return reach(change, alone) is not None
    if print_.layers or print_.any_layer or print_.custom:
        return layer_fits(change, difference.layer)
    return bool(change.differences) and difference.kind in change.differences


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
    """Training differs in the way of the change, at a layer that it reaches where one is blamed."""
    if "training" not in change.shows or "training" not in observed.shows or not change.training:
        return None
    print_ = change.fingerprint
    by_layer = bool(print_.layers or print_.any_layer)
    layers = {layer.name: layer for layer in observed.model.layers}
    for kind, name in observed.training:
        if kind not in change.training:
            continue
        if not by_layer:
            return ("training",), ()
        blamed = layers.get(name)
        if blamed is not None and layer_fits(change, blamed):
            return ("training", "layer"), (name,)
    return None


def _by_error(change: CatalogueEntry, observed: Observation) -> _Seen | None:
    """The cell fails with the error of the change."""
    if "failure" not in change.shows or "failure" not in observed.shows:
        return None
    matched = any(re.search(pattern, error) for pattern in change.errors for error in observed.errors)
    return (("error",), ()) if matched else None

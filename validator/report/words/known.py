"""What is said about the check `known`: a change of the catalogue, and what else could concern a model."""

from __future__ import annotations

import re

from validator.catalogue.entries import CatalogueEntry, change
from validator.checks.known.types import (
    Exposure,
    KnownChange,
    KnownChangeFinding,
    KnownComparison,
    KnownExposure,
    KnownWorkaround,
)
from validator.checks.protocol import Finding
from validator.report.phrases import Piece, Words, keras_link, listed, name, plural, with_names, words
from validator.report.words import CheckWords, Place
from validator.report.words.advice import release, when

_THREAD = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)")
_PLACES: dict[str, Place] = {"known-change": "why", "known-workaround": "do", "known-exposure": "note"}
#: What a change has in common with a cell.
_WHY: dict[str, str] = {
    "layer": "the layer",
    "setting": "its setting",
    "mask": "the mask",
    "dtype": "the dtype",
    "structure": "the structure",
    "weights": "the weights",
    "value": "the values",
    "metric": "the metric",
    "training": "the step of training",
    "error": "the error",
    "fed": "the order of what is fed",
    "inputs": "the recorded inputs",
    "release": "the release",
    "lines": "the lines found by the search",
}


def _sentence(finding: Finding) -> Words:
    match finding:
        case KnownChangeFinding(known=known):
            return _known(known)
        case KnownWorkaround(change=number, ended=True):
            ends = f"the upgrade ends known change {number}, which the baseline has"
            return words(f"nothing in the model needs to change if you want the new numbers: {ends}")
        case KnownWorkaround(change=number, text=text, code=code):
            note = f" (known change {number}; not run here)"
            return words(*with_names(text.rstrip(".")), ": ", name(code), note)
        case KnownExposure(exposure=exposure):
            return exposed(exposure)
    return words(finding.kind)


def _known(known: KnownChange) -> Words:
    entry = change(known.change)
    if entry is None:  # of a newer catalogue
        return words(f"known change {known.change}: {known.title}")
    sure = {"traced": "Known", "likely": "Likely known", "possible": "Possibly known"}[known.sure]
    common = [Piece(_WHY.get(each, each)) for each in known.why]
    fits = words("; what fits: ", *listed(common, most=len(common))) if common else ()
    return words(
        f"{sure}: ",
        *with_names(entry.title),
        " (",
        link(entry),
        f"), {when(entry)}",
        " (this upgrade ends it)" if known.ended else "",
        fits,
    )


def exposed(exposure: Exposure) -> Words:
    """How many known changes could concern the model, and what came of them."""
    releases = f"between {release(exposure.baseline)} and {release(exposure.candidate)}"
    counts = ", ".join(
        (
            f"{_was(len(exposure.seen))} seen",
            f"{_was(len(exposure.without_effect))} exercised by your inputs and made no difference",
            *([f"{len(exposure.unclear):,} may have taken part"] if exposure.unclear else []),
            f"{len(exposure.not_exercised):,} not exercised",
        )
    )
    return words(
        f"{plural(len(exposure.every), 'known change')} {releases} could concern the model; {counts}"
    )


def _was(count: int) -> str:
    return f"{count:,} {'was' if count == 1 else 'were'}"


def link(entry: CatalogueEntry) -> Piece:
    """Where a change is best described."""
    thread = _THREAD.fullmatch(entry.link)
    if thread is not None:
        return keras_link(int(thread[2]), thread[1])
    return Piece(entry.link.rpartition("/")[2] or entry.link, "link", entry.link)


WORDS: CheckWords[KnownComparison] = CheckWords(
    sentence=_sentence, place=lambda finding: _PLACES.get(finding.kind, "note")
)

"""What a report says about the layers of a cell that moved: where it starts, and the table layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from validator.checks.layers.types import (
    Cause,
    FirstDifference,
    FurtherCause,
    LayerRow,
    LayersComparison,
    LayersNotRecorded,
    LayerTable,
    MoreCauses,
    NoLayerDiffers,
    ReplayIncomplete,
)
from validator.checks.protocol import Finding
from validator.checks.structure.types import LayerCall
from validator.report import figures
from validator.report.document import Block, Entry, Fold, Heading, Paragraph, Table
from validator.report.phrases import Piece, Words, listed, name, plural, strong, words
from validator.report.words import CheckWords, Place
from validator.report.words.structure import difference_words, layer_words, missing_words
from validator.text import first_line

_ROWS = 12
#: Models without a `call` of their own.
_LAYERS_ALONE = frozenset({"Functional", "Sequential"})
_HEADINGS = (
    Heading("layer"),
    Heading("replayed on the baseline's inputs", numeric=True),
    Heading("in the full forward pass", numeric=True),
    Heading("what differs"),
)
#: The first difference stands in the main table, the table's counts in its title.
_PLACES: dict[str, Place] = {
    "further-cause": "why",
    "more-causes": "why",
    "layer-table": "hidden",
}
_DIFFERS = {
    "value": "values",
    "dtype": "dtype",
    "mask": "mask",
    "structure": "structure",
    "weights": "weights",
}


def located(cause: Cause) -> bool:
    """Whether it is known where the difference begins: in a layer, or in the code of the user's own model."""
    return bool(cause.layer) or cause.class_name not in _LAYERS_ALONE


def sentence(finding: Finding) -> Words:
    """A finding of the check as a sentence."""
    match finding:
        case FirstDifference() | FurtherCause():
            alike = words("; likewise ", _names(finding.alike)) if finding.alike else ()
            return words(_cause(finding.cause), alike)
        case MoreCauses():
            return words("further differences start at ", _names(finding.layers))
        case LayersNotRecorded():
            return missing_words("layers", finding.missing)
        case ReplayIncomplete():
            text = f"no time was left to replay {plural(finding.layers, 'layer')}"
        case NoLayerDiffers():
            text = f"no layer differs on the {plural(finding.samples, 'recorded sample')}"
        case LayerTable():
            text = _counts(finding)
        case _:
            text = finding.kind
    return words(text)


def _counts(table: LayerTable) -> str:
    propagate = "propagates" if table.propagating == 1 else "propagate"
    start = f"a difference starts in {table.diverging} of {plural(table.layers, 'layer')}"
    return f"{start}, {table.propagating} {propagate} it"


def details(comparison: LayersComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    """The table layer by layer, at most 12 rows, and what it leaves out."""
    table = next((finding for finding in findings if isinstance(finding, LayerTable)), None)
    if table is None or not table.rows:
        return ()
    chosen = _chosen(table.rows)
    entries = list(_entries(table.rows))
    blocks: tuple[Block, ...] = (Table(_HEADINGS, tuple(entries[at] for at in chosen)),)
    hidden = _hidden([row for at, row in enumerate(table.rows) if at not in set(chosen)])
    if hidden:
        blocks += (Paragraph(words("Not shown: ", hidden, ".")),)
    return (Fold(words("Layer by layer: ", _counts(table)), blocks),)


def _cause(cause: Cause) -> Words:
    if cause.differs != "value":
        return difference_words(cause.difference) if cause.difference else words(cause.differs)
    if not cause.layer:
        if not located(cause):
            alone = "no layer diverges on identical input beyond its noise"
            return words(f"{alone}; where the difference begins is not known")
        own = "the difference comes from the model's own code between layers"
        place = words(", before ", layer_words(cause.before)) if cause.before else ()
        return words(f"no layer diverges on identical input: {own}", place)
    much = "".join((_ratio(cause), _samples(cause), _nonfinite(cause), _unequal(cause), _example(cause)))
    difference = cause.difference
    if difference is not None and not much:
        return difference_words(difference)
    if difference is not None and not difference.kind.startswith("result-"):  # it says why
        return words(difference_words(difference), f"; its output differs{much}")
    also = words("; ", difference_words(difference)) if difference else ()
    return words(layer_words(cause), f" returns different output for identical input{much}", also)


def _ratio(cause: Cause) -> str:
    return f", {figures.ratio(cause.ratio).removesuffix('×')} × noise" if cause.ratio else ""


def _nonfinite(cause: Cause) -> str:
    """How many values are no number, where that is what differs."""
    if cause.nonfinite is None:
        return ""
    before, after = (f"{count:,}" for count in cause.nonfinite)
    share = f": {before} of {cause.size:,} values are NaN or infinite"
    if before == after:
        return f"{share} on each side, and not the same"
    return f"{share} in the baseline, {after} in the candidate"


def _unequal(cause: Cause) -> str:
    return f": {cause.unequal:,} of {cause.size:,} values differ" if cause.unequal else ""


def _example(cause: Cause) -> str:
    """One value on both sides; text is not shown."""
    before, after = cause.example or (None, None)
    if not isinstance(before, bool | int | float) or not isinstance(after, bool | int | float):
        return ""
    return f", for example {figures.moved_value(float(before), float(after))}"


def _samples(cause: Cause) -> str:
    """Which of the recorded samples show it, where others do not."""
    if not cause.samples:
        return ""
    which = "samples" if len(cause.samples) > 1 else "sample"
    return f", in recorded {which} {_list(cause.samples)} only"


def _list(samples: Sequence[int]) -> str:
    *first, last = map(str, samples)
    return f"{', '.join(first)} and {last}" if first else last


def _names(layers: Sequence[LayerCall]) -> Words:
    return listed([name(call.layer) if call.layer else Piece("the model") for call in layers])


def _entries(rows: Sequence[LayerRow]) -> Iterator[tuple[Entry, ...]]:
    bars = figures.sparkline([ratio for row in rows for ratio in (row.replayed, row.full_pass)])
    seen: set[str] = set()
    for at, row in enumerate(rows):
        likeness = repr(row.difference and row.difference.anywhere())
        yield (
            Entry(layer_words(row), words(row.class_name)),
            Entry(words(_bar(bars[2 * at], row.replayed))),
            Entry(words(_bar(bars[2 * at + 1], row.full_pass)), words(_by_mask(row))),
            Entry(*_what(row, repeated=likeness in seen)),
        )
        seen.add(likeness)


def _what(row: LayerRow, *, repeated: bool) -> tuple[Words, Words]:
    """What differs at a layer, and in small the difference where the table did not say it above."""
    if row.kind in _DIFFERS:
        difference = row.difference if not repeated else None
        return words(strong(_DIFFERS[row.kind])), difference_words(difference) if difference else ()
    failure = f"not replayed: {first_line(row.replay_failure)}" if row.replay_failure else ""
    return words("propagates" if row.kind == "propagated" else ""), words(failure)


def _by_mask(row: LayerRow) -> str:
    """How the drift is spread over what the mask keeps and what it hides, where that says something."""
    kept, hidden = figures.ratio(row.valid), figures.ratio(row.padded)
    if figures.NONE in (kept, hidden) or kept == hidden:
        return ""
    return f"{kept} at unmasked positions, {hidden} at masked ones"


def _bar(bar: str, ratio: float | None) -> str:
    if not ratio:
        return figures.NONE if ratio is None else "0"
    return f"{bar}\u00a0{figures.ratio(ratio)}"


def _chosen(rows: Sequence[LayerRow]) -> list[int]:
    """The first layers that diverge and the worst of them, the layer before the first, then those that
    propagate most; in the model's order."""
    every = range(len(rows))
    if len(every) <= _ROWS:
        return list(every)
    own = [at for at in every if rows[at].kind in _DIFFERS]
    own = [*own[: _ROWS // 2], *sorted(own[_ROWS // 2 :], key=lambda at: -_size(rows[at].replayed))]
    before = [own[0] - 1] if own and own[0] else []
    heirs = [at for at in every if rows[at].kind == "propagated"]
    heirs.sort(key=lambda at: -_size(rows[at].full_pass))
    ranked = dict.fromkeys([*own[: _ROWS - 2], *before, *heirs, *own, *every])
    return sorted(list(ranked)[:_ROWS])


def _size(ratio: float | None) -> float:
    """What no number holds is infinite, or not known: either way the first to look at."""
    return math.inf if ratio is None else ratio


def _hidden(rows: Sequence[LayerRow]) -> Words:
    """What the table leaves out: `7 layers that propagate the difference and 3 that are identical`."""
    own = sum(row.kind in _DIFFERS for row in rows)
    heirs = sum(row.kind == "propagated" for row in rows)
    counts = (
        (own, "that diverge"),
        (heirs, "that propagate the difference"),
        (len(rows) - own - heirs, "within noise"),
    )
    return listed([Piece(f"{plural(count, 'layer')} {what}") for count, what in counts if count])


def _place(finding: Finding) -> Place:
    if isinstance(finding, FirstDifference):
        return "lead" if located(finding.cause) else "why"  # there, how far it moved says more
    return _PLACES.get(finding.kind, "note")


WORDS: CheckWords[LayersComparison] = CheckWords(sentence=sentence, place=_place, details=details)

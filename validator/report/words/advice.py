"""What `advise` says: which known changes can reach a model, what to do, and what its inputs cannot show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from validator.catalogue.adequacy import missing
from validator.catalogue.advice import Advice
from validator.catalogue.api import GoneName
from validator.catalogue.entries import LEGACY, CatalogueEntry, InputNeed
from validator.catalogue.reach import Reached
from validator.report.phrases import plural

#: What inputs lack, as a reader looks for it.
LACKS: dict[InputNeed, str] = {
    "padded": "no padded row",
    "masked-row": "no fully masked row",
    "large-id": "no id above 256",
    "large": "no value far from 0",
    "tiny": "no tiny value",
    "negative": "no negative value",
    "nan": "no NaN",
    "smaller-batch": "no smaller last batch",
    "wide-id": "no id beyond 2³¹",
    "empty-text": "no empty text",
    "flat-labels": "no labels of rank 1",
}
_LAYERS = 4
_SHOWS = {
    "predictions": "predictions",
    "metric": "reported metrics",
    "training": "training",
    "failure": "a failure",
    "structure": "masks and dtypes",
    "rounding": "rounding",
}


def headline(advice: Advice) -> str:
    """How many changes can reach the model."""
    pair = advice.pair
    between = f"between {release(pair.baseline)} and {release(pair.candidate)}"
    if not advice.model.complete:
        return (
            "This SavedModel holds a graph of operations and no layers, so no known change can be looked up. "
            f"It freezes the layers' code; name the model's source to learn what changes {between}."
        )
    count = len(advice.reached)
    known = plural(count, "known change") if count else "No known change"
    return f"{known} {between} can reach this model of {plural(len(advice.model.layers), 'layer')}."


def entry_lines(reached: Reached) -> Iterator[str]:
    """One change: what, since when, where, what is seen, and what to do."""
    change = reached.change
    yield f"{change.id} {change.title} ({when(change)}; shows in {_shows(change)})"
    if reached.layers:
        yield f"  at {_named(reached.layers)}"
    yield f"  {change.seen}"
    yield f"  Do: {change.workaround.text}"
    yield f"      {change.workaround.code}"
    yield f"  {change.link}"


def gone_line(gone: GoneName) -> str:
    """A name that the newer release does not have."""
    return f"{gone.file}:{gone.line}: {gone.name} is not in Keras {gone.gone} and later"


def input_lines(advice: Advice) -> Iterator[str]:
    """What the recorded inputs lack, and which of the changes they cannot show for it."""
    if advice.inputs is None:
        return
    lacking = missing((each.change for each in advice.reached), advice.inputs)
    for need, changes in lacking.items():
        numbers = ", ".join(change.id for change in changes)
        yield f"{LACKS[need]}: cannot show {numbers}"
    others = sorted(advice.inputs.lacks - set(lacking))
    if others:
        yield f"{_list([LACKS[need] for need in others])}: no change of this list needs that"
    if not lacking and not others:
        yield "they can show every change of this list"


def release(number: str) -> str:
    """A release of Keras as people write it."""
    return LEGACY if number == LEGACY else f"Keras {number}"


def when(entry: CatalogueEntry) -> str:
    """The releases that behave so: `since Keras 3.5.0, gone in 3.10.0`."""
    gone = f", gone in {entry.fixed}" if entry.fixed else ""
    return f"since {release(entry.since)}{gone}"


def _shows(change: CatalogueEntry) -> str:
    return _list([_SHOWS[each] for each in change.shows])


def _named(layers: Sequence[str]) -> str:
    more = f" and {len(layers) - _LAYERS:,} more" if len(layers) > _LAYERS else ""
    return ", ".join(layers[:_LAYERS]) + more


def _list(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last

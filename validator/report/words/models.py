"""What is said about models that a pull request changes itself: which files, and which effect is whose."""

from __future__ import annotations

from collections.abc import Sequence

from validator.report.phrases import Words, joined, listed, name, words
from validator.upgrade.types import ModelPart, ModelReason, PartKind

_MOST_PARTS = 4
#: What a part is called in a list of what changed.
_PARTS: dict[PartKind, str] = {
    "artifact": "artifact ",
    "weights": "weights ",
    "builder": "builder ",
    "custom objects": "custom objects ",
    "code": "module ",
    "file": "file ",
    "inputs": "inputs ",
    "labels": "labels ",
    "metric": "metric ",
}


def changed_model(reason: ModelReason) -> Words:
    """``the pull request changes `digits`: weights `digits.weights.h5` ``."""
    model = name(reason.model)
    if reason.state == "added":
        return words(model, " is new: it has no earlier version to compare with")
    if reason.state == "removed":
        return words(model, " is no longer in ", name("validator.yml"), ", so it was not compared")
    changes = "changes " if reason.own else "changes what it compares of "
    return words("the pull request ", changes, model, ": ", changed_parts(reason.parts))


def changed_parts(parts: Sequence[ModelPart]) -> Words:
    """``weights `digits.weights.h5`, module `net/blocks.py` (before: `net/block.py`) and 3 more``."""
    listed_parts = [_part(part) for part in parts[:_MOST_PARTS]]
    more = f" and {len(parts) - _MOST_PARTS:,} more" if len(parts) > _MOST_PARTS else ""
    return words(joined(listed_parts, ", "), more)


def _part(part: ModelPart) -> Words:
    if part.names:
        return words(listed([name(each) for each in part.names], most=6), " in ", name(part.path))
    before = words(" (before: ", name(part.old), ")") if part.old else ()
    return words(_PARTS.get(part.part, ""), name(part.path), *before)

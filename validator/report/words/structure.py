"""What a report says about the structure of a model: differences of layers, dtypes, masks and weights."""

from __future__ import annotations

import re

from pydantic import JsonValue

from validator.checks.protocol import Finding
from validator.checks.structure.types import (
    DifferenceKind,
    LayerCall,
    MoreStructure,
    NotRecorded,
    StructuralDifference,
    StructureComparison,
    StructureFinding,
    StructureNotRecorded,
)
from validator.report.figures import number
from validator.report.phrases import Words, name, plural, words
from validator.report.words import CheckWords
from validator.text import first_line

_REASONS = {
    "savedmodel": "a SavedModel is a frozen graph without layers",
    "no-answer": "the worker returned nothing",
    "other-samples": "it recorded other samples than the baseline",
}
_ITEMS = 6  # items of a longer list
_PIECE = re.compile(r"(\{\w+\})")
_CHANGED = "changed from {before} to {after}"
_SENTENCES: dict[DifferenceKind, str] = {
    "class": "class of {layer} " + _CHANGED,
    "policy": "dtype policy of {layer} " + _CHANGED,
    "configuration": "{name} of {call} " + _CHANGED,
    "weight-count": "{call} has {after} weight{plural} instead of {before}",
    "weight-shape": "shape of {name} of {call} " + _CHANGED,
    "weight-dtype": "dtype of {name} of {call} " + _CHANGED,
    "weight-values": "weights of {call} differ: {name} has {spread}",
    "vocabulary-size": "vocabulary of {call} has {after} entries instead of {before}",
    "vocabulary-entries": "vocabulary of {call} has other entries",
    "weight-order": "weights of {call} are now in another order: {before} → {after}",
    "input-cast": "{input} is now {cast} from {before} to {after}",
    "input-cast-removed": "{input} is no longer {cast}: {after} instead of {before}",
    "input-conversion": "{input} now arrives as {after} instead of {before}",
    "input-dtype": "{input} is now {after} instead of {before}",
    "input-shape": "{input} has shape {after} instead of {before}",
    "argument": "argument {name} of {call} " + _CHANGED,
    "constant": "constant {name} of {call} has other values",
    "result-count": "{layer} returns {after} tensor{plural} instead of {before}",
    "result-dtype": "output of {layer} is now {after} instead of {before}",
    "result-rank": "output of {layer} has rank {after} instead of {before}",
    "result-shape": "output of {call} has shape {after} instead of {before}",
    "removed": "{subject} was removed",
    "added": "{subject} was added",
}


def layer_words(call: LayerCall, *, with_class: bool = False) -> Words:
    """`attention_0`, `attention_0` (MultiHeadAttention), `dense` (call 2), the model."""
    if not call.layer:
        return words("the model")
    asides = [call.class_name] if with_class else []
    asides += [f"call {call.occurrence + 1}"] if call.occurrence else []
    return words(name(call.layer), f" ({', '.join(asides)})" if asides else "")


def missing_words(what: str, missing: NotRecorded) -> Words:
    """Why the structure or the layers of a side are not known."""
    reason = _REASONS.get(missing.reason, missing.reason)
    if missing.failure is not None:
        reason = f"{missing.failure.error}: {first_line(missing.failure.message)}"
    if missing.side == "both":
        return words(f"{what} could not be compared: {reason}")
    return words(f"{what} of the {missing.side} could not be recorded: {reason}")


def difference_words(difference: StructuralDifference) -> Words:
    """One difference as a sentence."""
    pieces = _pieces(difference)
    template = _SENTENCES.get(difference.kind) or _of_mask(difference)
    if difference.kind == "result-count" and difference.before == difference.after:
        template = "{layer} returns its tensors under different names, or in a different structure"
    return words(*(pieces[part[1:-1]] if part[:1] == "{" else part for part in _PIECE.split(template)))


def _of_mask(difference: StructuralDifference) -> str:
    """The sentence of a mask that came or went, or keeps other positions."""
    if difference.kind == "input-mask":
        if difference.by is not None:
            return "{by} now clears the mask of {input}"
        return "{input} now has a mask" if difference.after else "{input} no longer has a mask"
    now = "now" if difference.after else "no longer"
    if difference.kind == "received-mask":
        return "{call} " + now + " receives the mask of its input"
    if difference.kind == "result-mask-positions":
        although = ", although its inputs are identical" if difference.cause else ""
        return "mask on the output of {call} keeps different positions" + although
    if difference.name:
        return "output of {call} " + now + " carries the mask given as argument {name}"
    aside = ", like its input" if difference.after else ", although its input does"
    return "output of {call} " + now + " carries a mask" + (aside if difference.input_masked else "")


def _pieces(difference: StructuralDifference) -> dict[str, str | Words]:
    """What stands in for each piece of a sentence."""
    call = layer_words(difference, with_class=True)
    operation = words("operation ", name(difference.class_name))
    before, after = _both(difference.before, difference.after)
    caster = difference.by.class_name if difference.by else "Cast"  # named where it is no plain Cast
    return {
        "layer": layer_words(difference),
        "call": call,
        "subject": operation if difference.operation else words("layer ", call),
        "name": words(name(difference.name)),
        "input": _input(difference),
        "by": layer_words(difference.by, with_class=True) if difference.by else "",
        "cast": "cast" if caster == "Cast" else words("converted by ", name(caster)),
        "before": before,
        "after": after,
        "spread": _spread(difference),
        "plural": "" if difference.after == 1 else "s",
    }


def _spread(difference: StructuralDifference) -> str:
    """How the values of a weight differ."""
    if not isinstance(difference.before, float) or not isinstance(difference.after, float):
        return "other values"
    before, after = number(difference.before), number(difference.after)
    return f"a standard deviation of {after} instead of {before}"


def _both(before: JsonValue, after: JsonValue) -> tuple[str, str]:
    """Two values, with as many digits as it takes to see that they differ."""
    texts = _value(_parts(before, after)), _value(_parts(after, before))
    return texts if texts[0] != texts[1] else (repr(before), repr(after))


def _value(value: JsonValue) -> str:
    if isinstance(value, list):
        return f"({', '.join(map(_value, value))})"
    if isinstance(value, float):
        return f"{value:.7g}"
    return value if isinstance(value, str) else repr(value)


def _parts(value: JsonValue, other: JsonValue) -> JsonValue:
    """Of a long list, what stands where the other list has something else first."""
    if not isinstance(value, list) or not isinstance(other, list) or len(value) <= _ITEMS:
        return value
    apart = next((at for at, pair in enumerate(zip(value, other, strict=False)) if pair[0] != pair[1]), 0)
    part = value[apart : apart + _ITEMS]
    return [*(["…"] if apart else []), *part, *(["…"] if apart + _ITEMS < len(value) else [])]


def _input(difference: StructuralDifference) -> Words:
    """An argument by its name; one of several tensors in `inputs` by its number."""
    layer = layer_words(difference.receiver or difference)
    if difference.input is None and difference.name in ("", "inputs"):
        return words("input of ", layer)
    if difference.name in ("", "inputs"):
        return words(f"input {difference.input} of ", layer)
    return words("input ", name(difference.name), " of ", layer)


def _sentence(finding: Finding) -> Words:
    match finding:
        case StructureFinding():
            return difference_words(finding.difference)
        case MoreStructure():
            return words(plural(finding.count, "more structural difference"))
        case StructureNotRecorded():
            return missing_words("structure", finding.missing)
    return words(finding.kind)


WORDS: CheckWords[StructureComparison] = CheckWords(sentence=_sentence)

"""The titles of a report's sections, and the line for what was not checked."""

from __future__ import annotations

from collections.abc import Sequence

from validator.checks.bands import CellVerdict
from validator.matrix import by_version
from validator.report.content import Row, by_model
from validator.report.phrases import Piece, Words, joined, listed, name, plural, words
from validator.report.words.effects import effect_title
from validator.verdict.bands import GREEN

#: What a check is called among those that were not run.
UNCHECKED = {"accuracy": "accuracy (no labels)", "decode": "decoding", "training": "training"}
_WHY: dict[CellVerdict, str] = {
    "changed": "changes",
    "suspicious": "drifts",
    "metric-only": "reports another metric",
    "failed": "fails",
}


_WHY_SEVERAL: dict[CellVerdict, str] = {
    "changed": "change",
    "suspicious": "drift",
    "metric-only": "report another metric",
    "failed": "fail",
}


def why_title(worst: Row, models: Sequence[str]) -> Words:
    """The words before the explanation of a difference that one model or several have."""
    verdict = worst.cell.verdict
    if len(models) > 1:
        does = _WHY_SEVERAL.get(verdict, "differ")
        return words(f"Why {plural(len(models), 'model')} {does} (numbers of ", name(worst.model), ")")
    if worst.cell.effect and verdict in _WHY:
        return effect_title(worst)
    if verdict not in _WHY:
        return words("About ", name(worst.model))
    does = "is in doubt" if verdict == "suspicious" and not worst.drifts else _WHY[verdict]
    return words("Why ", name(worst.model), f" {does}")


def further_title(worst: Row) -> Words:
    """The words before what explains decoding or training."""
    return words("About " if worst.cell.verdict in GREEN else "Also in ", name(worst.model))


def unchanged(rows: Sequence[Row], most: int) -> Words:
    """`Unchanged predictions (3): digits (keras-3.5.0, legacy), translator (keras-3.5.0)`."""
    models = by_model(rows)
    parts = [
        words(name(model), f" ({', '.join(sorted((row.where for row in alike), key=by_version))})")
        for model, alike in list(models.items())[:most]
    ]
    more = f" and {len(models) - most:,} more models" if len(models) > most else ""
    return words(f"Unchanged predictions ({len(rows):,}): ", joined(parts, ", "), more)


def details_title(model: str, places: Sequence[str], checks: Sequence[str]) -> Words:
    """Details of `llama` in keras-3.5.0 (outputs, accuracy, layers)."""
    where = words(" in ", listed([Piece(place) for place in places])) if places else ()
    return words("Details of ", name(model), where, f" ({', '.join(checks)})")


def not_checked(check: str, models: Sequence[str]) -> Words:
    """A check that was not asked for, and by which models where others did."""
    label = UNCHECKED.get(check, check)
    return words(f"{label} of ", listed([name(model) for model in models])) if models else words(label)

"""Whose doing a difference is, where a pull request changes a model: its own change's, or the packages'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from validator.checks.bands import CellVerdict
from validator.matrix import HEAD, Effect
from validator.report.content import Content, Row, by_model
from validator.report.figures import number, scores
from validator.report.phrases import Words, joined, listed, name, strong, words
from validator.report.words.cell import aside
from validator.report.words.failures import failed
from validator.report.words.models import changed_parts
from validator.upgrade.types import ModelReason, PartKind
from validator.verdict.bands import MOVED

#: What changed about a model, in the order of a sentence.
_NOUNS: dict[PartKind, str] = {
    "artifact": "artifact",
    "builder": "code",
    "custom objects": "code",
    "code": "code",
    "weights": "weights",
    "file": "files",
    "settings": "settings",
}
_MEASURES: dict[PartKind, str] = {"inputs": "inputs", "labels": "labels", "metric": "metrics"}
_DOES: dict[CellVerdict, tuple[str, str]] = {  # around the model
    "changed": ("moves ", ""),
    "suspicious": ("moves ", " beyond noise"),
    "metric-only": ("changes a reported metric of ", ""),
    "rounding": ("moves ", " by rounding only"),
    "identical": ("does not move ", ""),
    "failed": ("makes ", " fail"),
    "not-compared": ("could not be measured on ", ""),
}
_ALONE: dict[CellVerdict, str] = {
    "changed": "predicts differently",
    "suspicious": "drifts beyond noise",
    "metric-only": "predicts the same, but reports another metric,",
    "rounding": "predicts the same up to rounding",
    "identical": "predicts the same, bit for bit,",
    "failed": "fails",
}


def changed_models(content: Content) -> tuple[ModelReason, ...]:
    """The models that the pull request changes, adds or removes."""
    upgrade = content.report.upgrade
    return tuple(each for each in (upgrade.reasons if upgrade else ()) if isinstance(each, ModelReason))


def is_model_alone(content: Content) -> bool:
    """Whether models are all that differs between the two sides of the run."""
    return bool(content.rows) and all(row.cell.effect == "model" for row in content.rows)


def effects(content: Content) -> list[Words]:
    """What each effect does to every model that the pull request changes, and what held for both sides."""
    reasons = {each.model: each for each in changed_models(content)}
    sentences: list[Words] = []
    for model, rows in by_model(row for row in content.rows if row.cell.effect).items():
        reason = reasons.get(model, ModelReason(model=model, state="changed"))
        sentences += _of_model(reason, rows)
    compared = {row.model for row in content.rows}
    of_base = {model.name for model in content.report.models if model.inputs_of_base}
    sentences += [_inputs_of_base(model) for model in sorted(of_base)]
    measured = [each for each in reasons.values() if each.measures and each.model in compared - of_base]
    sentences += [_measured_by(each) for each in measured]
    if is_model_alone(content):
        sentences.append(words("Models that the pull request does not touch were not run."))
    return sentences


def _of_model(reason: ModelReason, rows: Sequence[Row]) -> Iterator[Words]:
    """The sentences about one model, whose rows come worst first."""
    worst: dict[Effect, Row] = {}
    for row in rows:
        if row.cell.effect:
            worst.setdefault(row.cell.effect, row)
    if "both" in worst:
        yield from _together(reason, worst["both"])
    elif "model" in worst and "packages" in worst:
        yield _apart(reason, worst["model"], worst["packages"])
    else:
        yield _alone(reason, rows[0])
    if any(row.cell.verdict in MOVED and row.metric is None for row in rows):
        yield words("Whether that matters is unknown: no metric was computed.")


def _apart(reason: ModelReason, model: Row, packages: Row) -> Words:
    """`The new code alone moves digits (…); the upgrade alone does not.`"""
    environment = packages.cell.environment
    upgrade = "the upgrade alone" if environment == HEAD else f"the packages of {environment} alone"
    own = _Clause(f"the new {_noun(reason)} alone", model)
    both = own, _Clause(upgrade, packages)
    if all(clause.stays for clause in both):
        subject = f"Neither the new {_noun(reason)} nor {upgrade.removesuffix(' alone')} moves "
        return words(subject, name(reason.model), ": predictions are identical, bit for bit.")
    first, second = sorted(both, key=lambda clause: clause.stays)
    return words(_capital(first.whole(words(name(reason.model)))), "; ", second.short(first), ".")


@dataclass(frozen=True)
class _Clause:
    """What one effect does to a model."""

    subject: str
    row: Row

    @property
    def stays(self) -> bool:
        return self.row.cell.verdict == "identical" and not self.row.asides

    def whole(self, model: Words) -> Words:
        """`the new code alone moves digits (max abs diff 0.68)`."""
        before, after = _DOES[self.row.cell.verdict]
        does = strong(before.strip()) if self.row.cell.verdict == "changed" else before.strip()
        measured = _measured(self.row)
        numbers = words(" (", measured, ")") if measured else _failure(self.row)
        return words(f"{self.subject} ", does, " ", model, after, numbers, *_asides(self.row))

    def short(self, first: _Clause) -> Words:
        """The same behind another clause: `the upgrade alone does not`."""
        if self.stays:
            return words(f"{self.subject} does not")
        return self.whole(words("it, too" if first.row.cell.verdict == self.row.cell.verdict else "it"))


def _together(reason: ModelReason, row: Row) -> Iterator[Words]:
    """Both effects, where the new files cannot be run in the old packages."""
    why = words(" (", failed(row.cell.alone), ")") if row.cell.alone else ()
    start = words(f"The new {_noun(reason)} of ", name(reason.model), " does not run with the old packages")
    yield words(start, why, ", so the two effects cannot be told apart.")
    both = f"the new {_noun(reason)}, together with the upgrade,"
    model = words(name(reason.model))
    yield words(_capital(_Clause(both, row).whole(model)), ".")


def _alone(reason: ModelReason, row: Row) -> Words:
    """The model's change in the same packages."""
    subject, does = name(reason.model), _ALONE.get(row.cell.verdict, "")
    if row.cell.verdict == "not-compared":
        baseline = row.baseline_failure
        why = words(": there it ", failed(baseline)) if baseline else ()
        return words(subject, " could not be compared with its files of the base commit", why, ".")
    measured = _measured(row)
    numbers = words(", ", measured) if measured else _failure(row)
    if not reason.own:
        held = "no file of the model and no package changed"
        return words(subject, f" {does.rstrip(',')}", numbers, f": {held}.")
    moved = row.asides or not row.green
    whose = "this is the model's own change, not an upgrade's" if moved else "no package changed"
    start = words(subject, " ", strong(does) if row.cell.verdict == "changed" else does)
    new = words(f" with its new {_noun(reason)} (", changed_parts(reason.own), ")")
    return words(start, new, numbers, *_asides(row), f": {whose}.")


def _asides(row: Row) -> tuple[Words, ...]:
    return tuple(words(", and ", strong(aside(*each))) for each in row.asides.items())


def _measured(row: Row) -> Words:
    """`max abs diff 0.68, accuracy 1.000 → 0.800`; nothing of what is identical or has no predictions."""
    if row.cell.verdict == "identical" or not row.compared:
        return ()
    numbers = [words(f"max abs diff {number(row.max_abs)}")] if row.max_abs is not None else []
    metric = row.metric
    if metric is not None:
        before, after = scores(metric.baseline, metric.candidate)
        moves = words(f"{before} → ", strong(after)) if metric.delta else words(f"stays {before}")
        numbers.append(words(f"{metric.metric} ", moves))
    return joined(numbers, ", ")


def _failure(row: Row) -> Words:
    return words(": it ", failed(row.failure)) if row.failure and row.cell.verdict == "failed" else ()


def _inputs_of_base(model: str) -> Words:
    used = words("Both sides of ", name(model), " used the base's inputs and labels")
    return words(used, ", because its earlier version does not take the new inputs.")


def _measured_by(reason: ModelReason) -> Words:
    """Which data and settings counted for both sides, where the pull request changes those as well."""
    kinds = dict.fromkeys(_MEASURES[part.part] for part in reason.measures if part.part in _MEASURES)
    nouns = [words(kind) for kind in kinds]
    nouns += [words("settings of checks")] if any(part.names for part in reason.measures) else []
    what = words(joined(nouns[:-1], ", "), " and " if nouns[1:] else "", nouns[-1])
    used = words("Both sides of ", name(reason.model), " used the head's ", what)
    return words(used, ", which the pull request changes (", changed_parts(reason.measures), ").")


def _noun(reason: ModelReason) -> str:
    """`code and weights`."""
    nouns = list(dict.fromkeys(_NOUNS[part.part] for part in reason.own)) or ["files"]
    return " and ".join([", ".join(nouns[:-1]), nouns[-1]] if nouns[1:] else nouns)


def _capital(pieces: Words) -> Words:
    first, *rest = pieces
    return words(type(first)(first.text[:1].upper() + first.text[1:], first.kind, first.url), *rest)


def change_of(content: Content) -> Words:
    """The changed models behind what is upgraded: ``keras 3.3.3 → 3.5.0` and a change of `digits` ``."""
    models = [name(each.model) for each in changed_models(content) if each.state == "changed" and each.own]
    return words("a change of ", listed(models, most=3)) if models else ()


def effect_title(row: Row) -> Words:
    """The words before the explanation of one effect."""
    if row.cell.effect == "packages":
        return words("Why the packages alone move ", name(row.model))
    if row.cell.effect == "both":
        return words("Why the new files and packages move ", name(row.model))
    return words("Why its own change moves ", name(row.model))

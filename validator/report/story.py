"""The run in a headline and a few sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from validator.report import content
from validator.report.content import Row
from validator.report.wording import (
    STAGES,
    Words,
    change,
    failed,
    listed,
    metric,
    name,
    noise_ratio,
    number,
    plural,
    prose,
    ratio,
    reported,
    strong,
    text,
    unmarked,
)
from validator.report.wording import largest as largest_of
from validator.results import CellVerdict, EnvironmentResult, PackageChange, Report, Verdict

ICONS: dict[Verdict, str] = {"pass": "✅", "warn": "⚠️", "fail": "❌", "inconclusive": "❔"}
_MOST_MODELS = 3


def headline(report: Report) -> str:
    """The verdict in a few words, without the upgrade."""
    if report.verdict == "inconclusive":
        return "Cannot judge: the baseline is unusable" if _baseless(report) else "Cannot judge"
    if report.upgrade is not None and not report.upgrade.relevant and not report.models:
        return "Nothing relevant changed"
    phrases = _phrases(report)[:2]
    return ", ".join([*phrases[:1], *(_inside(phrase) for phrase in phrases[1:])])


def _inside(phrase: str) -> str:
    """A phrase that no longer starts a sentence."""
    return phrase[0].lower() + phrase[1:]


def _phrases(report: Report) -> list[str]:
    rows = content.rows(report)
    broken = _broken(report)
    verdicts = {row.cell.verdict for row in rows}
    stopped = {row.model: row.cell.failure for row in rows if row.cell.failure} if not broken else {}
    stages = {failure.stage for failure in stopped.values() if failure}
    stage = STAGES[stages.pop()] if len(stages) == 1 else "failed"
    fell = {one.metric for row in rows if (one := metric(row.cell)) and one.worse}
    said = {
        "Predictions change": "changed" in verdicts,
        f"{sorted(fell)[0] if fell else ''} gets worse".capitalize(): bool(fell),
        _broken_phrase(broken): bool(broken),
        f"{plural(len(stopped), 'model')} {stage}": bool(stopped),
        "Not everything was compared": "not-compared" in verdicts and not broken,
        "Predictions move more than noise does": "suspicious" in verdicts,
        "Predictions hold, a reported metric changes": "metric-only" in verdicts,
    }
    found = [phrase for phrase, holds in said.items() if holds]
    if found or not rows:
        return found or ["Nothing was compared"]
    return ["Predictions hold, up to rounding" if "rounding" in verdicts else "Predictions are identical"]


def _broken_phrase(broken: Sequence[EnvironmentResult]) -> str:
    if len(broken) == 1 and broken[0].failure:
        return f"{broken[0].name} {STAGES[broken[0].failure.stage]}"
    return f"{len(broken)} environments failed"


def upgrade(report: Report) -> Words:
    """What is upgraded: `keras 3.3.3 → 3.5.0`; without an upgrade, what is compared with what."""
    if report.upgrade is not None and report.upgrade.changes:
        changes = sorted(report.upgrade.changes, key=lambda one: not one.direct)
        return listed([name(moved_package(one)) for one in changes], most=3)
    candidates = [one.name for one in report.environments if one.name != report.baseline]
    if not candidates:
        return ()
    return (*listed([name(one) for one in candidates], most=3), text(" against "), name(report.baseline))


def moved_package(one: PackageChange) -> str:
    """`keras 3.3.3 → 3.5.0`, `keras 3.5.0 (new)` or `keras 3.3.3 (removed)`."""
    if one.old is None or one.new is None:
        return f"{one.name} {one.new or one.old or ''} ({'new' if one.old is None else 'removed'})"
    return f"{one.name} {one.old} → {one.new}"


def sentences(report: Report) -> tuple[Words, ...]:
    """What a reader needs before any table: which models moved, how, and whether the gate minds."""
    if report.verdict == "inconclusive":
        return _inconclusive(report)
    if not report.models:
        return _nothing_ran(report)
    broken = _broken(report)
    rows = [row for row in content.rows(report) if row.cell.environment not in {one.name for one in broken}]
    worrying = list(dict.fromkeys(row.model for row in rows if not row.green))
    said = [_environment(one, report) for one in broken[:_MOST_MODELS]]
    if len(worrying) <= _MOST_MODELS:
        said += [_model([row for row in rows if row.model == model]) for model in worrying]
    else:
        said += _groups(rows, worrying)
    said += _holding(rows, worrying)
    return (*said, *gate(report))


def _inconclusive(report: Report) -> tuple[Words, ...]:
    said = [
        _ended(prose(reason)) for reason in _baseless(report)[:_MOST_MODELS] or report.reasons[:_MOST_MODELS]
    ]
    cells = [cell for model in report.models for cell in model.cells]
    lost = sum(cell.verdict == "not-compared" for cell in cells)
    if lost == len(cells):
        return (*said, (text("So nothing can be said about this upgrade, good or bad."),))
    return (*said, (text(f"So nothing can be said about {lost:,} of {plural(len(cells), 'cell')}."),))


def _baseless(report: Report) -> tuple[str, ...]:
    """Why the baseline is unusable: each reason once, empty if it is not."""
    baseline = next((one for one in report.environments if one.name == report.baseline), None)
    if baseline is not None and baseline.failure is not None:
        return (f"The baseline `{baseline.name}` {unmarked(failed(baseline.failure))}",)
    found = [
        f"`{cell.cell}`: {finding.message}"
        for model in report.models
        for cell in model.cells
        for finding in cell.findings
        if finding.kind == "baseline"
    ]
    return tuple(dict.fromkeys(found))


def _nothing_ran(report: Report) -> tuple[Words, ...]:
    if report.upgrade is None or report.upgrade.relevant:
        return tuple(_ended(prose(reason)) for reason in report.reasons)
    return ((text("No package that can move a model's numbers is upgraded, so no model was run."),),)


def _environment(one: EnvironmentResult, report: Report) -> Words:
    cells = sum(cell.environment == one.name for model in report.models for cell in model.cells)
    why = failed(one.failure)[:1] if one.failure else ()
    return (name(one.name), text(" "), *why, text(f", so {plural(cells, 'cell')} could not be compared."))


def _model(rows: Sequence[Row]) -> Words:
    """One sentence about a model with something to look at."""
    worst = rows[0]
    alike = [row for row in rows if row.cell.verdict == worst.cell.verdict and not row.green]
    where = (text(" in "), *listed([name(row.place) for row in alike], most=3))
    held = [row for row in rows if row.green]
    holds: Words = ()
    if held and worst.cell.verdict == "changed":
        holds = (text(", not in "), *listed([name(row.place) for row in held], most=3))
    return (name(worst.model), text(" "), *_predicate(worst, where), *holds, *_fall(worst), text("."))


_TOGETHER: dict[CellVerdict, tuple[str, str]] = {  # what one model does, what several do
    "failed": ("failed", "failed"),
    "changed": ("no longer predicts the same", "no longer predict the same"),
    "not-compared": ("was not compared", "were not compared"),
    "metric-only": (
        "predicts the same, but the framework reports another metric",
        "predict the same, but the framework reports another metric",
    ),
    "suspicious": ("moves more than rounding explains", "move more than rounding explains"),
}
_GATED = ("breaks the gate", "break the gate")


def _groups(rows: Sequence[Row], worrying: Sequence[str]) -> list[Words]:
    """The models with something to look at, by the worst that happened to each."""
    worst: dict[CellVerdict, list[str]] = {}
    for model in worrying:
        row = next(row for row in rows if row.model == model)
        worst.setdefault(row.cell.verdict, []).append(model)
    return [
        (
            strong(plural(len(models), "model")),
            text(f" {_TOGETHER.get(verdict, _GATED)[len(models) > 1]}: "),
            *listed([name(model) for model in models]),
            text("."),
        )
        for verdict, models in worst.items()
    ]


def _predicate(worst: Row, where: Words) -> Words:
    cell = worst.cell
    if cell.failure is not None:
        return (*failed(cell.failure)[:1], *where)
    if cell.verdict == "metric-only":
        differing = [one for one in (cell.accuracy.reported if cell.accuracy else ()) if one.differs]
        numbers = (text(": "), *reported(differing[0])) if differing else ()
        tail = text(", but the framework reports another metric")
        return (text("predicts the same"), *where, tail, *numbers)
    if cell.verdict == "suspicious":
        times = noise_ratio(cell)
        by = f" by {ratio(times)} the noise" if times else ""
        return (text(f"moves{by}"), *where, text(", more than rounding explains"))
    if cell.verdict == "not-compared":
        return (strong("was not compared"), *where)
    if cell.verdict == "changed":
        return (strong("no longer predicts the same"), *where)
    return (text("predicts the same up to rounding" if cell.verdict == "rounding" else "is gated"), *where)


def _fall(worst: Row) -> Words:
    one = metric(worst.cell)
    if one is None or not one.worse:
        return ()
    return (text(f"; {one.metric} "), strong(change(one.baseline, one.candidate)))


def _holding(rows: Sequence[Row], worrying: Sequence[str]) -> list[Words]:
    """What there is to say about the models that hold."""
    green = [row for row in rows if row.model not in worrying]
    models = list(dict.fromkeys(row.model for row in green))
    if not models:
        return []
    subject = listed([name(model) for model in models], most=3)
    verb = "is" if len(models) == 1 else "are"
    drift = max((largest_of(row.cell) or 0.0 for row in green), default=0.0)
    if drift == 0 and all(row.cell.verdict == "identical" for row in green):
        return [(*subject, text(f" {verb} identical, bit for bit."))]
    return [
        (*subject, text(f" {'predicts' if len(models) == 1 else 'predict'} the same, "), *_rounding(green))
    ]


def _rounding(green: Iterable[Row]) -> Words:
    cells = [row.cell for row in green]
    drift = max(largest_of(cell) or 0.0 for cell in cells)
    times = max((noise_ratio(cell) or 0.0 for cell in cells), default=0.0)
    measured = f" ({ratio(times)} the measured noise)" if times else ""
    return (text(f"up to rounding: {number(drift)} at most{measured}."),)


def gate(report: Report) -> tuple[Words, ...]:
    """What the gate makes of it; nothing where all is well."""
    rules = dict.fromkeys(rule for model in report.models for cell in model.cells for rule in cell.gated)
    if report.verdict == "warn":
        return ((text("The gate lets this pass."),),)
    if report.verdict != "fail" or not rules:
        return ()
    return ((text("The gate fails on "), *listed([strong(rule) for rule in rules]), text(".")),)


def _ended(words: Words) -> Words:
    return words if unmarked(words).rstrip().endswith((".", "!", "?", "…")) else (*words, text("."))


def _broken(report: Report) -> list[EnvironmentResult]:
    """Candidate environments that never got to run a model."""
    return [one for one in report.environments if one.failure and one.name != report.baseline]

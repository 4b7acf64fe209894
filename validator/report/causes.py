"""What makes several cells one reason: a known change, lines of Keras, a failure, the class of a layer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from validator.checks.known.types import KnownChangeFinding
from validator.checks.layers.types import Cause, FirstDifference
from validator.origin.types import Origin
from validator.report.content import Row, by_model, failure_kind


@dataclass(frozen=True)
class Alike:
    """Models to which the same happened for the same reason, each with its rows; the worst first."""

    models: dict[str, list[Row]]

    @property
    def rows(self) -> list[Row]:
        """All rows, model by model."""
        return [row for rows in self.models.values() for row in rows]

    @property
    def worst(self) -> Row:
        """The row that stands for all."""
        return next(iter(self.models.values()))[0]


def known(row: Row) -> KnownChangeFinding | None:
    """The known change that explains a cell, unless it is only possible."""
    named = (each for each in row.cell.findings if isinstance(each, KnownChangeFinding))
    return next((each for each in named if each.known.sure != "possible"), None)


def cause_of(row: Row) -> Hashable:
    """What makes two cells one reason; None where it is not known. Names of layers tell none apart."""
    if row.failure is not None and not row.compared:
        return "failure", *failure_kind(row.failure)
    change = known(row)
    if change is not None:
        return "known", change.known.change
    traced = _traced(row.cell.origin) if row.cell.origin else None
    if traced is not None:
        return "origin", traced
    first = next((each for each in row.cell.findings if isinstance(each, FirstDifference)), None)
    return None if first is None else ("layer", *_kind(first.cause))


def alike(rows: Iterable[Row]) -> tuple[Alike, ...]:
    """Models by what happened to their worst cell, where and why; one without a known reason is alone."""
    groups: dict[Hashable, dict[str, list[Row]]] = {}
    for model, own in by_model(rows).items():
        worst = own[0]
        cause = cause_of(worst)
        what = worst.cell.verdict, worst.cell.environment, worst.cell.effect, tuple(worst.asides.items())
        groups.setdefault((cause, what) if cause else model, {})[model] = own
    return tuple(Alike(models) for models in groups.values())


def _traced(origin: Origin) -> Hashable:
    """The units of Keras that carry the change, else the release in which it begins."""
    units = tuple(dict.fromkeys((unit.path, unit.name) for lines in origin.lines for unit in lines.units))
    releases = origin.releases
    transition = None if releases is None else releases.since if releases.traced == "since" else releases.gone
    if units:
        return units
    return (transition.package, transition.before, transition.after) if transition else None


def _kind(cause: Cause) -> tuple[str, ...]:
    difference = cause.difference
    kind = (difference.kind, str(difference.before), str(difference.after)) if difference else ()
    return (cause.class_name, cause.differs, *kind)

"""A history before anyone decides how it looks: a table and series of each model, by release and by run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from validator.history import HistoryRun, Point, Series, TrackedModel, by_commit, by_release
from validator.report.document import Entry as TableEntry
from validator.report.document import Heading, Table
from validator.report.figures import NONE
from validator.report.phrases import Words, name, words
from validator.report.words import history as wording
from validator.report.words.cell import VERDICTS

ROWS = 20


@dataclass(frozen=True)
class HistoryPart:
    """A model, or a variant of it, by release or by run; `table` has the oldest first."""

    subject: TrackedModel
    title: Words
    heading: str
    table: Table
    series: tuple[Series, ...]


def history_parts(entries: Sequence[HistoryRun], rows: int = ROWS) -> tuple[HistoryPart, ...]:
    """Models in the order of their names: first by release of Keras, then run by run in each environment.

    `rows`: the most of a table, the latest. A model of several configurations has a part for each.
    """
    series = (*by_release(entries), *by_commit(entries))
    subjects = sorted(
        {(each.subject, each.by_release) for each in series},
        key=lambda key: (key[0].model, key[0].configuration, key[0].variant, not key[1], key[0].environment),
    )
    alone = len({each.subject.configuration for each in series}) == 1
    return tuple(
        _part(
            [each for each in series if (each.subject, each.by_release) == (subject, released)],
            {} if released else _runs(entries, subject),
            rows,
            named=not alone,
        )
        for subject, released in subjects
    )


def _runs(entries: Sequence[HistoryRun], subject: TrackedModel) -> dict[tuple[str, str], Point]:
    """Every run of a model in an environment, also those without a number, by its place in the table."""
    return {
        (entry.time, entry.commit or ""): Point(
            0.0, entry.time, entry.commit, cell.keras, cell.packages, cell.verdict
        )
        for entry in entries
        for cell in entry.cells
        if TrackedModel(entry.configuration, cell.model, cell.variant, cell.environment) == subject
    }


def _part(
    series: Sequence[Series], runs: dict[tuple[str, str], Point], rows: int, *, named: bool
) -> HistoryPart:
    subject = series[0].subject
    where = words(" (", name(subject.configuration), ")") if named and subject.configuration else ()
    heading = "by release of Keras" if series[0].by_release else "run by run"
    return HistoryPart(
        subject,
        words(*wording.subject_title(subject), *where),
        heading,
        _table(series, runs, rows),
        tuple(series),
    )


def _table(series: Sequence[Series], runs: dict[tuple[str, str], Point], rows: int) -> Table:
    places = dict(runs)
    for each in series:
        for point in each.points:
            places.setdefault(_key(each, point), point)
    values = [{_key(each, point): point.value for point in each.points} for each in series]
    heads = _heads(series[0])
    lines = [
        (
            *_place(series[0], point),
            *(
                _entry(wording.value(each.quantity, own[key]) if key in own else NONE)
                for each, own in zip(series, values, strict=True)
            ),
        )
        for key, point in places.items()
    ]
    headings = (*heads, *(Heading(each.quantity, numeric=True) for each in series))
    return Table(headings, tuple(lines[-rows:]), hidden=max(len(lines) - rows, 0))


def _key(series: Series, point: Point) -> tuple[str, str]:
    return (point.release, "") if series.by_release else (point.time, point.commit or "")


def _heads(series: Series) -> tuple[Heading, ...]:
    if series.by_release:
        return (Heading("Keras"),)
    return Heading("day"), Heading("commit"), Heading("Keras"), Heading("verdict")


def _place(series: Series, point: Point) -> tuple[TableEntry, ...]:
    if series.by_release:
        return (_entry(point.release),)
    commit = (point.commit or NONE)[: wording.COMMIT_CHARACTERS]
    verdict = VERDICTS[point.verdict] if point.verdict else NONE
    return tuple(map(_entry, (wording.day(point), commit, point.release, verdict)))


def _entry(text: str) -> TableEntry:
    return TableEntry(words(text))

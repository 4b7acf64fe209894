"""The main table: a line for every cell, or for all cells where the same happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from validator.matrix import by_version
from validator.report.causes import cause_of
from validator.report.content import Row, failure_kind
from validator.report.document import Entry, Heading, Table
from validator.report.figures import NONE
from validator.report.phrases import Piece, Words, joined, listed, name, strong, unmarked, words
from validator.report.words.cell import result

#: So many models with one reason share a line of a condensed table.
FEWEST = 3
#: Every column of the main table for a cell: its heading, and what it shows.
Numbers = tuple[tuple[str, Entry], ...]
_NOTHING = Entry(words(NONE))


@dataclass(frozen=True)
class Line:
    """A cell, and all other places and models where the same happened.

    `worst_of`: how many models have the same reason and other numbers, of which these are the worst.
    """

    row: Row
    models: tuple[str, ...]
    places: tuple[str, ...]
    numbers: Numbers
    worst_of: int = 0


def numbers(row: Row) -> Numbers:
    """Every column for one cell."""
    columns = []
    for check, its in row.checks.items():
        comparison = getattr(row.cell.checks, check, None)
        for column in its.columns:
            entry = _NOTHING
            if comparison is not None and (text := column.show(comparison)) != NONE:
                number = strong(text) if column.strong(comparison) else text
                entry = Entry(words(number), words(column.below(comparison)))
            columns.append((column.heading, entry))
    return tuple(columns)


def lines(rows: Iterable[Row], *, condensed: bool = False) -> tuple[Line, ...]:
    """Rows as lines: what is the same in several places of a model has one line.

    A failure that took several models alike has one line too; `condensed`, so has every other reason that
    several models have in common, with the numbers of the worst.
    """
    groups: dict[object, list[Row]] = {}
    for row in rows:
        happened = failure_kind(row.failure) if row.failure else (row.lead, numbers(row))
        groups.setdefault((row.model, *_judged(row), row.cell.accepted, happened), []).append(row)
    merged: dict[object, Line] = {}
    for alike in groups.values():
        row, places = alike[0], tuple(sorted((row.where for row in alike), key=by_version))
        key = (row.cell.verdict, failure_kind(row.failure), places) if row.failure else id(row)
        before = merged.get(key, Line(row, (), places, numbers(row)))
        merged[key] = replace(before, models=(*before.models, row.model))
    return _condensed(tuple(merged.values())) if condensed else tuple(merged.values())


def _condensed(every: tuple[Line, ...]) -> tuple[Line, ...]:
    groups: dict[object, list[Line]] = {}
    for line in every:
        cause = None if line.row.failure else cause_of(line.row)
        key = (cause, *_judged(line.row), line.places) if cause else id(line)
        groups.setdefault(key, []).append(line)
    kept: list[Line] = []
    for alike in groups.values():
        models = tuple(dict.fromkeys(model for line in alike for model in line.models))
        if len(models) < FEWEST:
            kept += alike
        else:
            kept.append(replace(alike[0], models=models, worst_of=len(models)))
    return tuple(kept)


def _judged(row: Row) -> tuple[object, ...]:
    return row.cell.verdict, tuple(row.asides.items()), row.cell.gated, row.cell.accepted is None


def table(kept: Sequence[Line], *, wide: bool, names: int) -> Table:
    """Lines as a table, with at most so many names of models or places in an entry.

    A narrow one has three columns beside the mark and no more, since a comment on a telephone is 340 pixels
    wide: the places stand below the models, and all numbers but the last below the result.
    """
    by_column = zip(*(line.numbers for line in kept), strict=True)
    filled = [at for at, column in enumerate(by_column) if any(entry != _NOTHING for _, entry in column)]
    split = 0 if wide else len(filled) - 1
    small, columns = filled[:split], filled[split:]
    headings = [Heading(""), Heading("model"), *([Heading("environment")] if wide else []), Heading("result")]
    headings += [Heading(kept[0].numbers[at][0], numeric=True) for at in columns]
    rows = []
    for line in kept:
        models = listed([name(model) for model in line.models], names)
        places = listed([Piece(place) for place in line.places], names)
        row = [Entry((Piece(line.row.state, "mark"),))]
        row += [Entry(models), Entry(places)] if wide else [Entry(models, places)]
        row += [Entry(result(line.row), _measured(line, [line.numbers[at] for at in small]))]
        rows.append((*row, *(_of_worst(line, line.numbers[at][1]) for at in columns)))
    return Table(tuple(headings), tuple(rows))


def _of_worst(line: Line, entry: Entry) -> Entry:
    if not line.worst_of or entry == _NOTHING:
        return entry
    return Entry(entry.words, words("worst", *(words(", ", entry.small) if entry.small else ())))


def _measured(line: Line, others: Sequence[tuple[str, Entry]]) -> Words:
    known = [words(f"{heading} {unmarked(entry.words)}") for heading, entry in others if entry != _NOTHING]
    if line.row.cell.verdict == "identical":
        return ()
    worst = words("worst, ", name(line.row.model), ": ") if line.worst_of and known else ()
    return words(*worst, joined(known, " · "))

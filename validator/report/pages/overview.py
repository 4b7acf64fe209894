"""The first page: the matrix of models and environments, and why cells moved, worst first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from validator.matrix import by_version
from validator.report import figures
from validator.report.causes import cause_of, known
from validator.report.content import Content, Row, by_model, unique
from validator.report.document import Entry
from validator.report.lines import numbers
from validator.report.pages.types import (
    CellMatrix,
    Mark,
    MatrixCell,
    MatrixRow,
    Overview,
    ReasonGroup,
    ReasonLine,
)
from validator.report.phrases import Words, plural, sentence, unmarked, words
from validator.report.words import page as wording
from validator.report.words.cell import VERDICTS, result
from validator.report.words.failures import failed
from validator.verdict.bands import BANDS, GREEN, SEVERITY

#: The axis of drift ÷ noise: 0 has a place of its own at the left, then decades from the first to the last.
DECADES = (-1, 5)
_ZERO, _FIRST = 4.0, 14.0  # percent
_MOST_LINKS = 12
_MOST_TEXTS = 3


def mark(row: Row) -> Mark:
    """The cell's verdict as a shape. What holds but for training or decoding is marked as that."""
    verdict = row.cell.verdict
    if verdict in GREEN and row.asides:
        verdict = max(row.asides.values(), key=SEVERITY.index)
    return Mark(verdict, wording.SHAPES[verdict], VERDICTS[verdict])


def place(ratio: float | None) -> float | None:
    """Where a drift ÷ noise stands on the axis, in percent; None where it is not known."""
    if ratio is None or math.isnan(ratio):
        return None
    if ratio <= 0:
        return _ZERO
    low, high = DECADES
    share = (min(max(math.log10(ratio), low), high) - low) / (high - low) if math.isfinite(ratio) else 1.0
    return _FIRST + share * (98 - _FIRST)


def ticks() -> tuple[tuple[float, str], ...]:
    """Places and labels of the axis."""
    marks = [(place(10.0**at) or 0.0, f"{10**at:g}" if at < 4 else f"1e{at}") for at in range(*DECADES, 1)]
    return ((_ZERO, "0"), *marks)


def overview(content: Content, ids: Mapping[int, str]) -> Overview:
    """The first page; `ids`: the identity of a row → its page."""
    rows = content.rows
    counted = Counter(mark(row) for row in rows)
    order = sorted(counted, key=lambda each: -SEVERITY.index(each.verdict))
    return Overview(
        matrix=_matrix(content, ids),
        reasons=tuple(_reasons([row for row in rows if not row.green], ids)),
        counts=tuple((each, counted[each]) for each in order),
        ticks=ticks(),
    )


def _matrix(content: Content, ids: Mapping[int, str]) -> CellMatrix:
    """Models in the order of their worst cell, environments in that of their versions."""
    ran = {row.cell.environment for row in content.rows}
    names = sorted(ran, key=by_version)
    keras = {env.name: env.keras for env in content.report.environments}
    rows = []
    for model, cells in by_model(content.rows).items():
        for variant in unique(row.cell.variant for row in sorted(cells, key=lambda row: row.cell.variant)):
            alike = {row.cell.environment: row for row in cells if row.cell.variant == variant}
            visible = tuple(_cell(alike[at], ids) if at in alike else None for at in names)
            label = "" if variant in ("", "as-saved") else variant
            rows.append(MatrixRow(model, label, visible, all(row.green for row in alike.values())))
    rows.sort(key=lambda row: row.quiet)
    return CellMatrix(tuple((_column(content, each), keras.get(each, "")) for each in names), tuple(rows))


def _column(content: Content, environment: str) -> str:
    """The heading of an environment; where it shows changed models alone, as its cells are called."""
    places = {row.where for row in content.rows if row.cell.environment == environment}
    effects = {row.cell.effect for row in content.rows if row.cell.environment == environment}
    return places.pop() if effects == {"model"} and len(places) == 1 else environment


def _cell(row: Row, ids: Mapping[int, str]) -> MatrixCell:
    number, note = wording.cell_note(row)
    visible = mark(row)
    label = " ".join(part for part in (row.cell.cell, visible.word, number, note) if part)
    return MatrixCell(ids[id(row)], visible, number, note, row.green, label)


def _reasons(rows: Sequence[Row], ids: Mapping[int, str]) -> list[ReasonGroup]:
    """Cells by what happened to them, in the order of the worst."""
    groups: dict[object, list[Row]] = {}
    for row in rows:
        groups.setdefault((mark(row).verdict, _key(row)), []).append(row)
    return [_reason(alike, ids) for alike in groups.values()]


def _key(row: Row) -> object:
    """What makes two cells one reason: the cause that is known, else what is said about them."""
    return cause_of(row) or (row.lead or result(row), tuple(row.asides.items()))


def _reason(rows: Sequence[Row], ids: Mapping[int, str]) -> ReasonGroup:
    worst = rows[0]
    change = known(worst)
    if change is not None:
        title = words(change.known.title)
        text = (worst.lead, *worst.origin, *worst.causes)
    elif worst.failure is not None and not worst.compared:
        title, text = failed(worst.failure), ()
    else:
        title = worst.lead or result(worst)
        text = (*worst.origin, *worst.causes, *worst.further)
    kept = tuple(sentence(each) for each in dict.fromkeys(text) if each and each != title)
    models = by_model(rows)
    count = plural(len(rows), "cell")
    count += f", {plural(len(models), 'model')}" if len(models) > 1 else ""
    lines = tuple(_line(alike, ids) for alike in models.values())
    return ReasonGroup(mark(worst), _capital(title), kept[:_MOST_TEXTS], count, lines)


def _capital(title: Words) -> Words:
    visible = sentence(title)
    return (
        *visible[:-1],
        type(visible[-1])(visible[-1].text.removesuffix("."), visible[-1].kind, visible[-1].url),
    )


def _line(rows: Sequence[Row], ids: Mapping[int, str]) -> ReasonLine:
    worst = rows[0]
    ratio = worst.noise_ratio
    links = tuple((ids[id(row)], row.where) for row in rows[:_MOST_LINKS])
    visible = _numbers(worst)
    return ReasonLine(
        worst.model, links, len(rows) - len(links), place(ratio), figures.ratio(ratio), tuple(visible)
    )


def _numbers(row: Row) -> list[tuple[str, Words]]:
    """The columns of a cell that say something; drift ÷ noise is drawn."""
    kept: list[tuple[str, Entry]] = [
        (heading, entry)
        for heading, entry in numbers(row)
        if unmarked(entry.words) != figures.NONE and heading != "drift ÷ noise"
    ]
    return [(heading, words(*entry.words)) for heading, entry in kept]


def rounding_band() -> tuple[float, float]:
    """Where rounding ends on the axis: the start and the width of the grey band, in percent."""
    end = place(BANDS.outputs.grains["all"].rounding) or 0.0
    return _FIRST, end - _FIRST

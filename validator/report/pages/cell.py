"""The page of one cell: a section a question, each with its answer in words before any picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from validator.report.content import Content, Row
from validator.report.document import Block, Code, Entry, Fold, Heading, Table, shortened
from validator.report.outline import environment_words
from validator.report.packages import EnvironmentDifference, differences
from validator.report.pages.overview import mark
from validator.report.pages.pictures import pictures
from validator.report.pages.types import CellPage, CellSection, Part
from validator.report.phrases import plural, sentence, words
from validator.report.reproduce import whole_way
from validator.report.words import page as wording
from validator.report.words.origin import why
from validator.text import tail
from validator.verdict.bands import GREEN

#: The order of reading; checks that are not named come before `known`.
_FIRST = ("layers", "outputs", "accuracy", "decode", "training")
_LAST = ("structure", "loading", "workarounds", "known")
#: Checks whose tables are folded below their pictures.
_FOLDED = ("decode", "training")
_LOG = 20_000
_ROWS, _ITEMS = 400, 200


def cell_pages(content: Content, ids: Mapping[int, str]) -> tuple[CellPage, ...]:
    """A page a cell, worst first, each with its neighbours."""
    apart = {each.name: each for each in differences(content.report)}
    rows = content.rows
    pages = [_page(content, row, ids[id(row)], apart.get(row.cell.environment)) for row in rows]
    return tuple(
        replace(
            page,
            position=at + 1,
            total=len(pages),
            before=pages[at - 1].id if at else "",
            after=pages[at + 1].id if at + 1 < len(pages) else "",
        )
        for at, page in enumerate(pages)
    )


def _page(content: Content, row: Row, name: str, apart: EnvironmentDifference | None) -> CellPage:
    return CellPage(
        id=name,
        row=row,
        mark=mark(row),
        title=wording.page_title(row),
        summary=tuple(sentence(each) for each in wording.summary(row)),
        do=tuple((sentence(text), small) for text, small in wording.actions(row)),
        sections=tuple(_sections(content, row, apart)),
    )


def _sections(content: Content, row: Row, apart: EnvironmentDifference | None) -> Iterator[CellSection]:
    if row.cell.verdict in GREEN and row.compared:
        yield from _compared(row)
    middle = [check for check in row.checks if check not in (*_FIRST, *_LAST)]
    for check in (*_FIRST, *middle):
        yield from _check(row, check)
    if row.cell.origin is not None:
        origin = row.cell.origin
        lead = tuple(sentence(each) for each in why(origin))
        parts = (*pictures("origin", row), *_blocks(row, "origin"))
        if lead or parts:
            answer = wording.origin_answer(origin)
            yield CellSection("origin", wording.TITLES["origin"], answer, lead, parts)
    for check in _LAST:
        yield from _check(row, check)
    yield from _log(row)
    if apart is not None:
        answer = f"{len(apart.packages):,} of {plural(apart.total, 'package')} differ"
        yield CellSection(
            "packages", "Packages", answer, (environment_words(apart, _ITEMS),), _packages(apart)
        )
    yield from _reproduce(content, row)


def _check(row: Row, check: str) -> Iterator[CellSection]:
    """What one check has to say, to draw and to unfold; nothing where it has nothing."""
    if check not in row.checks:
        return
    lead = tuple(
        sentence(remark.words)
        for remark in row.remarks
        if remark.finding.check == check and remark.place not in ("do", "hidden")
    )
    drawn, blocks = pictures(check, row), _blocks(row, check)
    if check in _FOLDED and drawn and blocks:
        blocks = (Fold(words(wording.NUMBERS), blocks),)
    parts = (*drawn, *blocks)
    if lead or parts:
        yield CellSection(
            check,
            wording.section_title(check, row),
            wording.answer(check, row),
            tuple(dict.fromkeys(lead)),
            parts,
        )


def _blocks(row: Row, check: str) -> tuple[Block, ...]:
    unfolded = dict(row.details).get(check, ())
    return tuple(shortened(block, _ROWS, _ITEMS) for block in unfolded)


def _compared(row: Row) -> Iterator[CellSection]:
    lines = wording.what_was_compared(row)
    if not lines:
        return
    headings = (Heading("what"), Heading("compared"), Heading("result"))
    table = Table(headings, tuple(tuple(Entry(text) for text in line) for line in lines))
    yield CellSection("compared", "What was compared", plural(len(lines), "comparison"), (), (table,))


def _log(row: Row) -> Iterator[CellSection]:
    failure = row.failure
    if failure is None:
        return
    text = failure.log if failure.log.strip() else failure.message
    if text.strip():
        yield CellSection("log", "Log", "", (), (Code(tail(text, _LOG)),))


def _packages(apart: EnvironmentDifference) -> tuple[Part, ...]:
    if not apart.packages:
        return ()
    headings = (Heading("package"), Heading("baseline"), Heading("candidate"))
    rows = tuple(
        tuple(Entry(words(text or "–")) for text in (each.name, each.old, each.new))
        for each in (*apart.packages, *apart.facts)
    )
    table = shortened(Table(headings, rows), _ROWS, _ITEMS)
    return (table,) if len(rows) <= 8 else (Fold(words("Every package that differs"), (table,)),)


def _reproduce(content: Content, row: Row) -> Iterator[CellSection]:
    commands = whole_way(content.report, (row.cell,), None, 1)
    if commands:
        yield CellSection("reproduce", "Reproduce", "", (), (Code("\n".join(commands), "console"),))

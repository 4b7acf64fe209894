"""A report in a few lines of plain text: for an exception, a failed test, an interpreter's prompt."""

from __future__ import annotations

from collections.abc import Iterator

from validator.report.content import Content
from validator.report.document import Bullets, Code
from validator.report.figures import NONE
from validator.report.lines import numbers
from validator.report.outline import Detail, Outline, outline
from validator.report.phrases import Words, unmarked
from validator.report.words import WordsByCheck, registered_words
from validator.report.words.cell import result
from validator.report.words.reasons import figures_of, reason
from validator.text import plain
from validator.verdict.results import Report

_LIMIT, _MOST = 600, 6


def brief(report: Report, *, checks: WordsByCheck | None = None) -> str:
    """The verdict, each cell behind it with its numbers, why and what to do, and commands to look further."""
    content = Content(report, checks or registered_words())
    return "\n".join(_lines(outline(content, Detail(cells=0, from_clone=False, log=0, items=20))))


def two_lines(content: Content, cell: str) -> tuple[str, str]:
    """A cell in two lines: its id with what happened, and its numbers."""
    row = next(row for row in content.rows if row.cell.cell == cell)
    measured = [
        f"{heading} {unmarked(entry.words)}"
        for heading, entry in numbers(row)
        if unmarked(entry.words) != NONE
    ]
    return plain(f"{cell}: {unmarked(result(row))}", _LIMIT), plain(", ".join(measured), _LIMIT)


def _lines(page: Outline) -> Iterator[str]:
    report, rows = page.content.report, {row.cell.cell: row for row in page.content.rows}
    yield f"{report.verdict.upper()}: {_flat(page.headline)}"
    for each in report.reasons[:_MOST]:
        row = rows.get(each.cell)
        figures = figures_of(row) if row else ""
        yield f"  {_flat(reason(each, page.content))}{f' ({figures})' if figures else ''}"
    for section in page.sections:
        if section.kind not in ("why", "do", "reproduce"):
            continue
        yield f"{_flat(section.title)}:"
        for block in section.blocks:
            if isinstance(block, Bullets):
                yield from (f"  {_flat(item)}" for item in block.items[:_MOST])
            elif isinstance(block, Code):
                yield from (f"  {plain(line, 1000)}" for line in block.text.splitlines())


def _flat(pieces: Words) -> str:
    return plain(unmarked(pieces), _LIMIT)

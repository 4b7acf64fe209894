"""Results in a notebook: small tables without a style sheet, for light and dark; everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from validator.checks.bands import CellVerdict
from validator.checks.outputs.types import NoiseSource, OutputFinding, OutputsComparison
from validator.report.content import Content
from validator.report.document import Entry, Table, shortened
from validator.report.figures import NONE
from validator.report.outline import Detail, outline
from validator.report.phrases import Piece, Words, unmarked, words
from validator.report.words import WordsByCheck, registered_words
from validator.report.words import arrays as wording
from validator.report.words.outputs import WORDS
from validator.text import plain
from validator.verdict.results import Report

_LIMIT, _ROWS = 400, 30
#: Colours and backgrounds are the notebook's own, so that they are legible in each of its themes.
_CELL = "text-align:left;vertical-align:top;white-space:normal;max-width:42em;padding:.2em .8em .2em 0"
_TAGS = {"name": "code", "strong": "strong"}
_MARKS = {"good": "✓", "warn": "!", "bad": "✗", "unknown": "?"}


def comparison(verdict: CellVerdict, outputs: Sequence[OutputFinding], noise: NoiseSource | None) -> str:
    """Outputs that were compared: the verdict, a row an output, and what they were held against."""
    numbers = OutputsComparison(outputs=tuple(output.numbers for output in outputs))
    tables = [block for block in WORDS.details(numbers, outputs) if isinstance(block, Table)]
    return _page(wording.headline(verdict, outputs), tables, [wording.basis(outputs, noise)])


def run(report: Report, html: str, *, checks: WordsByCheck | None = None) -> str:
    """A run: the verdict, a row a cell, worst first, and where its page lies."""
    content = Content(report, checks or registered_words())
    page = outline(content, Detail(wide=True, together=True, cells=0, log=0))
    tables = [page.table] if isinstance(page.table, Table) else []
    verdict = words(Piece(report.verdict.upper(), "strong"), " ", *page.headline)
    return _page(verdict, tables, [words("Full report: ", Piece(html, "name"))])


def _page(title: Words, tables: Iterable[Table], notes: Iterable[Words]) -> str:
    parts = [Markup("<p><strong>{}</strong></p>").format(_html(title)), *map(_table, tables)]
    parts += [Markup("<p>{}</p>").format(_html(note)) for note in notes]
    return str(Markup('<div class="keras-validator">{}</div>').format(Markup("").join(parts)))


def _table(whole: Table) -> Markup:
    """A table without the columns that show nothing."""
    block = shortened(whole, _ROWS, _ROWS)
    assert isinstance(block, Table)  # noqa: S101 - as what it shortens
    kept = [at for at in range(len(block.headings)) if any(_shows(row[at]) for row in block.rows)]
    titles = [block.headings[at].text for at in kept]
    head = Markup("").join(_cell("th" if title else "td", escape(title)) for title in titles)
    rows = [Markup("").join(_cell("td", _entry(row[at])) for at in kept) for row in block.rows]
    rows += [_cell("td", escape(f"{block.hidden:,} more"))] if block.hidden else []
    body = Markup("").join(Markup("<tr>{}</tr>").format(row) for row in rows)
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)


def _shows(entry: Entry) -> bool:
    return bool(entry.words) and unmarked(entry.words) != NONE


def _cell(tag: str, content: Markup) -> Markup:
    return Markup('<{0} style="{1}">{2}</{0}>').format(Markup(tag), _CELL, content)  # noqa: S704 - ours


def _entry(entry: Entry) -> Markup:
    small = Markup("<br><small>{}</small>").format(_html(entry.small)) if entry.small else Markup("")
    return _html(entry.words) + small


def _html(pieces: Words) -> Markup:
    return Markup("").join(_piece(piece) for piece in pieces)


def _piece(piece: Piece) -> Markup:
    if piece.kind == "mark":
        return Markup('<span role="img" aria-label="{}">{}</span>').format(piece.text, _MARKS[piece.text])
    before = " " if piece.text[:1].isspace() else ""
    after = " " if piece.text[-1:].isspace() and piece.text.strip() else ""
    text = escape(f"{before}{plain(piece.text, _LIMIT)}{after}")
    tag = _TAGS.get(piece.kind)
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), text) if tag else text  # noqa: S704 - ours

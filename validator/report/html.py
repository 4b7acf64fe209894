"""The report as one HTML file that needs nothing else: its style, its script and their data are inside.

Jinja writes every word; without the script the page is complete. The script draws pictures into `<div>`s from
one block of JSON, filters and follows keys (`web/`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from pydantic import JsonValue

from validator.history import HistoryRun
from validator.report.content import Content
from validator.report.outline import Detail, SectionKind, outline
from validator.report.pages.cell import cell_pages
from validator.report.pages.history import charted_parts, trends
from validator.report.pages.overview import overview, rounding_band
from validator.report.pages.types import Ids, Part, Picture
from validator.report.phrases import Piece, unmarked, words
from validator.report.words import WordsByCheck, registered_words
from validator.report.words import page as wording
from validator.text import multiline, plain
from validator.verdict.results import Report

LIMIT, CODE_LIMIT = 600, 20_000
STATES = {"good": "holds", "warn": "look", "bad": "breaks", "unknown": "unknown"}
#: Everything, within what a browser shows without effort.
FULL = Detail(cells=0, rows=2000, log=CODE_LIMIT, items=400)
#: Sections of the overview that share a heading; why and what to do stand on top, details on pages.
_HEADINGS: dict[SectionKind, str] = {
    "failures": "Failures",
    "notes": "Notes",
    "upgrade": "Upgrade",
    "packages": "Packages",
    "reproduce": "Reproduce",
    "accept": "Accept a known change",
}


@dataclass
class _Numbers:
    """The pictures of a page in the order in which Jinja meets them: their places in the block of JSON."""

    pictures: list[JsonValue] = field(default_factory=list)

    def number(self, picture: Picture) -> int:
        """Keep a picture's data, and give its place."""
        self.pictures.append({"kind": picture.kind, **picture.data})
        return len(self.pictures) - 1


@dataclass(frozen=True)
class _Run:
    """Parts in a row that are all pictures, which stand side by side, or none of them."""

    pictures: bool
    parts: tuple[Part, ...]


#: Before any page is laid out: with a script, only one is shown at a time.
EARLY = 'document.documentElement.classList.add("scripted")'


def page(report: Report, *, checks: WordsByCheck | None = None, history: Sequence[HistoryRun] = ()) -> str:
    """The whole page. Names, messages and logs are cleaned and escaped; its CSP allows our script alone.

    `history`: earlier runs and this one, by time, for the trend of each model.
    """
    content = Content(report, checks or registered_words())
    laid_out = outline(content, FULL)
    ids = Ids()
    ids.taken |= {"overview", "content", "pictures", "theme"}
    names = {id(row): ids.make(row.cell.cell) for row in content.rows}
    shared = (section for section in laid_out.sections if section.kind in _HEADINGS)
    groups = groupby(shared, key=lambda section: _HEADINGS[section.kind])
    over = overview(content, names)
    numbers = _Numbers()
    environment = _environment().overlay()
    environment.filters = {**environment.filters, "number": numbers.number}
    text = environment.get_template("report.html.j2").render(
        page=laid_out,
        over=over,
        trends=trends(report, history),
        worst=over.counts[0][0] if over.counts else None,
        band=rounding_band(),
        legend=wording.legend(),
        shapes=wording.SHAPES,
        todo=[section for section in laid_out.sections if section.kind == "do"],
        groups=[(heading, list(sections)) for heading, sections in groups],
        pages=cell_pages(content, names),
        csp=_policy(),
        style=Markup(_asset("report.css")),  # noqa: S704 - our own file
        script=Markup(_asset("report.js")),  # noqa: S704 - our own file
        early=Markup(EARLY),  # noqa: S704 - our own text
        data=_DATA,
    )
    return text.replace(_DATA, embedded(numbers.pictures), 1)


def history_page(entries: Sequence[HistoryRun], title: str) -> str:
    """A history as a page of its own, without a script. `title`: what it is a history of."""
    parts = charted_parts(entries)
    notes = dict.fromkeys(
        words(*each.part.title, ": ", *note)
        for each in parts
        for drawn in each.charts
        for note in drawn.notes
    )
    return (
        _environment()
        .get_template("history.html.j2")
        .render(
            parts=parts,
            notes=list(notes),
            title=title,
            runs=len(entries),
            csp=_still_policy(),
            style=Markup(_asset("report.css")),  # noqa: S704 - our own file
        )
    )


#: Stands where the data will, known once every picture was met. Cleaned text has no such character.
_DATA = "\x02pictures\x03"


def embedded(data: JsonValue) -> str:
    """Data as JSON that can stand inside a `<script>` element: no tag, comment or entity can begin in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


@cache
def _asset(name: str) -> str:
    return files("validator.report").joinpath(f"templates/{name}").read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Our style sheet, the one that pictures bring along, and our script, by their hashes."""
    styles = " ".join(_hash(_asset(name)) for name in ("report.css", "plot.css"))
    script = f"{_hash(EARLY)} {_hash(_asset('report.js'))}"
    sources = f"style-src {styles}; script-src {script}; img-src data:"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


@cache
def _still_policy() -> str:
    """Our style sheet alone, by its hash."""
    return f"default-src 'none'; style-src {_hash(_asset('report.css'))}; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("validator.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = lambda pieces: Markup("").join(_piece(piece) for piece in pieces)
    environment.filters["flat"] = lambda pieces: plain(unmarked(pieces), LIMIT)
    environment.filters["plain"] = lambda value: plain(str(value), LIMIT)
    environment.filters["lines"] = lambda value: multiline(str(value), CODE_LIMIT)
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["runs"] = _runs
    return environment


def _runs(parts: tuple[Part, ...]) -> list[_Run]:
    runs = groupby(parts, key=lambda part: isinstance(part, Picture))
    return [_Run(pictures, tuple(run)) for pictures, run in runs]


def _piece(piece: Piece) -> Markup:
    text = escape(_spaced(piece.text))
    match piece.kind:
        case "name":
            return Markup("<code>{}</code>").format(text)
        case "strong":
            return Markup("<strong>{}</strong>").format(text)
        case "link":
            return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>').format(piece.url, text)
        case "mark":
            return Markup('<span class="state {0}">{0}</span>').format(STATES[piece.text])
        case "text":
            return text


def _spaced(text: str) -> str:
    before = " " if text[:1].isspace() else ""
    return f"{before}{plain(text, LIMIT)}{' ' if text[-1:].isspace() and text.strip() else ''}"

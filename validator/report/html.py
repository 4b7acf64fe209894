"""The report as one HTML page that needs nothing else: no script, no font, no image from anywhere."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from validator.report.content import Content, Row
from validator.report.figures import number, ratio
from validator.report.outline import Detail, SectionKind, outline
from validator.report.phrases import Piece
from validator.report.words import WordsByCheck, registered_words
from validator.text import multiline, plain
from validator.verdict.results import Report

LIMIT, CODE_LIMIT = 600, 20_000
MOST_BARS = 60
STATES = {"good": "holds", "warn": "look", "bad": "breaks", "unknown": "unknown"}
#: Everything, within what a browser shows without effort.
FULL = Detail(cells=300, green_cells=True, rows=2000, log=CODE_LIMIT, items=400)
#: Of sections that share a heading; explanations have their title for one.
_HEADINGS: dict[SectionKind, str] = {
    "unchanged": "Unchanged",
    "details": "In detail",
    "failures": "Failures",
    "notes": "Notes",
    "upgrade": "Upgrade",
    "packages": "Packages",
    "reproduce": "Reproduce",
}


@dataclass(frozen=True)
class Bar:
    """One output's drift on a logarithmic scale; `width` is in percent of the scale."""

    row: Row
    output: str
    width: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Bars in decades of a unit; each tick has its position in percent and its label."""

    unit: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]


def page(report: Report, *, checks: WordsByCheck | None = None) -> str:
    """The whole page. Names, messages and logs are cleaned and escaped; its CSP forbids every script."""
    content = Content(report, checks or registered_words())
    laid_out = outline(content, FULL)
    style = files("validator.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    shared = (section for section in laid_out.sections if section.kind in _HEADINGS)
    groups = groupby(shared, key=lambda section: _HEADINGS[section.kind])
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=laid_out,
            groups=[(heading, list(sections)) for heading, sections in groups],
            scale=scale(content.rows),
            most_bars=MOST_BARS,
            verdict=report.verdict,
            # Our style sheet, by its hash, and nothing else.
            csp=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
            style=Markup(style),  # noqa: S704 - our own file
        )
    )


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
    environment.filters["plain"] = lambda value: plain(str(value), LIMIT)
    environment.filters["lines"] = lambda value: multiline(str(value), CODE_LIMIT)
    environment.filters["state"] = STATES.__getitem__
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment


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


def scale(rows: tuple[Row, ...]) -> Scale | None:
    """Bars of every output that moved: in units of the noise where it is known for all, else absolute."""
    moved = [
        (row, output, output.comparison.max_abs)
        for row in rows
        for output in row.outputs
        if output.comparison and output.comparison.max_abs
    ]
    if not moved:
        return None
    ratios = [output.drift.ratio if output.drift else 0.0 for _, output, _ in moved]
    in_noise = all(times and math.isfinite(times) for times in ratios)
    sizes = ratios if in_noise else [size for _, _, size in moved]
    label, unit = (ratio, "×") if in_noise else (number, "")
    low, high = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    low, high = min(low, high - 2), max(high, low + 2)
    span = high - low
    bars = [
        Bar(row, output.name, 100 * max(0.01, (math.log10(size) - low) / span), label(size))
        for (row, output, _), size in zip(moved, sizes, strict=True)
    ]
    decades = range(low, high + 1, math.ceil(span / 5))  # at most six ticks
    ticks = tuple((100 * (at - low) / span, f"{_power(at)}{unit}") for at in decades)
    return Scale(unit, tuple(sorted(bars, key=lambda bar: bar.width, reverse=True)), ticks)


def _power(exponent: int) -> str:
    return f"{10**exponent:g}" if -3 < exponent < 5 else f"1e{exponent}"

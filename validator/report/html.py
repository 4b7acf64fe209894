"""The report as one HTML page that needs nothing else: no script, no font, no image from anywhere."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from functools import cache, cached_property

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from validator.report import content, inside, story, wording
from validator.report.content import EnvironmentDifference, FailureGroup, Line, Row
from validator.report.inside import Inside
from validator.report.wording import Words
from validator.results import OutputResult, Report
from validator.text import multiline, plain, tail

LIMIT, LOG_LIMIT, MOST_OUTPUTS = 600, 20_000, 2000
MOST_INSIDES = 40
STATES: dict[content.State, str] = {"good": "holds", "warn": "look", "bad": "breaks", "unknown": "unknown"}


@dataclass(frozen=True)
class Bar:
    """One output's drift on a logarithmic scale; `width` is in percent of the scale."""

    row: Row
    output: OutputResult
    width: float
    label: str


@dataclass(frozen=True)
class Scale:
    """The decades that the bars span."""

    low: int
    high: int
    unit: str
    bars: tuple[Bar, ...]

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Position in percent and label of each tick; at most six."""
        span = self.high - self.low
        step = max(1, math.ceil(span / 5))
        return tuple(
            (100 * (at - self.low) / span, _power(at, self.unit))
            for at in range(self.low, self.high + 1, step)
        )


def page(report: Report) -> str:
    """The whole page. Names, messages and logs are cleaned and escaped; its CSP forbids every script."""
    style = Markup(_style())  # noqa: S704 - our own file
    return _template().render(view=_View(report), report=report, csp=_policy(), style=style)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("validator.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = _words
    environment.filters["plain"] = lambda value: plain(str(value), LIMIT)
    environment.filters["lines"] = lambda value: multiline(str(value), LOG_LIMIT)
    environment.filters["judged"] = lambda metric: _words(wording.judged(metric))
    environment.filters["prose"] = lambda value: _words(wording.prose(value))
    environment.filters["number"] = wording.number
    environment.filters["ratio"] = wording.ratio
    environment.globals["share"] = wording.share
    return environment


def _template() -> Template:
    return _environment().get_template("report.html.j2")


@cache
def _style() -> str:
    loader = _environment().loader
    assert loader is not None  # noqa: S101 - set just above
    return loader.get_source(_environment(), "report.css")[0]


def _policy() -> str:
    """A Content-Security-Policy that allows our style sheet, by its hash, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _words(words: Words) -> Markup:
    return Markup("").join(_piece(piece) for piece in words)


def _piece(piece: wording.Piece) -> Markup:
    shown = escape(_spaced(piece.text))
    match piece.kind:
        case "name":
            return Markup("<code>{}</code>").format(shown)
        case "strong":
            return Markup("<strong>{}</strong>").format(shown)
        case "link":
            return Markup('<a href="{}" rel="noopener noreferrer nofollow">{}</a>').format(piece.url, shown)
        case "text":
            return shown


def _spaced(text: str) -> str:
    before = " " if text[:1].isspace() else ""
    return f"{before}{plain(text, LIMIT)}{' ' if text[-1:].isspace() and text.strip() else ''}"


def scale(rows: tuple[Row, ...]) -> Scale | None:
    """Bars of every output that moved: in units of the noise where it is known for all, else absolute."""
    moved = [(row, output) for row, output in content.outputs(rows) if output.max_abs][:MOST_OUTPUTS]
    if not moved:
        return None
    in_noise = all(output.noise_ratio for _, output in moved)
    sizes = [float((output.noise_ratio if in_noise else output.max_abs) or 0) for _, output in moved]
    low, high = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    low, high = min(low, high - 2), max(high, low + 2)
    bars = (
        Bar(
            row,
            output,
            100 * max(0.01, (math.log10(size) - low) / (high - low)),
            wording.ratio(size) if in_noise else wording.number(size),
        )
        for (row, output), size in zip(moved, sizes, strict=True)
    )
    unit = "×" if in_noise else ""
    return Scale(low, high, unit, tuple(sorted(bars, key=lambda bar: bar.width, reverse=True)))


def _power(exponent: int, unit: str) -> str:
    return f"{10**exponent:g}{unit}" if -3 < exponent < 5 else f"1e{exponent}{unit}"


@dataclass(frozen=True)
class _View:
    """What the template asks for."""

    report: Report

    @property
    def icon(self) -> str:
        return story.ICONS[self.report.verdict]

    @property
    def headline(self) -> str:
        return story.headline(self.report)

    @property
    def upgrade(self) -> Words:
        return story.upgrade(self.report)

    @property
    def sentences(self) -> tuple[Words, ...]:
        return story.sentences(self.report)

    @property
    def rows(self) -> tuple[Row, ...]:
        return content.rows(self.report)

    @property
    def lines(self) -> tuple[Line, ...]:
        return content.lines(self.rows)

    @property
    def columns(self) -> tuple[content.Column, ...]:
        return content.number_columns(self.rows)

    def state(self, row: Row) -> str:
        return STATES[row.state]

    @property
    def scale(self) -> Scale | None:
        return scale(self.rows)

    @property
    def outputs(self) -> tuple[tuple[Row, OutputResult], ...]:
        return content.outputs(self.rows)[:MOST_OUTPUTS]

    def told(self, output: OutputResult) -> Words:
        return wording.moved(output) or (wording.text(wording.VERDICTS[output.verdict]),)

    def shape(self, output: OutputResult) -> str:
        return f"{wording.shape(output.shape)} {output.dtype}".rstrip()

    def plural(self, count: int, noun: str) -> str:
        return wording.plural(count, noun)

    def change(self, before: float | None, after: float | None) -> str:
        return wording.change(before, after)

    @property
    def whys(self) -> tuple[content.Why, ...]:
        return content.whys(self.report)

    @cached_property
    def insides(self) -> tuple[Inside, ...]:
        return inside.insides(self.report)

    @property
    def notes(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        told = {one for shown in self.insides[:MOST_INSIDES] for one in shown.told}
        return content.notes(self.report, told)

    @property
    def failures(self) -> tuple[FailureGroup, ...]:
        return content.failures(self.report)

    def said(self, group: FailureGroup) -> Words:
        where = wording.listed([wording.name(place) for place in group.places], most=8)
        return (*where, wording.text(" "), *wording.failed(group.failure))

    def log(self, group: FailureGroup) -> str:
        return tail(group.failure.log.strip() or group.failure.message, LOG_LIMIT)

    @property
    def differences(self) -> tuple[EnvironmentDifference, ...]:
        return content.differences(self.report)

    @property
    def changes(self) -> tuple[str, ...]:
        return (
            tuple(story.moved_package(one) for one in self.report.upgrade.changes)
            if self.report.upgrade
            else ()
        )

    @property
    def commands(self) -> tuple[str, ...]:
        return content.commands(self.report, 200)

    @property
    def took(self) -> str:
        return wording.seconds(self.report.seconds)

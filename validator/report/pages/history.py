"""Pictures of a history: a chart for each series, drawn on this side, so that it needs no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from validator.history import HistoryRun, Series, by_commit
from validator.history.series import DRIFT, SECONDS
from validator.report.history import HistoryPart, history_parts
from validator.report.phrases import Words
from validator.report.words import history as wording
from validator.verdict.bands import GREEN
from validator.verdict.results import Report

_LEFT, _RIGHT, _TOP, _BOTTOM = 2.0, 98.0, 12.0, 88.0  # percent of the picture
_MOST_POINTS = 200
_MOST_CHARTS = 4  # of one model in a report
_ROWS = 2000


@dataclass(frozen=True)
class ChartPoint:
    """A run in a chart: its place in percent, what a pointer shows, and whether its verdict is green."""

    x: float
    y: float
    text: str
    quiet: bool


@dataclass(frozen=True)
class Chart:
    """A series as a picture. `steps`: places of new levels, in percent; `ends`: the first and last place."""

    title: str
    label: str
    points: tuple[ChartPoint, ...]
    steps: tuple[float, ...]
    low: str
    high: str
    ends: tuple[str, str]
    notes: tuple[Words, ...]


@dataclass(frozen=True)
class ChartedPart:
    """A part of the history with its charts."""

    part: HistoryPart
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Trend:
    """The charts of one model in a report."""

    title: Words
    charts: tuple[Chart, ...]


def charted_parts(entries: Sequence[HistoryRun]) -> tuple[ChartedPart, ...]:
    """Every part of a history with a chart for each of its numbers."""
    return tuple(
        ChartedPart(part, tuple(chart(each) for each in part.series if len(each.points) > 1))
        for part in history_parts(entries, _ROWS)
    )


def trends(report: Report, entries: Iterable[HistoryRun]) -> tuple[Trend, ...]:
    """How the models of a report went in earlier runs, environment by environment; nothing without any.

    `entries`: of the report's configuration, by time.
    """
    cells = {(model.name, cell.environment, cell.variant) for model in report.models for cell in model.cells}
    made: dict[object, list[Series]] = {}
    for series in by_commit(entries):
        subject = series.subject
        known = (subject.model, subject.environment, subject.variant) in cells
        if known and series.quantity != SECONDS and len(series.points) > 1:
            made.setdefault(subject, []).append(series)
    return tuple(
        Trend(wording.subject_title(alike[0].subject), tuple(map(chart, alike[:_MOST_CHARTS])))
        for alike in made.values()
    )


def chart(series: Series) -> Chart:
    """The picture of a series; of many points the latest."""
    points = series.points[-_MOST_POINTS:]
    values = [point.value for point in points]
    low, high = (min(0.0, *values) if series.quantity in (DRIFT, SECONDS) else min(values)), max(values)
    left_out = len(series.points) - len(points)
    return Chart(
        title=series.quantity,
        label=wording.summary(series),
        points=tuple(
            ChartPoint(
                x=_x(at, len(points)),
                y=_BOTTOM - (point.value - low) / (high - low) * (_BOTTOM - _TOP) if high > low else 50.0,
                text=f"{wording.place(series, point)}: {wording.value(series.quantity, point.value)}",
                quiet=point.verdict is None or point.verdict in GREEN,
            )
            for at, point in enumerate(points)
        ),
        steps=tuple(_x(at - left_out, len(points)) for at in series.levels.steps if at >= left_out),
        low=wording.value(series.quantity, low),
        high=wording.value(series.quantity, high),
        ends=(wording.end(series, points[0]), wording.end(series, points[-1])),
        notes=wording.notes(series),
    )


def _x(at: int, count: int) -> float:
    return _LEFT + at / (count - 1) * (_RIGHT - _LEFT) if count > 1 else 50.0

"""The trend of each model in report.html."""

from __future__ import annotations

from tests.history.runs import entry
from tests.report import cases
from tests.report.examples import examples
from validator.report.html import page
from validator.report.pages.history import trends


def runs(count: int) -> list:  # type: ignore[type-arg]
    entries = [entry(night, 0.9) for night in range(count)]
    cells = (each.cells[0].model_copy(update={"environment": cases.HEAD}) for each in entries)
    return [each.model_copy(update={"cells": (cell,)}) for each, cell in zip(entries, cells, strict=True)]


def test_a_model_with_earlier_runs_has_a_chart_for_drift_and_each_metric() -> None:
    (trend,) = trends(examples(), runs(3))
    assert [chart.title for chart in trend.charts] == ["drift ÷ noise", "accuracy"]
    assert [len(chart.points) for chart in trend.charts] == [3, 3]
    text = page(examples(), history=runs(3))
    assert text.count('class="trend"') == 2
    assert "<h2>Trend</h2>" in text


def test_without_earlier_runs_there_is_no_trend() -> None:
    assert trends(examples(), runs(1)) == ()
    assert "<h2>Trend</h2>" not in page(examples())
    other = [each.model_copy(update={"cells": ()}) for each in runs(3)]
    assert trends(examples(), other) == ()


def test_points_stand_inside_the_picture() -> None:
    (trend,) = trends(examples(), runs(500))
    for chart in trend.charts:
        assert len(chart.points) == 200
        assert all(0 <= point.x <= 100 and 0 <= point.y <= 100 for point in chart.points)

"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.report import figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.5e-7, "1.5e-7"),
        (9e-8, "9e-8"),
        (0.0, "0"),
        (0.53, "0.53"),
        (4096.0, "4,096"),
        (1.3e6, "1.3e6"),
        (-2.5e-5, "-2.5e-5"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_numbers(value: float | None, shown: str) -> None:
    assert figures.number(value) == shown


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (412.3, "412×"),
        (0.6, "0.6×"),
        (0.0, "0×"),
        (0.01, "<0.1×"),
        (1.3e6, "1.3e6×"),
        (5.4e37, ">1e12×"),
        (10.2, "10×"),
        (None, "–"),
    ],
)
def test_ratios(times: float | None, shown: str) -> None:
    assert figures.ratio(times) == shown


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (0.613, 0.341, "0.613 → 0.341"),
        (0.983, 0.983, "0.983 = 0.983"),
        (0.98312, 0.98314, "0.98312 → 0.98314"),
        (None, 0.5, "none → 0.500"),
        (None, None, "–"),
        (12345.678, 2.0, "1.23e+04 → 2.000"),
    ],
)
def test_changes_show_the_digit_that_differs(before: float | None, after: float | None, shown: str) -> None:
    assert figures.change(before, after) == shown


@pytest.mark.parametrize(
    ("took", "shown"), [(0.44, "0.4 s"), (41.3, "41 s"), (185.0, "3 min 5 s"), (None, "")]
)
def test_durations(took: float | None, shown: str) -> None:
    assert figures.seconds(took) == shown


class TestSparkline:
    @given(st.lists(st.none() | st.floats(-1e-9, 1e300), max_size=200), st.none() | st.integers(1, 64))
    def test_as_many_characters_as_values_or_as_fit(
        self, values: list[float | None], most: int | None
    ) -> None:
        bars = figures.sparkline(values, most)
        assert len(bars) == len(values) if most is None else len(bars) <= min(most, len(values))
        assert set(bars) <= set("·▁▂▃▄▅▆▇█")
        assert ("█" in bars) == any(one is not None and one > 0 for one in values)

    @given(st.lists(st.floats(0, 1e6), min_size=1, max_size=64))
    def test_a_larger_value_is_never_lower(self, values: list[float]) -> None:
        assert figures.sparkline(sorted(values)) == "".join(sorted(figures.sparkline(values)))

    def test_what_is_not_known_is_no_zero(self) -> None:
        assert figures.sparkline([0.0, None, 1.0, 0.5]) == "▁·█▅"
        assert figures.sparkline([]) == ""
        assert figures.sparkline([0.0, 0.0]) == "▁▁"

    def test_neighbours_share_a_character_that_shows_the_worst(self) -> None:
        assert figures.sparkline([0, 0, 0, 8, 0, 0], most=3) == "▁█▁"


@pytest.mark.parametrize(
    ("p", "text"), [(0.003, "p = .003"), (0.00099, "p < .001"), (1.0, "p = 1.000"), (None, "")]
)
def test_probabilities(p: float | None, text: str) -> None:
    assert figures.probability(p) == text


def test_a_score_that_is_no_number_is_none() -> None:
    assert figures.change(0.9, float("nan")) == "0.900 → none"

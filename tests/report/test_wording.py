"""Numbers and words."""

from __future__ import annotations

import pytest

from tests.report import cases
from validator.report import content, story, wording
from validator.report.wording import unmarked
from validator.results import Failure, OutputResult


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
    assert wording.number(value) == shown


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (412.3, "412×"),
        (0.6, "0.6×"),
        (0.0, "0×"),
        (0.01, "<0.1×"),
        (1.3e6, "1.3e6×"),
        (10.2, "10×"),
        (None, "–"),
    ],
)
def test_ratios(times: float | None, shown: str) -> None:
    assert wording.ratio(times) == shown


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
    assert wording.change(before, after) == shown


@pytest.mark.parametrize(
    ("took", "shown"), [(0.44, "0.4 s"), (41.3, "41 s"), (185.0, "3 min 5 s"), (None, "")]
)
def test_durations(took: float | None, shown: str) -> None:
    assert wording.seconds(took) == shown


def test_an_error_that_only_introduces_brings_its_next_line() -> None:
    failure = Failure(stage="resolve", error="uv", message=cases.NO_SOLUTION)
    said = unmarked(wording.failed(failure))
    assert said.startswith(
        "failed to resolve: uv: No solution found when resolving dependencies: Because tensorflow"
    )


def test_names_and_known_links_in_a_message() -> None:
    pieces = wording.prose(
        "cast `x` (https://github.com/keras-team/keras/pull/7) https://evil.example/pull/7"
    )
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("text", "cast "),
        ("name", "x"),
        ("text", " ("),
        ("link", "keras#7"),
        ("text", ") https://evil.example/pull/7"),
    ]


def test_a_verdict_is_not_said_twice() -> None:
    cell = cases.changed("m").model_copy(
        update={"message": "changed: `output` is off", "first_difference": None, "accuracy": None}
    )
    assert unmarked(wording.happened(cell)) == "changed: output is off"


def test_what_moved_names_output_element_and_numbers() -> None:
    output = cases.output("changed", 0.53).model_copy(update={"nan_candidate": 4})
    said = unmarked(wording.moved(output))
    assert said == (
        "output 4 NaN where the baseline has 0; differs by 0.53 at most, at [17, 3]: 0.1235 → 0.6535; "
        "1,203 of 3,600 elements outside tolerance"
    )


def test_an_output_of_which_nothing_is_known_says_nothing() -> None:
    assert wording.moved(OutputResult(name="x", verdict="not-compared", rule="missing")) == ()


def test_a_failure_of_several_models_is_one_line() -> None:
    lines = content.lines(content.rows(cases.failed_to_install()))
    assert lines[0].models == ("digits", "translator", "llama")
    assert lines[0].places == ("keras-3.5.0",)
    assert len(lines) == 4
    assert len(content.failures(cases.failed_to_install())) == 1


def test_a_gated_cell_is_never_green() -> None:
    row = content.Row("m", cases.identical("m").model_copy(update={"gated": ("nondeterministic",)}))
    assert not row.green


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("all-identical", "Predictions are identical"),
        ("rounding", "Predictions hold, up to rounding"),
        ("changed", "Predictions change, accuracy gets worse"),
        ("metric-only", "Predictions hold, a reported metric changes"),
        ("failed-to-install", "keras-3.5.0 failed to resolve"),
        ("failed-to-load", "1 model failed to load"),
        ("nothing-relevant", "Nothing relevant changed"),
        ("baseline-unusable", "Cannot judge: the baseline is unusable"),
    ],
)
def test_headlines(case: str, words: str) -> None:
    assert story.headline(cases.CASES[case]()) == words


def test_without_an_upgrade_the_headline_says_what_was_compared() -> None:
    report = cases.only_rounding().model_copy(update={"upgrade": None})
    assert unmarked(story.upgrade(report)) == "keras-3.5.0 and legacy against keras-3.3.3"


def test_one_baseline_cell_that_failed_is_named_and_the_rest_is_not_thrown_away() -> None:
    lost = cases.not_compared("translator", message="the baseline failed at load: ValueError: no such layer")
    report = cases.report(
        "inconclusive", cases.model("translator", lost), cases.model("digits", cases.identical("digits"))
    )
    assert story.headline(report) == "Cannot judge: the baseline is unusable"
    said = [unmarked(words) for words in story.sentences(report)]
    assert said == [
        "translator@keras-3.5.0: the baseline failed at load: ValueError: no such layer.",
        "So nothing can be said about 1 of 2 cells.",
    ]
    assert content.notes(report) == ()

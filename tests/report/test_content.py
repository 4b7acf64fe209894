"""Which facts a report has, and in which order."""

from __future__ import annotations

import pytest

from tests.report import cases
from tests.report.toy import WORDS, ToyComparison, ToyComparisons
from validator.checks.loading.types import BaselineFailed, CellFailed
from validator.failure import Failure
from validator.report.content import Content, Row
from validator.report.document import Bullets, Entry, Fold, Heading, Table, shortened
from validator.report.lines import lines, table
from validator.report.outline import Detail, outline
from validator.report.packages import differences
from validator.report.phrases import unmarked, words
from validator.verdict.results import CellResult, Report


def content(*cells: CellResult) -> Content:
    return Content(cases.report("fail", cases.model("m", *cells)), WORDS)


def lead(*findings: object, verdict: str = "changed") -> str:
    cell = cases.changed("m", findings=findings).model_copy(update={"verdict": verdict})
    return unmarked(content(cell).rows[0].lead)


def unfolded(*cells: CellResult, **detail: bool) -> list[str]:
    page = outline(content(*cells), Detail(**detail))
    return [unmarked(section.title) for section in page.sections if section.kind == "details"]


class TestLead:
    def test_the_last_check_wins(self) -> None:
        early = cases.remark("lead", "toy speaks", verdict="changed")
        assert lead(early) == "toy speaks"
        assert lead() == ""

    def test_a_lead_for_another_verdict_is_left_out(self) -> None:
        assert lead(cases.remark("lead", "trains otherwise", verdict="suspicious")) == ""
        assert lead(cases.remark("lead", "trains otherwise", verdict=None)) == "trains otherwise"

    def test_the_first_finding_of_that_check(self) -> None:
        assert lead(cases.remark("lead", "first"), cases.remark("lead", "second")) == "first"


class TestOrder:
    def test_gated_then_severity_then_drift(self) -> None:
        cells = (
            cases.rounding("m", "a"),
            cases.rounding("m", "b").model_copy(update={"gated": ("nondeterministic",)}),
            cases.suspicious("m", "c"),
            cases.changed("m", "d", gated=(), checks=ToyComparisons(outputs=cases.output(0.1, 9.0))),
            cases.changed("m", "e", gated=()),
        )
        assert [row.cell.environment for row in content(*cells).rows] == ["b", "e", "d", "c", "a"]

    def test_a_gated_cell_is_never_green(self) -> None:
        cell = cases.identical("m").model_copy(update={"gated": ("nondeterministic",)})
        assert not Row("m", cell, WORDS).green

    def test_notes_that_need_a_look_come_first_and_what_holds_last(self) -> None:
        notes = content(cases.changed("m"), cases.changed("m", "legacy")).notes()
        assert [unmarked(note) for note in notes] == [
            "continuation diverges at step 3",
            "the artifact was loaded by its builder",
            "ten training steps are identical",
        ]
        assert next(iter(notes.values())) == ("m@keras-3.5.0", "m@legacy")


class TestLines:
    def test_a_failure_of_several_models_is_one_line(self) -> None:
        lost = Content(cases.failed_to_install(), WORDS)
        line, *others = lines(lost.rows)
        assert line.models == ("digits", "translator", "llama")
        assert line.places == ("keras-3.5.0",)
        assert len(others) == 3
        assert len(lost.failures()) == 1

    def test_cells_of_a_model_that_are_alike_are_one_line(self) -> None:
        alike = content(
            cases.changed("m", "a"), cases.changed("m", "b"), cases.changed("m", "c", findings=())
        )
        assert sorted(line.places for line in lines(alike.rows)) == [("a", "b"), ("c",)]

    def test_columns_of_nothing_are_left_out(self) -> None:
        bare = content(cases.failed("m", "a", "load", "ValueError", "no"))
        shown = table(lines(bare.rows), wide=True, names=4)
        assert [head.text for head in shown.headings] == ["", "model", "environment", "result"]


class TestFailures:
    def test_a_failure_in_a_finding_counts_as_well(self) -> None:
        failure = Failure(stage="load", error="ValueError", message="no such layer")
        cell = cases.failed("m", "a", "load", "x", "y").model_copy(
            update={"failure": None, "findings": (CellFailed(failure=failure),)}
        )
        assert content(cell).failures()[0][0] == failure

    def test_a_lost_baseline_is_no_failure_of_each_cell(self) -> None:
        lost = Content(cases.baseline_unusable(), WORDS)
        assert [places for _, places in lost.failures()] == [("keras-3.3.3",)]

    def test_the_failure_of_a_baseline_cell_is_known(self) -> None:
        failure = Failure(stage="load", error="ValueError", message="no such layer")
        cell = cases.not_compared("m").model_copy(
            update={"failure": None, "findings": (BaselineFailed(failure=failure),)}
        )
        assert Row("m", cell, WORDS).failure == failure


class TestUnchecked:
    def test_models_without_a_check_where_others_have_it(self) -> None:
        bare = cases.suspicious("b")
        report = cases.report("warn", cases.model("a", cases.identical("a")), cases.model("b", bare))
        gaps = Content(report, WORDS).unchecked()
        assert gaps["accuracy"] == ("b",)
        assert gaps["decode"] == ()

    def test_what_could_not_run_is_no_gap(self) -> None:
        gaps = content(cases.failed("m", "a", "load", "ValueError", "no")).unchecked()
        assert gaps == {}


class TestDetails:
    def test_the_same_in_two_environments_is_unfolded_once(self) -> None:
        cells = [cases.changed("m", where) for where in ("a", "b")]
        assert unfolded(*cells) == ["Details of m in a and b (outputs, toy)"]

    def test_only_what_needs_a_look(self) -> None:
        assert unfolded(cases.rounding("m")) == []
        assert unfolded(cases.rounding("m"), green_cells=True) == ["Details of m (outputs)"]

    def test_a_cell_alone_of_its_model_needs_no_place(self) -> None:
        assert unfolded(cases.changed("m")) == ["Details of m (outputs, toy)"]
        (title,) = unfolded(cases.changed("m"), cases.identical("m", "a"))
        assert title == "Details of m in keras-3.5.0 (outputs, toy)"

    def test_explanations_of_a_verdict_of_its_own_are_apart(self) -> None:
        own = cases.remark("why", "the optimiser differs", verdict="changed")
        (row,) = content(cases.rounding("m").model_copy(update={"findings": (own,)})).rows
        assert row.causes == ()
        assert [unmarked(each) for each in row.further] == ["the optimiser differs"]


class TestShortened:
    table = Table((Heading("x"),), tuple((Entry(words(f"{at}")),) for at in range(9)), priority=(7, 2))

    @pytest.mark.parametrize(("rows", "kept"), [(1, "7"), (2, "27"), (4, "0127"), (9, "012345678")])
    def test_a_table_keeps_the_most_telling_rows_in_order(self, rows: int, kept: str) -> None:
        short = shortened(self.table, rows, 1)
        assert isinstance(short, Table)
        assert "".join(unmarked(row[0].words) for row in short.rows) == kept
        assert short.hidden == 9 - len(kept)

    def test_folds_and_lists_are_shortened_too(self) -> None:
        bullets = Bullets(tuple(words(f"{at}") for at in range(5)))
        fold = shortened(Fold(words("more"), (bullets, self.table)), 3, 2)
        assert isinstance(fold, Fold)
        assert [block.hidden for block in fold.blocks] == [3, 6]  # type: ignore[union-attr]


def test_packages_facts_and_what_stays() -> None:
    first, legacy = differences(cases.something_changed())
    assert [(each.name, each.old, each.new) for each in first.packages] == [("keras", "3.3.3", "3.5.0")]
    assert [each.name for each in legacy.packages] == ["tf-keras"]
    assert [each.name for each in legacy.facts] == ["runs"]
    assert first.total == 38
    assert first.same[0] == "Python 3.11.7"


def test_toy_rows_do_not_leak_into_other_cells() -> None:
    plain = ToyComparisons(outputs=cases.output(0.1, 9.0), toy=ToyComparison())
    assert unfolded(cases.changed("m", checks=plain)) == ["Details of m (outputs)"]


def test_a_report_without_a_baseline_has_no_differences() -> None:
    report: Report = cases.nothing_relevant()
    assert differences(report) == ()

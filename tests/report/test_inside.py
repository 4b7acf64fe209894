"""Layers, decode steps, notes and the certainty of a metric, in every format."""

from __future__ import annotations

import io
import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.report import cases, rendering
from tests.report.hostile import NASTY, hostile_report
from validator.report import content, html, inside, terminal, wording
from validator.report.inside import OWN, Inside, insides
from validator.report.markdown import LADDER, comment, summary
from validator.report.wording import unmarked
from validator.results import CellResult, DecodeResult, Finding, LayerResult, MetricResult, Report


def said(markdown: str) -> str:
    soup = BeautifulSoup(rendering.html(markdown), "html.parser")
    return re.sub(r"\s+", " ", soup.get_text(" ")).replace("\u200b", "")


def shown(report: Report, width: int = 100) -> str:
    stream = io.StringIO()
    terminal.show(report, Console(file=stream, width=width))
    return stream.getvalue()


def one_cell(**update: object) -> Report:
    return cases.report("fail", cases.model("llama", cases.changed("llama").model_copy(update=update)))


def layers(*kinds: str) -> tuple[LayerResult, ...]:
    return tuple(
        LayerResult.model_validate(
            {"layer": f"layer_{at}", "class_name": "Dense", "by_itself": 1.0, "inherited": at, "kind": kind}
        )
        for at, kind in enumerate(kinds)
    )


def only_inside(report: Report) -> Inside:
    (one,) = insides(report)
    return one


class TestSparkline:
    @given(st.lists(st.none() | st.floats(-1e-9, 1e300), max_size=200), st.none() | st.integers(1, 64))
    def test_as_many_characters_as_values_or_as_fit(
        self, values: list[float | None], most: int | None
    ) -> None:
        bars = wording.sparkline(values, most)
        assert len(bars) == len(values) if most is None else len(bars) <= min(most, len(values))
        assert set(bars) <= set("·▁▂▃▄▅▆▇█")
        assert ("█" in bars) == any(one is not None and one > 0 for one in values)

    @given(st.lists(st.floats(0, 1e6), min_size=1, max_size=64))
    def test_a_larger_value_is_never_lower(self, values: list[float]) -> None:
        assert wording.sparkline(sorted(values)) == "".join(sorted(wording.sparkline(values)))

    def test_what_is_not_known_is_no_zero(self) -> None:
        assert wording.sparkline([0.0, None, 1.0, 0.5]) == "▁·█▅"
        assert wording.sparkline([]) == ""
        assert wording.sparkline([0.0, 0.0]) == "▁▁"

    def test_neighbours_share_a_character_that_shows_the_worst(self) -> None:
        assert wording.sparkline([0, 0, 0, 8, 0, 0], most=3) == "▁█▁"


class TestWhichLayers:
    def test_the_comment_has_a_folded_table(self) -> None:
        words = said(comment(cases.something_changed()))
        assert "Where it starts: llama in keras-3.5.0, layer by layer (1 of 14 differs by itself, 11" in words
        assert "block_0/attention GroupedQueryAttention value █ 398× █ 398×" in words
        assert "causal_mask Lambda causal_mask gives bfloat16 where it gave bool dtype 0" in words
        assert "0.6× where the mask keeps, 412× where it hides" in words

    def test_it_is_the_first_fold_and_stands_closed(self) -> None:
        folds = re.findall(r"<details.*?<summary>(.*?)</summary>", comment(cases.something_changed()))
        assert folds[0].startswith("Where it starts: <code>llama</code>")
        assert "<details open" not in comment(cases.something_changed())

    def test_one_cell_of_a_model_needs_no_place(self) -> None:
        assert unmarked(only_inside(one_cell()).title).startswith("Where it starts: llama, layer")

    def test_layers_are_counted_where_no_finding_counts_them(self) -> None:
        one = only_inside(one_cell(findings=()))
        assert one.counted == "2 of 4 differ by themselves, 1 inherit"
        assert only_inside(one_cell(findings=(), layers=layers("same", "mask"))).counted.startswith(
            "1 of 2 differs by itself"
        )

    @pytest.mark.parametrize("verdict", ["identical", "rounding", "metric-only", "failed", "not-compared"])
    def test_only_what_changed_or_is_suspicious_is_opened(self, verdict: str) -> None:
        assert insides(one_cell(verdict=verdict)) == ()

    def test_the_same_inside_in_two_environments_is_shown_once(self) -> None:
        cells = [cases.changed("llama", where) for where in ("keras-3.5.0", "keras-3.6.0")]
        one = only_inside(cases.report("fail", cases.model("llama", *cells)))
        assert one.places == ("keras-3.5.0", "keras-3.6.0")
        assert {cell for cell, _ in one.told} == {"llama@keras-3.5.0", "llama@keras-3.6.0"}

    @given(
        st.lists(st.sampled_from(["same", "inherited", *OWN]), min_size=1, max_size=50), st.integers(4, 14)
    )
    def test_the_first_that_differs_is_kept_and_the_order_too(self, kinds: list[str], most: int) -> None:
        one = only_inside(one_cell(layers=layers(*kinds)))
        chosen = [line.layer.layer for line in one.shown(most)]
        places = [int(name.removeprefix("layer_")) for name in chosen]
        assert len(chosen) == min(most, len(kinds))
        assert places == sorted(set(places))
        first = next((at for at, kind in enumerate(kinds) if kind in OWN), None)
        assert first is None or first in places
        assert bool(one.hidden(most)) == (len(kinds) > most)
        left = sum(map(int, re.findall(r"\d+", one.hidden(most))))
        assert left == len(kinds) - len(chosen)

    def test_the_worst_and_the_one_before_the_first_are_kept(self) -> None:
        kinds = ["same"] * 10 + ["value"] + ["inherited"] * 30
        chosen = [line.layer.layer for line in only_inside(one_cell(layers=layers(*kinds))).shown(12)]
        assert chosen == ["layer_9", "layer_10", *(f"layer_{at}" for at in range(31, 41))]

    def test_a_ratio_that_is_not_known_is_no_zero(self) -> None:
        unknown = LayerResult(layer="x", class_name="Dense", kind="value")
        (line,) = only_inside(one_cell(layers=(unknown,))).lines
        assert (line.by_itself, line.inherited) == ("–", "–")

    def test_messages_that_differ_in_layer_and_number_are_said_once(self) -> None:
        alike = tuple(
            one.model_copy(update={"kind": "value", "message": f"`{one.layer}` is {at}.5 times the noise"})
            for at, one in enumerate(layers("same", "same", "same"))
        )
        lines = only_inside(one_cell(layers=alike)).lines
        assert [line.message for line in lines] == ["`layer_0` is 0.5 times the noise", "", ""]

    def test_the_page_has_every_layer(self) -> None:
        page = html.page(one_cell(layers=layers(*["inherited"] * 50)))
        assert all(f"layer_{at}<" in page for at in range(50))
        assert said(comment(one_cell(layers=layers(*["inherited"] * 50)))).count("Dense") == 12


class TestDecode:
    def test_steps_are_a_line(self) -> None:
        words = said(comment(cases.something_changed()))
        assert (
            "Decode , KL by step: ▁▁▂█▆ 0.02 → 0.41, 0.6 at step 3; first other token at step 3 of sample 2 "
            "(margin 1.7, not a tie): “red ring” for “red hat”; 8 of 8 samples go on otherwise (1 tie); "
            "prefill KL 2.1; rounding alone gives 8.6e-5."
        ) in words

    def test_it_is_not_said_twice_but_stays_where_the_steps_are_not_shown(self) -> None:
        report = cases.something_changed()
        message = cases.decoded().message
        assert message not in said(comment(report))
        assert message not in html.page(report)
        assert message in re.sub(r"\s+", " ", shown(report))
        assert [note for note, _ in content.notes(report) if note == message] == [message]

    def test_a_decode_without_layers_has_a_fold_of_its_own(self) -> None:
        assert "Decode: llama , step by step" in said(comment(one_cell(layers=())))

    @pytest.mark.parametrize(
        "decode",
        [
            None,
            cases.decoded(()),
            cases.decoded((None, None)),
            cases.decoded().model_copy(update={"verdict": "rounding"}),
            DecodeResult(verdict="failed", message="decode failed: ValueError"),
        ],
    )
    def test_without_steps_there_is_no_line(self, decode: DecodeResult | None) -> None:
        assert only_inside(one_cell(decode=decode)).decode == ()
        assert insides(one_cell(decode=decode, layers=())) == ()

    def test_many_steps_fit_a_telephone(self) -> None:
        words = only_inside(one_cell(decode=cases.decoded(tuple(float(at) for at in range(64))))).decode
        assert len(words[0].text) == 32

    def test_without_noise_nothing_is_said_of_ties(self) -> None:
        decode = cases.decoded((0.5,))
        first = decode.first.model_copy(update={"tie": None, "margin": None})
        quiet = decode.model_copy(update={"first": first, "noise_kl": None, "prefill": None})
        words = unmarked(only_inside(one_cell(decode=quiet)).decode)
        assert "tie" not in words.replace("(1 tie)", "")
        assert "rounding" not in words
        assert words.startswith("█ 0.5; first other token at step 3 of sample 2: ")


class TestNotes:
    def test_decode_then_training_that_changed_then_the_rest(self) -> None:
        found = [note for note, _ in content.notes(cases.something_changed())]
        assert found == [
            cases.decoded().message,
            "training, optimiser: epsilon is 1e-8 here",
            "1 of 14 layers differs by itself, 11 inherit",
            "training, initial weights: other draws",
        ]

    def test_a_terminal_shows_six(self) -> None:
        notes = tuple(Finding(kind="artifact", message=f"note {at}.") for at in range(9))
        text = shown(one_cell(findings=(*notes, Finding(kind="decode", message="decode differs"))))
        assert "… 4 more in report.md" in text
        assert text.index("decode differs") < text.index("note 0.") < text.index("note 4.")
        assert "note 5." not in text
        assert "more in" not in shown(one_cell(findings=notes[:6]))

    def test_a_way_out_is_said_once(self) -> None:
        for text in (
            said(comment(one_cell())),
            BeautifulSoup(html.page(one_cell()), "html.parser").get_text(),
            shown(one_cell(), 300),
        ):
            assert text.count("tried here: restores parity") == 1

    def test_the_worst_model_explains_itself_first(self) -> None:
        report = cases.something_changed()
        turned = report.model_copy(update={"models": tuple(reversed(report.models))})
        assert [why.model for why in content.whys(turned)] == ["llama", "translator"]


def metric(**update: object) -> MetricResult:
    told = {
        "metric": "accuracy",
        "output": "output",
        "samples": 400,
        "units": 300,
        "baseline": 0.9,
        "candidate": 0.8,
        "delta": -0.1,
        "p": 0.003,
        "decision": "worse",
    }
    return MetricResult.model_validate(told | update)


class TestCertainty:
    @pytest.mark.parametrize(
        ("update", "words"),
        [
            ({}, "p = .003"),
            ({"p": 0.00099}, "p < .001"),
            ({"p": 1.0}, "p = 1.000"),
            ({"p": None}, ""),
            ({"decision": "cannot-tell", "needed": 1500}, "cannot tell, 1,200 more would"),
            ({"decision": "cannot-tell"}, "cannot tell"),
            ({"decision": "cannot-tell", "needed": 10}, "cannot tell"),
            ({"decision": "cannot-tell", "worse": True}, ""),
            ({"decision": "not-worse"}, ""),
            ({"delta": 0.0}, ""),
            ({"delta": None}, ""),
        ],
    )
    def test_only_what_moved_and_is_worse_or_open(self, update: dict[str, object], words: str) -> None:
        assert wording.certainty(metric(**update)) == words

    def test_it_stands_under_the_numbers_in_every_format(self) -> None:
        accuracy = cases.accuracy(0.9, 0.8).model_copy(
            update={"metrics": (metric(decision="cannot-tell", needed=1500),)}
        )
        report = one_cell(accuracy=accuracy)
        assert "0.900 → 0.800 cannot tell, 1,200 more would" in said(comment(report))
        assert "cannot tell, 1,200 more would" in html.page(report)
        assert "cannot tell, 1,200 more would" in shown(report, 160)

    def test_an_interval_is_said_once(self) -> None:
        bounds = {"low": -0.12, "high": -0.08}
        assert unmarked(wording.judged(metric(**bounds))) == "interval of the difference -0.12 … -0.08"
        own = metric(**bounds, message="accuracy fell (90 % interval -0.12 … -0.08)")
        assert unmarked(wording.judged(own)) == own.message
        assert wording.judged(metric(low=-0.12)) == ()


class TestNobodysTextBecomesMore:
    def test_names_of_layers_stay_names(self) -> None:
        report = hostile_report(models=2)
        for text in (comment(report), summary(report)):
            soup = BeautifulSoup(rendering.html(text), "html.parser")
            fold = next(one for one in soup.find_all("details") if "Where it starts" in one.summary.text)
            rows = fold.find("tbody").find_all("tr", recursive=False)
            assert len(rows) == LADDER[0].layers
            assert all(len(row.find_all("td")) == 3 for row in rows)
            assert not soup.find_all(["img", "script"])
        page = BeautifulSoup(html.page(report), "html.parser")
        assert not page.find_all(["img", "script", "a"])
        assert "Where it starts" in page.get_text()

    def test_the_ladder_drops_the_insides_before_the_counts(self) -> None:
        report = hostile_report(NASTY, models=12)
        folds = [comment(report, budget=at).count("Where it starts") for at in (65_000, 30_000, 12_000, 4000)]
        assert folds == sorted(folds, reverse=True)
        assert folds[0] > 0
        assert folds[-1] == 0

    def test_no_duration_and_no_date(self) -> None:
        first = cases.something_changed()
        later = first.model_copy(update={"seconds": 99.0, "started": "2025-01-01T00:00:00Z"})
        cells: list[CellResult] = [cell for model in later.models for cell in model.cells]
        assert any(cell.seconds for cell in cells)
        assert comment(first) == comment(later)
        assert "2024" not in comment(first)

    def test_left_out_insides_are_counted(self) -> None:
        text = said(comment(cases.far_too_much(), budget=65_000))
        assert re.search(r"Layer by layer, \d+ more are in the full report\.", text)
        assert len(inside.insides(cases.far_too_much())) == 10

"""Sentences about runs, cells, failures, upgrades and workarounds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report import cases
from tests.report.toy import WORDS, ToyComparisons
from validator.checks.known.types import KnownWorkaround
from validator.checks.loading.types import ArtifactFinding, BaselineFailed
from validator.checks.workarounds.types import (
    Effect,
    Score,
    Trial,
    Workaround,
    WorkaroundFailed,
    WorkaroundNotRun,
)
from validator.failure import Failure
from validator.report.content import Content
from validator.report.markdown import comment
from validator.report.phrases import keras_link, listed, name, sentence, unmarked, words
from validator.report.words import cell, registered_words, run
from validator.report.words.failures import error_line, failed
from validator.report.words.remedies import advice
from validator.report.words.upgrade import changed_package, why_it_runs
from validator.report.words.workarounds import WORDS as WORKAROUNDS
from validator.upgrade.types import (
    AmbiguousReason,
    FileReason,
    IrrelevantReason,
    NoFrameworkReason,
    PackageChange,
    PackageReason,
    PythonMismatchReason,
    PythonReason,
    StaleLockReason,
    UnreadReason,
    UnresolvedReason,
    Upgrade,
)
from validator.verdict.results import CellResult, Reason, Report, Verdict

FAILURE = Failure(stage="load", error="ValueError", message="no such layer")


def content(*cells: CellResult, verdict: Verdict = "fail") -> Content:
    return Content(cases.report(verdict, cases.model("m", *cells)), WORDS)


def summary(report: Report) -> list[str]:
    return [unmarked(each) for each in run.summary(Content(report, WORDS))]


def result(each: CellResult) -> str:
    return unmarked(cell.result(content(each).rows[0]))


class TestPhrases:
    def test_a_sentence_begins_and_ends_as_such(self) -> None:
        assert unmarked(sentence(words("it moved"))) == "It moved."
        assert unmarked(sentence(words(name("keras"), " moved."))) == "keras moved."
        assert unmarked(sentence(())) == "."

    def test_long_lists_are_cut(self) -> None:
        assert unmarked(listed([name(each) for each in "abcde"], most=3)) == "a, b and 3 more"
        assert unmarked(listed([name("a")])) == "a"

    def test_links_go_through_the_redirector(self) -> None:
        assert keras_link(7).url == "https://redirect.github.com/keras-team/keras/issues/7"
        assert keras_link(7, "jax-ml/jax").text == "jax-ml/jax#7"


class TestFailures:
    def test_an_error_that_only_introduces_brings_its_next_line(self) -> None:
        failure = Failure(stage="load", error="ValueError", message="Layers differ:\n  - dense lacks a bias")
        assert unmarked(failed(failure)) == "failed to load: ValueError: Layers differ: dense lacks a bias"

    def test_requirements_that_nothing_satisfies_are_the_pull_requests(self) -> None:
        text = comment(cases.failed_to_install())
        assert (
            "unlike the baseline `keras-3.3.3`: no versions of the packages satisfy its requirements. "
            in text
        )
        assert "- Change one of the requirements that the error names" in text

    def test_the_class_is_not_repeated(self) -> None:
        assert error_line(FAILURE.model_copy(update={"message": "ValueError: no"})) == "ValueError: no"


class TestCells:
    @pytest.mark.parametrize(
        ("each", "words"),
        [
            (cases.identical("m"), "identical"),
            (cases.rounding("m"), "rounding"),
            (cases.changed("m"), "changed: attention is not causal; fails the gate: changed, accuracy"),
            (cases.changed("m", findings=(), gated=()), "changed"),
            (
                cases.not_compared("m"),
                "not compared: the baseline failed to import Keras: ImportError: DLL load failed",
            ),
            (cases.failed("m", "a", "load", "ValueError", "no"), "failed to load: ValueError: no"),
            (
                cases.identical("m").model_copy(update={"gated": ("decode",)}),
                "identical; fails the gate: decode",
            ),
        ],
    )
    def test_the_verdict_and_what_stands_behind_it(self, each: CellResult, words: str) -> None:
        assert result(each) == words


class TestHeadlines:
    @pytest.mark.parametrize(
        ("case", "words"),
        [
            ("all-identical", "Predictions are identical"),
            ("rounding", "Predictions hold, up to rounding"),
            ("changed", "Predictions change, accuracy falls"),
            ("metric-only", "Predictions hold, a reported metric changes"),
            ("failed-to-install", "keras-3.5.0 failed to resolve"),
            ("failed-to-load", "1 model failed to load"),
            ("nothing-relevant", "No model was run: nothing relevant changed"),
            ("baseline-unusable", "Inconclusive: the baseline cannot be used"),
        ],
    )
    def test_the_verdict_in_a_few_words(self, case: str, words: str) -> None:
        assert run.headline(Content(cases.CASES[case](), WORDS)) == words

    def test_a_gate_that_fails_on_green_cells_is_in_the_headline(self) -> None:
        gated = cases.identical("m").model_copy(update={"gated": ("training",)})
        assert run.headline(content(gated)) == "Predictions are identical, the gate fails"

    def test_without_an_upgrade_it_is_what_was_compared(self) -> None:
        report = cases.only_rounding().model_copy(update={"upgrade": None})
        words = unmarked(run.compared(Content(report, WORDS)))
        assert words == "keras-3.5.0 and legacy against keras-3.3.3"


def accuracy(**update: Any) -> CellResult:
    moved = cases.accuracy(0.9, 0.895)
    metric = moved.metrics[0].model_copy(update=update)
    checks = ToyComparisons(
        outputs=cases.output(0.1, 9.0), accuracy=moved.model_copy(update={"metrics": (metric,)})
    )
    return cases.changed("m", checks=checks, gated=())


class TestSummary:
    @pytest.mark.parametrize(
        ("update", "words"),
        [
            ({}, "Its accuracy moves from 0.900 to 0.895, not worse than allowed."),
            (
                {"delta": 0.05, "candidate": 0.95, "low": 0.02, "high": 0.08},
                "Its accuracy improves from 0.900 to 0.950.",
            ),
            (
                {"delta": 0.05, "candidate": 0.95, "low": -0.02, "high": 0.12},
                "Its accuracy moves from 0.900 to 0.950, not worse than allowed.",
            ),
            ({"delta": 0.0, "candidate": 0.9}, "Its accuracy, computed from the predictions, stays 0.900."),
            (
                {"decision": "inconclusive", "needed": 1500, "units": 300},
                "Its accuracy moves from 0.900 to 0.895, which is inconclusive; "
                "about 1,200 more samples needed.",
            ),
            (
                {"decision": "worse", "worse": True, "p": 0.003},
                "Its accuracy falls from 0.900 to 0.895 (360 labels, p = .003).",
            ),
            (
                {"worse": True, "candidate": None, "delta": None, "p": None},
                "Its accuracy gets worse, from 0.900 to none (360 labels).",
            ),
            ({"baseline": None}, "Whether that matters is unknown: no metric was computed."),
        ],
    )
    def test_whether_it_matters(self, update: dict[str, Any], words: str) -> None:
        assert summary(cases.report("warn", cases.model("m", accuracy(**update))))[1] == words

    def test_suspicious_is_compared_with_noise(self) -> None:
        first = summary(cases.report("warn", cases.model("m", cases.suspicious("m"))))[0]
        assert first == "m drifts beyond noise in keras-3.5.0: 2.9× the noise is more than rounding explains."

    def test_what_was_loaded_otherwise_is_no_drift(self) -> None:
        failure = Failure(stage="load", error="TypeError", message="cannot locate 'Functional'")
        finding = ArtifactFinding(side="candidate", failure=failure, verdict="suspicious")
        doubted = cases.report("warn", cases.model("m", cases.suspicious("m", findings=(finding,))))
        shown = Content(doubted, registered_words())
        first, second = (unmarked(each) for each in run.summary(shown))
        assert run.headline(shown) == "Some predictions are in doubt"
        assert first == "m is in doubt in keras-3.5.0."
        assert second.startswith("The saved model does not load in the candidate")
        assert unmarked(advice(shown.rows[0])).startswith("remove artifact from m in validator.yml")

    def test_a_baseline_cell_that_failed_is_named_and_the_rest_is_not_thrown_away(self) -> None:
        report = cases.report(
            "inconclusive",
            cases.model("translator", cases.not_compared("translator", message="no such layer")),
            cases.model("digits", cases.identical("digits")),
        )
        assert summary(report) == [
            "translator@keras-3.5.0: the baseline failed to import Keras: ImportError: no such layer.",
            "This run says nothing about 1 of 2 cells.",
        ]

    def test_a_warning_about_green_cells_says_why(self) -> None:
        note = cases.remark("note", "top_5 was not scored: no labels")
        cell = cases.identical("m").model_copy(update={"findings": (note,)})
        reasons = (Reason(kind="cell", cell=cell.cell),)
        report = cases.report("warn", cases.model("m", cell), reasons=reasons)
        assert "m@keras-3.5.0: top_5 was not scored: no labels." in summary(report)

    @pytest.mark.parametrize("case", cases.CASES)
    def test_sentences_are_short(self, case: str) -> None:
        report = cases.CASES[case]()
        for each in summary(report):
            assert all(len(part.split()) <= 30 for part in each.split(". ")), each


TOO_LARGE = Failure(stage="crash", error="MemoryLimit", message="used 9 GiB, over the limit of 8 GiB")


class TestAdvice:
    @pytest.mark.parametrize(
        ("each", "words"),
        [
            (cases.metric_only("m"), "Update thresholds"),
            (cases.failed("m", "a", "load", "x", "y"), "Reproduce"),
            (cases.not_compared("m"), "remove what prevents the comparison"),
            (
                cases.not_compared("m").model_copy(
                    update={
                        "findings": (BaselineFailed(failure=Failure(stage="load", error="E", message="x")),)
                    }
                ),
                "make the baseline run first. Without it",
            ),
            (
                cases.not_compared("m").model_copy(update={"findings": (BaselineFailed(failure=TOO_LARGE),)}),
                "make the baseline run first: raise limits.memory_gib, or run this model on a machine with "
                "more memory. Without it",
            ),
            (
                cases.failed("m", "a", TOO_LARGE.stage, TOO_LARGE.error, TOO_LARGE.message),
                "raise limits.memory_gib, or run this model on a machine with more memory",
            ),
            (accuracy(worse=True), "do not merge"),
            (accuracy(baseline=None), "add labels and a metric to m in validator.yml"),
            (accuracy(decision="inconclusive"), "record more labelled samples"),
            (accuracy(), "No metric gets worse"),
        ],
    )
    def test_every_cell_that_needs_a_look_has_some(self, each: CellResult, words: str) -> None:
        assert words in unmarked(advice(content(each).rows[0]))


class TestReasons:
    @pytest.mark.parametrize(
        ("reason", "words"),
        [
            (
                Reason(kind="cell", cell="m@keras-3.5.0"),
                "m@keras-3.5.0: changed: attention is not causal; fails the gate: changed, accuracy",
            ),
            (Reason(kind="cell", cell="gone"), "gone"),
            (Reason(kind="nothing-compared"), "no cell was compared with the baseline"),
            (Reason(kind="irrelevant"), "nothing in this upgrade can change a model's numbers"),
            (Reason(kind="error", error="validator.yml: no models"), "validator.yml: no models"),
        ],
    )
    def test_each_kind(self, reason: Reason, words: str) -> None:
        assert unmarked(run.reason(reason, content(cases.changed("m")))) == words


class TestUpgrades:
    @pytest.mark.parametrize(
        ("reason", "words"),
        [
            (PackageReason(name="keras", old=None, new="3", manifest="a.txt"), "keras absent → 3 in a.txt"),
            (
                PythonReason(old="3.11", new=None, manifest="pyproject.toml"),
                "Python 3.11 → any in pyproject.toml",
            ),
            (FileReason(path="validator.yml"), "validator.yml changed"),
            (
                UnresolvedReason(side="head", failure=FAILURE),
                "the requirements of the head commit cannot be resolved: ValueError: no such layer",
            ),
            (IrrelevantReason(), "no dependency that can move a model's numbers changed"),
            (
                IrrelevantReason(packages=2, ranges=1),
                "no dependency that can move a model's numbers changed (2 other packages moved, "
                "1 range changed without moving a version)",
            ),
            (
                UnreadReason(path="Dockerfile", old="==3.3.3", new="==3.5.0"),
                "Dockerfile changes ==3.3.3 to ==3.5.0, and cannot be read without running it: list the "
                "manifest with the packages of the models under upgrade.manifests, or this file under "
                "upgrade.ignore",
            ),
            (
                UnreadReason(path="setup.py", old=None, new="keras==3.5.0"),
                "setup.py now installs keras==3.5.0, and cannot be read without running it: list the "
                "manifest with the packages of the models under upgrade.manifests, or this file under "
                "upgrade.ignore",
            ),
            (
                StaleLockReason(
                    package="keras",
                    asked="==3.5.0",
                    locked="3.3.3",
                    manifest="pyproject.toml",
                    lock="uv.lock",
                    command="uv lock",
                ),
                "pyproject.toml asks for keras ==3.5.0, but uv.lock has 3.3.3: run uv lock and commit "
                "the result",
            ),
            (
                NoFrameworkReason(side="base", path="setup.py"),
                "no manifest of the project at the base commit names keras, tensorflow, jax or torch "
                "(setup.py cannot be read without running it): list the file that does under "
                "upgrade.manifests",
            ),
            (
                AmbiguousReason(manifests=("a/requirements.txt", "b/requirements.txt")),
                "a/requirements.txt and b/requirements.txt are equally near to validator.yml, and one of "
                "them changed: list the one that counts under upgrade.manifests",
            ),
            (
                PythonMismatchReason(python="3.11", required=">=3.12", manifest="pyproject.toml"),
                "pyproject.toml requires Python >=3.12, but validator.yml sets Python 3.11: change or remove "
                "python there",
            ),
        ],
    )
    def test_why_models_run(self, reason: Any, words: str) -> None:
        assert unmarked(why_it_runs(reason)) == words

    def test_an_upgrade_that_was_not_read_is_inconclusive_with_every_reason(self) -> None:
        undecided = (
            UnreadReason(path="a.sh", old="keras==1", new=None),
            NoFrameworkReason(side=None, path=None),
        )
        upgrade = Upgrade(changes=(), relevant=True, reasons=undecided)
        reasons = (Reason(kind="undecided"),)
        report = cases.report("inconclusive", upgrade=upgrade, reasons=reasons)
        first, last = summary(report)
        assert "a.sh no longer installs keras==1" in first
        assert "no manifest of the project names keras" in first
        assert last == "This run says nothing about the upgrade, good or bad."

    def test_packages(self) -> None:
        moved = PackageChange(name="keras", old="3.3.3", new="3.5.0", direct=False, manifest="uv.lock")
        assert unmarked(changed_package(moved)) == "keras 3.3.3 → 3.5.0 (transitive)"
        assert unmarked(changed_package(PackageChange(name="x", old=None, new="1"))) == "x 1 (new)"
        assert unmarked(changed_package(PackageChange(name="x", old="1", new=None))) == "x 1 (removed)"


def trial(**values: Any) -> Trial:
    return Trial(
        axis="precision", value="float32", setting="precision: float32", cell="m@a+float32", **values
    )


class TestTiedMetrics:
    def test_a_gain_whose_changes_are_ties_is_no_contradiction(self) -> None:
        measured = cases.accuracy(0.592, 0.723)
        (result,) = measured.metrics
        tied = result.model_copy(
            update={
                "low": 0.116, "high": 0.146, "confidence": 0.9, "p": 0.5,
                "decision": "not-worse", "reason": "none-worse",
                "negative_flips": 0, "positive_flips": 0, "tied_flips": 460, "worse": False,
            }
        )  # fmt: skip
        cell = cases.changed("m", findings=(), gated=("changed",))
        checks = cell.checks.model_copy(update={"accuracy": measured.model_copy(update={"metrics": (tied,)})})
        text = comment(cases.report("fail", cases.model("m", cell.model_copy(update={"checks": checks}))))
        assert (
            "better<br><sub>90 % interval +0.116 … +0.146, 460 changed, each where rounding alone may decide"
            in text
        )


class TestWorkarounds:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"verdict": "identical"}, "predict identically (verified in this run)"),
            ({"verdict": "rounding"}, "differ by rounding only (verified in this run)"),
            (
                {"verdict": "identical", "effect": Effect(max_abs=0.0)},
                "predict identically (verified in this run). "
                "The setting leaves the baseline's predictions as they are",
            ),
            (
                {
                    "verdict": "identical",
                    "effect": Effect(max_abs=0.031, top1_changes=12, rows=3600),
                    "score": Score(metric="accuracy", before=0.725, after=0.727),
                },
                "predict identically (verified in this run). The setting moves the baseline's own "
                "predictions by up to 0.031 (top-1 changes in 12 of 3,600), and its accuracy: 0.725 → 0.727",
            ),
        ],
    )
    def test_what_was_verified(self, values: dict[str, Any], words: str) -> None:
        verified = Workaround(trial=trial(**values))
        assert unmarked(WORKAROUNDS.sentence(verified)) == (
            f"run the model with precision: float32: baseline and candidate then {words}"
        )
        assert WORKAROUNDS.place(verified) == "do"

    def test_a_change_that_the_upgrade_ends_comes_before_what_restores_it(self) -> None:
        verified = Workaround(trial=trial(verdict="identical", effect=Effect(max_abs=0.0)))
        ended = KnownWorkaround(change="K37", text="", code="", ended=True)
        moved = cases.changed("m", findings=(verified, ended))
        text = comment(cases.report("fail", cases.model("m", moved)))
        _, ways = text.split("**What to do about `m`**")
        assert ways.split("\n")[2:4] == [
            "- Nothing in the model needs to change if you want the new numbers: the upgrade ends known "
            "change K37, which the baseline has.",
            "- Run the model with `precision: float32`: baseline and candidate then predict identically "
            "\\(verified in this run\\). The setting leaves the baseline's predictions as they are.",
        ]

    def test_a_saved_model_that_does_not_load_is_named_beside_a_worse_verdict(self) -> None:
        """And what to do about it comes before what some other check proposes."""
        lost = ArtifactFinding(side="candidate", failure=FAILURE, verdict="suspicious")
        verified = Workaround(trial=trial(verdict="identical", effect=Effect(max_abs=0.0)))
        text = comment(cases.report("fail", cases.model("m", cases.changed("m", findings=(lost, verified)))))
        _, also = text.split("**Also in `m`**")
        assert also.split("\n")[2].startswith("- The saved model does not load in the candidate")
        _, ways = text.split("**What to do about `m`**")
        assert [line[:40] for line in ways.split("\n")[2:4]] == [
            "- Remove `artifact` from `m` in `validat",
            "- Run the model with `precision: float32",
        ]

    def test_what_did_not_help_is_a_note(self) -> None:
        vain = WorkaroundFailed(trial=trial(verdict="changed"))
        lost = WorkaroundNotRun(trial=trial(failure=FAILURE, failed_side="baseline"))
        assert (
            unmarked(WORKAROUNDS.sentence(vain))
            == "precision: float32 does not restore parity: still changed"
        )
        assert unmarked(WORKAROUNDS.sentence(lost)) == (
            "precision: float32 was not verified: the baseline failed to load: ValueError: no such layer"
        )
        assert WORKAROUNDS.place(vain) == WORKAROUNDS.place(lost) == "note"

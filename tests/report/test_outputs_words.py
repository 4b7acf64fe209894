"""What is said about loading, outputs and accuracy, finding by finding."""

from __future__ import annotations

import numpy as np
import pytest

from tests.checks.outputs.output_cases import OLD, apart, drift, failed, findings, of_reference, output, own
from validator.checks.accuracy.types import (
    AccuracyComparison,
    EvaluateFailedFinding,
    MaskIgnoredFinding,
    MetricOnlyFinding,
    MetricResult,
    MetricWorseFinding,
    ReportedMetric,
    UnscoredFinding,
)
from validator.checks.loading.types import (
    ArtifactFinding,
    BaselineFailed,
    BuilderSetting,
    CellFailed,
    NoteFinding,
    SettingFinding,
)
from validator.checks.outputs.types import (
    NondeterministicFinding,
    Obstacle,
    ObstacleFinding,
    OutputNumbers,
    OutputsComparison,
    ReferenceComparison,
)
from validator.checks.protocol import Finding
from validator.config.settings import Tolerance
from validator.failure import Failure
from validator.numbers.places import Places
from validator.report.document import Table
from validator.report.phrases import unmarked
from validator.report.words import accuracy, loading, outputs

MOVED = OLD + np.float32(1e-5)
COARSER = apart(0.0, baseline=1e-6, candidate=4e-3, reference=1.0)
ACCURACY = ReportedMetric(name="accuracy", baseline=0.2695, candidate=0.8981)
CAUSAL: dict[str, str | int | float | bool] = {"causal": True}
LOSS = MetricResult(
    metric="accuracy",
    output="output",
    samples=3600,
    units=3600,
    baseline=0.723,
    candidate=0.592,
    delta=-0.131,
    low=-0.15,
    high=-0.11,
    confidence=0.9,
    method="score",
    p=1e-9,
    decision="worse",
    reason="significant",
    margin=0.01,
    negative_flips=600,
    positive_flips=128,
    worse=True,
)


ALL_NAN, LABELS = np.full((4, 2), np.nan, np.float32), np.zeros((10, 4), np.int64)
MOSTLY = np.where(np.arange(40).reshape(10, 4) < 24, np.float32(np.nan), OLD)


def nan() -> np.ndarray:
    new = OLD.copy()
    new[2, 1] = np.nan
    return new


def flipped() -> np.ndarray:
    return OLD[:, ::-1].copy()


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        (output(OLD), "output output: bit-identical"),
        (
            output(MOVED, ratio=1.2),
            "output output: max abs diff 1e-5; drift of 1e-6 is 1.2× the noise (rounding below 1.25, changed "
            "above 2.5)",
        ),
        (
            output(MOVED, ratio=99, grain="row"),
            "output output: max abs diff 1e-5; sample 3: drift of 1e-6 is 99× the noise (rounding below 1.5, "
            "changed above 3); largest difference at [0, 0]: -1 → -0.99999",
        ),
        (
            output(MOVED, ratio=4e5, grain="column", classes=("price", "probability", "a", "b")),
            "output output: max abs diff 1e-5; column 1, probability: drift of 1e-6 is 400,000× the noise "
            "(rounding below 1.5, changed above 3); largest difference at [0, 0]: -1 → -0.99999",
        ),
        (
            output(MOVED, ratio=5, grain="element"),
            "output output: max abs diff 1e-5; at [3, 1]: drift of 1e-6 is 5.0× the noise (rounding below 2, "
            "changed above 4); largest difference at [0, 0]: -1 → -0.99999",
        ),
        (
            output(MOVED, drift=drift(1.0, method="weights"), noise_reason="savedmodel"),
            "output output: max abs diff 1e-5; drift of 1e-6 is 1.0× the noise (rounding below 1.25, changed "
            "above 2.5); noise of moved weights alone: a SavedModel's operations are frozen",
        ),
        (
            output(MOVED, drift=drift(9.0).model_copy(update={"rows": 4})),
            "output output: max abs diff 1e-5; drift of 1e-6 is 9.0× the noise (rounding below 1.25, changed "
            "above 2.5); noise measured on 4 of 10 rows; largest difference at [0, 0]: -1 → -0.99999",
        ),
        (
            output(MOVED, drift=drift(1.0, chaos=0.7)),
            "output output: max abs diff 1e-5; rounding alone moves these outputs by 0.7 of their spread; "
            "they cannot show a change; layers replayed on the baseline's inputs can; largest difference at "
            "[0, 0]: -1 → -0.99999",
        ),
        (
            output(MOVED, drift=drift(1.0, column_chaos=1.3, chaos_index=(2,))),
            "output output: max abs diff 1e-5; rounding alone moves column 2 by 1.3 of its spread; it cannot "
            "show a change; largest difference at [0, 0]: -1 → -0.99999",
        ),
        (
            output(flipped(), ratio=9.0),
            "output output: max abs diff 0.15; drift of 1e-6 is 9.0× the noise (rounding below 1.25, changed "
            "above 2.5); top-1 prediction changed in 10 of 10 rows; largest difference at [2, 0]: "
            "-0.5897 → -0.4359",
        ),
        (
            output(nan()),
            "output output: 0 NaN and 0 infinite values became 1 and 0, first at [2, 1]: -0.5385 → NaN",
        ),
        (
            output(nan(), ratio=0.5, places=Places(size=40, moved=1, flips=0, novel=1, reach=0)),
            "output output: 0 NaN and 0 infinite values became 1 and 0, first at [2, 1]: "
            "-0.5385 → NaN; 1 of them is not what rounding alone gives",
        ),
        (
            output(np.copysign(ALL_NAN, -1), old=ALL_NAN),
            "output output: every value is NaN on both sides, so nothing was compared",
        ),
        (
            output(MOSTLY, old=MOSTLY),
            "output output: max abs diff 0; 24 of 40 values of the baseline are NaN; the others show little",
        ),
        (
            output(LABELS + 1, old=LABELS, places=Places(size=40, moved=40, flips=40, novel=0, reach=0)),
            "output output: max abs diff 1; 40 of 40 values differ; rounding alone flips each of them to the "
            "same value: they are ties",
        ),
        (
            output(LABELS + 1, old=LABELS, places=Places(size=40, moved=40, flips=30, novel=30, reach=2)),
            "output output: max abs diff 1; 40 of 40 values differ; 30 of them are not what rounding alone "
            "gives (by chance, up to 2 can be); largest difference at [0, 0]: 0 → 1",
        ),
        (
            output(LABELS + 1, old=LABELS, places=Places(size=40, moved=40, flips=20, novel=0, reach=2)),
            "output output: max abs diff 1; 40 of 40 values differ; rounding alone flips 20 at most; largest "
            "difference at [0, 0]: 0 → 1",
        ),
        (output(OLD.astype(np.float64)), "output output: dtype changed from float32 to float64"),
        (output(OLD[:5]), "output output: the number of samples changed from 10 to 5"),
        (output(OLD.reshape(5, 8)), "output output: shape changed from (10, 4) to (5, 8)"),
        (output(OLD[:0], old=OLD[:0]), "output output: both sides are empty"),
        (
            output(np.array([["a"], ["x"]]), old=np.array([["a"], ["b"]])),
            "output output: 1 of 2 values differ; integers, booleans and strings must be equal; "
            "first difference at [1, 0]: 'b' → 'x'",
        ),
        (
            output(MOVED, ratio=50.0, tolerance=Tolerance(rtol=0, atol=1e-3)),
            "output output: max abs diff 1e-5; all values within the configured tolerance (rtol 0, atol "
            "0.001); the tolerance is looser than the noise: drift is 50× the noise, which alone means "
            "changed",
        ),
        (
            output(OLD + np.float32(1e-7)),
            "output output: max abs diff 1.2e-7; all values within the float32 tolerance (rtol 1.3e-06, atol "
            "1e-05)",
        ),
        (
            output(MOVED, drift=drift(0.5, method="none"), gap="no-members", noise_reason="no-weights"),
            "output output: max abs diff 1e-5; drift of 1e-6 is 0.5× what rounding to 1 units in the last "
            "place comes to (rounding below 1.25, changed above 2.5); no noise to compare with: the model "
            "cannot be traced, and has no floating-point weights to move",
        ),
        (
            output(OLD + np.float32(0.5), unsteady={"baseline": own(0.5)}),
            "output output: nondeterministic: two runs of the baseline differ as much, by up to 0.5 in 40 "
            "values, so nothing can be compared; max abs diff 0.5",
        ),
        (OutputNumbers(name="a", only_in="baseline"), "output a: missing in the candidate"),
        (OutputNumbers(name="a", only_in="candidate"), "output a: new: the baseline does not have it"),
        (
            OutputNumbers(name="a", only_in="baseline", renamed_to="b"),
            "output a: missing in the candidate; an output with its shape and dtype has a new name: b",
        ),
    ],
)
def test_an_output(numbers: OutputNumbers, sentence: str) -> None:
    (finding,) = findings(numbers)
    assert unmarked(outputs.WORDS.sentence(finding)) == sentence
    assert outputs.WORDS.place(finding) == (
        "hidden" if finding.verdict in ("identical", "rounding") else "lead"
    )


def test_noise_that_could_not_be_measured_is_no_secret_and_gives_no_multiple() -> None:
    lost = Failure(stage="predict", error="UnusableError", message="it needs about 2.0 GiB more memory")
    numbers = output(MOVED, drift=drift(0.5, method="none"), gap="failed", gap_failure=lost)
    (finding,) = findings(numbers)
    assert finding.verdict == "rounding"
    assert outputs.WORDS.place(finding) == "note"
    assert unmarked(outputs.WORDS.sentence(finding)).endswith(
        "; no noise to compare with: measuring it failed (it needs about 2.0 GiB more memory)"
    )
    assert OutputsComparison(outputs=(numbers,)).noise_ratio is None
    assert OutputsComparison(outputs=(numbers, output(MOVED, ratio=0.3))).noise_ratio == 0.3


@pytest.mark.parametrize(
    ("ratio", "update", "sentence"),
    [
        (
            0.7,
            {"reference": apart(4.5e-6)},
            "the candidate computes another function, which bfloat16 hides: output output differs by 4.5e-6 "
            "of its size in all",
        ),
        (
            9.0,
            {"reference": apart(1e-9, column_delta=0.05, index=(1,))},
            "the candidate computes another function: output output differs by 0.05 of its size in column "
            "[1]",
        ),
        (
            9.0,
            {"reference": COARSER},
            "both sides compute the same function (bit-identical outputs); the precision changed: the "
            "candidate is less accurate than the baseline (19.9 effective bits became 8.0)",
        ),
        (
            1.5,
            {"reference": apart(2e-16)},
            "both sides compute the same function (relative difference 2e-16), so the difference is rounding",
        ),
        (
            9.0,
            {"failure": failed(), "failed_side": "candidate"},
            "none to compare (it failed in the candidate: ValueError: no such layer); the cell's own noise "
            "decides, with less certainty",
        ),
    ],
)
def test_a_float64_run(ratio: float, update: dict, sentence: str) -> None:
    numbers = output(MOVED, ratio=ratio, reference=update.pop("reference", None))
    comparison = ReferenceComparison(policy="bfloat16", **update)
    finding = of_reference(findings(numbers, reference=comparison))
    assert unmarked(outputs.WORDS.sentence(finding)) == f"float64 reference run: {sentence}"


@pytest.mark.parametrize(
    ("words", "finding", "sentence"),
    [
        (
            outputs,
            NondeterministicFinding(side="baseline", outputs=(own(0.5), own(None, 3))),
            "two consecutive predictions of the baseline differ: output by up to 0.5 in 40 values; "
            "output in 3 values",
        ),
        (
            outputs,
            ObstacleFinding(
                obstacles=(
                    Obstacle(kind="inputs"),
                    Obstacle(kind="samples", baseline=10, candidate=9),
                    Obstacle(kind="batch-size", baseline=4, candidate=2),
                )
            ),
            "both sides received different inputs; the baseline predicted 10 samples, the candidate 9; the "
            "batch size is 4 in the baseline and 2 in the candidate",
        ),
        (
            outputs,
            ObstacleFinding(obstacles=(Obstacle(kind="no-outputs"),)),
            "the model returned no output that could be compared",
        ),
        (
            accuracy,
            MetricOnlyFinding(reported=ACCURACY, metric="accuracy", value=0.8981),
            "the framework reports accuracy 0.898 instead of 0.270; computed from the predictions, "
            "accuracy is 0.8981",
        ),
        (
            accuracy,
            MaskIgnoredFinding(
                side="baseline", reported="accuracy", value=0.8981, share=0.3, product=0.26943
            ),
            "the baseline ignores the mask in accuracy: it reports 0.2694 = 0.8981 × 0.300, the share of "
            "unmasked positions; the candidate reports 0.8981. Compiled metrics ignore masks in Keras 3.0 to "
            "3.11.3 and respect them from 3.12.0 (keras#21569)",
        ),
        (
            accuracy,
            MetricWorseFinding(result=LOSS),
            "accuracy falls from 0.723 to 0.592 (3,600 labelled items, 90 % interval -0.15 … -0.11, "
            "p < .001)",
        ),
        (
            accuracy,
            UnscoredFinding(reason="labels fit no output"),
            "the metrics were not scored: labels fit no output",
        ),
        (accuracy, UnscoredFinding(metric="mae", reason="no"), "mae was not scored: no"),
        (
            accuracy,
            EvaluateFailedFinding(side="candidate", failure=failed()),
            "the framework's evaluate failed in the candidate: ValueError: no such layer",
        ),
        (
            loading,
            ArtifactFinding(side="candidate", failure=failed()),
            "the saved model does not load in the candidate, its builder built it instead "
            "(ValueError: no such layer)",
        ),
        (
            loading,
            SettingFinding(
                setting=BuilderSetting(setting="causal", builder="a:b", arguments={"causal": True})
            ),
            "the setting causal passes causal=True to the builder, so a:b built the model and the "
            "artifact was not used",
        ),
        (
            loading,
            NoteFinding(kind="tasks-lost", side="baseline", note="tasks", text="noise was lost"),
            "in the baseline, noise was lost",
        ),
        (loading, BaselineFailed(failure=failed()), "the baseline failed to load: ValueError: no such layer"),
        (loading, CellFailed(failure=failed()), "failed to load: ValueError: no such layer"),
    ],
)
def test_a_finding(words: object, finding: Finding, sentence: str) -> None:
    assert unmarked(words.WORDS.sentence(finding)) == sentence  # type: ignore[attr-defined]
    assert words.WORDS.place(finding) in ("lead", "why", "note")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("update", "shown", "below"),
    [
        ({}, "0.723 → 0.592", "p < .001"),
        ({"metric": "f1"}, "f1 0.723 → 0.592", "p < .001"),
        (
            {"worse": False, "reason": "too-few-samples", "needed": 3640},
            "0.723 → 0.592",
            "inconclusive; about 40 more samples needed",
        ),
        ({"worse": False, "reason": "too-few-samples"}, "0.723 → 0.592", "inconclusive"),
        ({"candidate": 0.723, "delta": 0.0, "worse": False, "reason": "none-worse"}, "0.723 = 0.723", ""),
    ],
)
def test_the_accuracy_column(update: dict, shown: str, below: str) -> None:
    comparison = AccuracyComparison(metrics=(LOSS.model_copy(update=update),))
    (column,) = accuracy.WORDS.columns
    assert (column.show(comparison), column.below(comparison)) == (shown, below)
    assert column.strong(comparison) is update.get("worse", True)


def test_few_samples_cannot_rule_out_a_drop() -> None:
    few = LOSS.model_copy(update={"reason": "none-worse", "units": 50, "low": -0.058, "delta": 0.0})
    (table,) = accuracy.WORDS.details(AccuracyComparison(metrics=(few,)), ())
    assert isinstance(table, Table)
    assert unmarked(table.rows[0][3].words) == "no sample got worse; n = 50 cannot rule out a drop of 0.058"


def test_the_columns_and_details_of_outputs() -> None:
    comparison = OutputsComparison(outputs=(output(flipped(), ratio=9.0),))
    assert [column.show(comparison) for column in outputs.WORDS.columns] == ["0.15", "9.0×", "10 of 10"]
    (table,) = outputs.WORDS.details(comparison, findings(*comparison.outputs))
    assert isinstance(table, Table)
    assert all(len(row) == len(table.headings) for row in table.rows)
    assert outputs.WORDS.details(comparison, findings(output(OLD))) == ()

"""Every sentence about decode and training, and where it stands."""

from __future__ import annotations

import pytest

from validator.checks.decode.types import (
    Continuations,
    DecodeComparison,
    DecodeGrowth,
    DecodeNotes,
    DecodeStatistics,
    DecodeStep,
    DecodeVerdict,
    Divergence,
    FullPassDisagreement,
    SampleMean,
    StepKl,
)
from validator.checks.protocol import Finding
from validator.checks.training.answers import AddedLoss, RandomSetting
from validator.checks.training.drift import LayerName
from validator.checks.training.types import (
    BackwardDiffers,
    BatchesDiffer,
    DistributionCompared,
    DrawsDiffer,
    DriftAmount,
    DropoutOff,
    ForwardDiffers,
    InitialiserDiffers,
    LossDiffers,
    MetricDiffers,
    OptimiserDiffers,
    ReferenceGradients,
    ReferenceLeftOut,
    RoundingBegins,
    SettingChange,
    StartDiffers,
    StateDiffers,
    TrainingComparison,
    TrainingStep,
    TrainingVerdict,
    VariableList,
)
from validator.failure import Failure
from validator.report.document import Bullets, Paragraph, Table
from validator.report.phrases import unmarked
from validator.report.words.decode import WORDS as DECODE
from validator.report.words.training import WORDS as TRAINING

FAILURE = Failure(stage="train", error="ValueError", message="no such optimizer\nmore")
FIRST = Divergence(sample=7, step=3, baseline_token=1, candidate_token=2, margin=1.7, tie=False)
GROWTH = DecodeGrowth(first=0.02, second=0.4, difference=SampleMean(mean=0.38, error=0.01))
NORM = LayerName(name="norm", class_name="BatchNormalization")
AMOUNT = DriftAmount(finite=True, rms=1e-3, relative=1e-3, ratio=400.0)
EPSILON = SettingChange(name="epsilon", baseline=0.001, candidate=1e-05)
RATE = RandomSetting(layer="memory", setting="dropout", value=0.5)
MOVED = DecodeVerdict(
    verdict="changed",
    samples=8,
    steps=32,
    prefill_kl=2.1,
    step_kl=(StepKl(step=0, kl=0.02), StepKl(step=31, kl=0.41)),
    growth=GROWTH,
    noise_kl=9e-5,
    first=FIRST,
    diverged=8,
    ties=1,
)


def added(value: float) -> AddedLoss:
    return AddedLoss(layer="code", class_name="Dense", value=value)


@pytest.mark.parametrize(
    ("finding", "place", "parts"),
    [
        (
            MOVED,
            "why",
            (
                "prefill: KL 2.1",
                "Teacher-forced: KL 0.02 at step 0, 0.41 at step 31; in samples that reach the second half, "
                "on average 0.02 before it and",
                "noise 9e-5",
                "first divergent token that is no tie: step 3 of sample 7 (margin 1.7 nats)",
                "diverges in 8 of 8 samples (1 tie)",
            ),
        ),
        (
            DecodeVerdict(verdict="identical", samples=8, steps=16),
            "hidden",
            ("bit for bit (8 samples, 16 steps)",),
        ),
        (DecodeVerdict(verdict="rounding", samples=8, steps=16), "hidden", ("the same tokens",)),
        (
            MOVED.model_copy(update={"gap": FAILURE, "broken": 1, "infinite": 2}),
            "why",
            ("along the baseline's tokens failed: ValueError", "NaN ends 1 sample", "2 positions not finite"),
        ),
        (DecodeVerdict(verdict="suspicious", gap="not-run"), "why", ("no job ran", "KL –")),
        (
            DecodeVerdict(verdict="failed", failure=FAILURE),
            "why",
            ("decode fails: ValueError: no such optimizer",),
        ),
        (
            DecodeVerdict(verdict="not-compared", failure=FAILURE),
            "why",
            ("not compared: the baseline fails",),
        ),
        (DecodeVerdict(verdict="not-compared", obstacle="prompts"), "why", ("the prompts differ",)),
        (
            DecodeVerdict(verdict="not-compared", obstacle="vocabulary", vocabularies=(5, 4)),
            "why",
            ("changed from 5 to 4",),
        ),
        (
            FullPassDisagreement(kl=2.6, baseline_agrees=True),
            "why",
            ("disagrees with step-by-step decoding (KL 2.6)", "attention is not causal, or a cache is stale"),
        ),
        (
            FullPassDisagreement(kl=None, baseline_agrees=None),
            "why",
            ("disagrees with step-by-step decoding: logits are not finite in one of the two",),
        ),
        (DecodeNotes(modes=("prefix", "padded"), notes=("a note",)), "note", ("padded", "decode: a note")),
    ],
)
def test_decode_sentences(finding: Finding, place: str, parts: tuple[str, ...]) -> None:
    said = unmarked(DECODE.sentence(finding))
    assert all(part in said for part in parts), said
    assert DECODE.place(finding) == place


@pytest.mark.parametrize(
    ("finding", "place", "said"),
    [
        (
            TrainingVerdict(verdict="identical", steps=10),
            "note",
            "10 steps of training are identical, bit for bit",
        ),
        (
            TrainingVerdict(verdict="rounding", steps=10, lost_from=2),
            "note",
            "the loss is not finite from step 2",
        ),
        (
            TrainingVerdict(verdict="not-compared", lost_from=0),
            "why",
            "training was not compared: on both sides gradients or weights are not finite from step 0",
        ),
        (TrainingVerdict(verdict="changed", steps=10), "hidden", "training differs within 10 steps"),
        (
            TrainingVerdict(verdict="failed", failure=FAILURE),
            "why",
            "training fails: ValueError: no such optimizer",
        ),
        (TrainingVerdict(verdict="not-compared", failure=FAILURE), "why", "the baseline fails"),
        (
            TrainingVerdict(verdict="not-compared", step_counts=(3, 2)),
            "why",
            "3 steps in the baseline, 2 in the candidate",
        ),
        (
            TrainingVerdict(
                verdict="not-compared",
                variables=(
                    VariableList(count=9, first=(("a", (2, 3)),)),
                    VariableList(count=1, first=(("b", ()),)),
                ),
            ),
            "why",
            "9 variables (a (2, 3), …) in the baseline, 1 variable (b ()) in the candidate",
        ),
        (StartDiffers(verdict="changed", variables=("a", "b")), "why", "different weights (a and b)"),
        (
            BatchesDiffer(verdict="changed", difference="order"),
            "why",
            "the same samples in a different order",
        ),
        (BatchesDiffer(verdict="changed", difference="content"), "why", "training gets different samples"),
        (
            ForwardDiffers(
                verdict="changed",
                step=0,
                layer=NORM,
                amount=AMOUNT,
                double=1e-3,
                in_double=True,
                training_only=True,
                settings=(EPSILON,),
            ),
            "why",
            "norm (BatchNormalization) is the first layer whose training output differs "
            "(relative difference 0.001, "
            "up to 400× noise); it differs in float64 as well (0.001); predictions agree, so only "
            "training mode is affected; its settings differ: epsilon 0.001 → 1e-05",
        ),
        (
            ForwardDiffers(verdict="suspicious", step=0, amount=AMOUNT),
            "why",
            "training outputs differ at step 0",
        ),
        (
            ForwardDiffers(verdict="changed", step=2, loss_lost="candidate"),
            "why",
            "agree up to step 1 and differ from step 2",
        ),
        (
            LossDiffers(
                verdict="changed",
                step=0,
                baseline=0.5,
                candidate=2.0,
                outputs_recorded=True,
                batch_size=4,
                factor="times",
                masked_side="baseline",
            ),
            "why",
            "the loss at step 0 changes: 0.5 → 2; the ratio is the batch size, 4: a sum "
            "instead of a mean; the "
            "outputs carry a mask in the baseline only",
        ),
        (
            LossDiffers(
                verdict="changed", step=1, baseline=0.5, candidate=None, outputs_recorded=False, batch_size=4
            ),
            "why",
            "training outputs are not recorded, but the loss at step 1 changes: 0.5 → not finite",
        ),
        (
            BackwardDiffers(
                verdict="changed",
                step=0,
                layer=NORM,
                variables=("v",),
                amount=DriftAmount(finite=False, lost="candidate"),
            ),
            "why",
            "the gradient behind norm (BatchNormalization) does not (not finite in the candidate)",
        ),
        (BackwardDiffers(verdict="changed", step=1, variables=("v",)), "why", "the gradient of v does not"),
        (
            OptimiserDiffers(
                verdict="changed",
                step=0,
                variables=("e",),
                amount=AMOUNT,
                gradients_recorded=True,
                sparse_only=True,
                settings=(EPSILON.model_copy(update={"owner": "Adam"}),),
            ),
            "why",
            "the gradient of step 0 agrees; the weights after it do not: e (relative "
            "difference 0.001, up to 400× noise); "
            "optimizer settings differ: Adam epsilon 0.001 → 1e-05. Only embeddings with sparse gradients",
        ),
        (
            OptimiserDiffers(
                verdict="changed",
                step=0,
                variables=("e",),
                amount=AMOUNT,
                gradients_recorded=False,
                sparse_only=False,
            ),
            "why",
            "the weights after step 0 differ: e; gradients are not recorded",
        ),
        (
            StateDiffers(verdict="changed", step=0, variables=("s",), counted=16, larger_side="candidate"),
            "why",
            "The variance of 16 values is larger by 16/15 in the candidate",
        ),
        (
            RoundingBegins(
                verdict="rounding",
                step=0,
                layer=NORM,
                amount=AMOUNT,
                largest=2.7e-3,
                reference=ReferenceGradients(loss=0.0, forward=0.0, gradients=5e-17, errors=(1.3e-6, 1.9e-6)),
            ),
            "note",
            "gradients agree to a relative 5e-17; float32 errs by 1.3e-6 (baseline), 1.9e-6 (candidate)",
        ),
        (
            MetricDiffers(
                verdict="metric-only", step=0, metric="accuracy", baseline=0.9, candidate=0.2, masked=True
            ),
            "why",
            "reported accuracy changes in training: 0.900 → 0.200; the outputs of step 0 "
            "agree; the outputs carry a",
        ),
        (
            InitialiserDiffers(
                verdict="changed", variables=("k",), moment="standard-deviation", baseline=1.0, candidate=2.0
            ),
            "why",
            "draws k from another distribution: standard deviation 1 → 2",
        ),
        (DrawsDiffer(verdict="rounding", variables=("k",)), "note", "agree within their errors"),
        (
            DropoutOff(random=(RATE,)),
            "note",
            "random layers were off in training (memory dropout 0.5), so how they draw was not compared",
        ),
        (
            ReferenceLeftOut(reason="it needs about 9.0 GiB more memory"),
            "note",
            "float64 run of training: left out (it needs about 9.0 GiB more memory)",
        ),
        (
            DistributionCompared(
                verdict="changed",
                quantity="loss",
                draws=8,
                p=3e-4,
                means=(0.7, 0.7),
                spreads=(0.1, 0.2),
                random=(RATE,),
            ),
            "why",
            "the losses are distributed otherwise: mean 0.7 → 0.7, standard deviation 0.1 → 0.2 (permutation",
        ),
        (
            DistributionCompared(
                verdict="rounding", quantity="outputs", draws=8, p=0.4, means=(0.7, 0.7), spreads=(0.1, 0.1)
            ),
            "note",
            "no difference of outputs of step 0 shows",
        ),
        (
            LossDiffers(
                verdict="changed",
                step=0,
                baseline=1.0,
                candidate=0.9,
                outputs_recorded=True,
                batch_size=4,
                added=(added(0.2), added(0.05)),
            ),
            "why",
            "the loss that code (Dense) adds changes: 0.2 → 0.05",
        ),
    ],
)
def test_training_sentences(finding: Finding, place: str, said: str) -> None:
    assert said in unmarked(TRAINING.sentence(finding))
    assert TRAINING.place(finding) == place


def test_decode_unfolds_to_steps_and_both_texts() -> None:
    statistics = DecodeStatistics(positions=2, kl=SampleMean(mean=0.1), same_top=SampleMean(mean=0.5))
    comparison = DecodeComparison(
        samples=2,
        prefill=statistics,
        steps=tuple(DecodeStep(step=step, samples=2, statistics=statistics) for step in range(40)),
        first=FIRST,
        continuations=Continuations(
            baseline_tokens=(1,), candidate_tokens=(2,), baseline_text="red hat", prompt_text="ada"
        ),
    )
    line, table, where, texts = DECODE.details(comparison, ())
    assert isinstance(line, Paragraph)
    assert isinstance(table, Table)
    assert "prefill KL 0.1" in unmarked(line.words)
    assert (len(table.rows) <= 16, unmarked(table.rows[-1][0].words)) == (True, "39")
    assert isinstance(where, Paragraph)
    assert isinstance(texts, Bullets)
    assert [unmarked(item) for item in texts.items] == ["prompt: ada", "baseline: red hat", "candidate: 2"]
    assert DECODE.details(comparison.model_copy(update={"identical": True}), ()) == ()
    assert DECODE.details(DecodeComparison(failure=FAILURE, failed_side="candidate"), ()) == ()


def test_training_unfolds_to_its_causes_and_steps() -> None:
    step = TrainingStep(
        step=0,
        loss_baseline=0.5,
        loss_candidate=None,
        loss_ratio=float("inf"),
        gradient=None,
        gradient_ratio=1.2,
        weights=0.0,
        weights_ratio=0.0,
        state_ratio=None,
    )
    causes, table, more = TRAINING.details(
        TrainingComparison(steps=(step,) * 12), (BatchesDiffer(difference="order"),)
    )
    assert isinstance(causes, Bullets)
    assert isinstance(table, Table)
    shown = [unmarked(entry.words) for entry in table.rows[0]]
    assert shown == ["0", "0.5 → not finite", "–", "1.2×", "0×", "–"]
    assert isinstance(more, Paragraph)
    assert "2 more steps" in unmarked(more.words)
    assert TRAINING.details(TrainingComparison(step_counts=(3, 2)), ()) == ()

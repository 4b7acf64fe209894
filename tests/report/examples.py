"""The report of the three examples, with the findings that the checks make: what a reader really meets."""

from __future__ import annotations

from tests.report import cases
from validator.checks.accuracy.types import (
    AccuracyComparison,
    MaskIgnoredFinding,
    MetricOnlyFinding,
    MetricResult,
    MetricWorseFinding,
    ReportedMetric,
)
from validator.checks.bands import CellVerdict
from validator.checks.layers.types import Cause, FirstDifference, LayerRow, LayersComparison, LayerTable
from validator.checks.loading.types import ArtifactFinding
from validator.checks.outputs.types import OutputFinding, OutputNumbers, OutputsComparison, ReferenceFinding
from validator.checks.protocol import Finding
from validator.checks.structure.types import LayerCall, StructuralDifference
from validator.checks.workarounds.types import Effect, Score, Trial, Workaround, WorkaroundFailed
from validator.config.settings import Tolerance
from validator.failure import Failure
from validator.numbers.distance import TensorComparison, Worst
from validator.numbers.reference import ReferenceDistance
from validator.verdict.results import CellResult, ModelResult, Reason, Report

BASE, HEAD = cases.BASE, cases.HEAD


def _numbers(shape: tuple[int, ...], max_abs: float, noise: float, top1: tuple[int, int]) -> OutputNumbers:
    size = shape[0] * shape[1]
    comparison = TensorComparison(
        name="output",
        baseline_dtype="float32",
        candidate_dtype="float32",
        baseline_shape=shape,
        candidate_shape=shape,
        compared=True,
        identical=not max_abs,
        size=size,
        mismatched=top1[0],
        tolerance=Tolerance(rtol=1e-5, atol=1e-6),
        max_abs=max_abs,
        rms=max_abs / 10,
        flips=top1[0],
        rows=top1[1],
        worst=Worst(index=(56, 11, 4), baseline=-2.76562, candidate=15.875) if max_abs > 1 else None,
    )
    return OutputNumbers(name="output", comparison=comparison, drift=cases.moved(noise, max_abs / 10))


def _metric(before: float, after: float, samples: int, units: int) -> MetricResult:
    fell = before - after > 0.05
    return MetricResult(
        metric="accuracy",
        output="output",
        samples=samples,
        units=units,
        baseline=before,
        candidate=after,
        delta=after - before,
        low=after - before - 0.015,
        high=after - before + 0.015,
        confidence=0.9,
        method="bootstrap" if fell else "identical",
        p=2e-4 if fell else 0.5,
        decision="worse" if fell else "not-worse",
        reason="significant" if fell else "within-margin",
        margin=0.01,
        negative_flips=359 if fell else 0,
        positive_flips=110 if fell else 0,
        worse=fell,
    )


def _cell(
    where: str, verdict: CellVerdict, numbers: OutputNumbers, metric: MetricResult, *findings: Finding,
    variant: str = "", reported: tuple[ReportedMetric, ...] = (), layers: LayersComparison | None = None,
) -> CellResult:  # fmt: skip
    rule = "bytes" if verdict == "identical" else "noise"
    output_verdict: CellVerdict = "rounding" if verdict == "metric-only" else verdict
    output = OutputFinding(
        verdict=output_verdict, output="output", rule=rule, numbers=numbers, band=(2.0, 4.0)
    )
    return CellResult.model_validate(
        {
            "cell": where + (f"+{variant}" if variant else ""),
            "environment": where.partition("@")[2],
            "variant": variant,
            "verdict": verdict,
            "checks": {
                "outputs": OutputsComparison(outputs=(numbers,), samples=(361, 361)),
                "accuracy": AccuracyComparison(metrics=(metric,), reported=reported),
                "layers": layers,
            },
            "findings": (output, *findings),
            "seconds": 1.7,
            "reproduce": f"keras-validator run --config examples/validator.yml --only {where}",
        }
    )


def _trial(
    setting: str, verdict: CellVerdict, effect: Effect | None = None, score: Score | None = None
) -> Trial:
    return Trial(
        axis="setting", value="", setting=setting, cell="", verdict=verdict, effect=effect, score=score
    )


def _llama() -> CellResult:
    def attention(at: int) -> dict[str, object]:
        return {"layer": f"attention_{at}", "class_name": "GroupedQueryAttention"}

    cast = StructuralDifference(
        **attention(0), kind="input-cast", call=3, before="bool", after="bfloat16", name="attention_mask",
        input=1, by=LayerCall(layer="", class_name="Cast"),
    )  # fmt: skip
    rows = (
        LayerRow(
            layer="attention_norm_0", class_name="RMSNormalization", kind="same", replayed=0, full_pass=0
        ),
        *(
            row
            for at in range(3)
            for row in (
                LayerRow(**attention(at), kind="dtype", replayed=0, full_pass=43.0, difference=cast),
                LayerRow(
                    layer=f"attended_{at}", class_name="Add", kind="propagated", replayed=0, full_pass=41.0
                ),
                LayerRow(layer=f"fed_{at}", class_name="Add", kind="propagated", replayed=0, full_pass=66.0),
                LayerRow(
                    layer=f"feed_{at}", class_name="SwiGLU", kind="propagated", replayed=0, full_pass=70.0
                ),
            )
        ),
        LayerRow(layer="logits", class_name="Dense", kind="propagated", replayed=0, full_pass=22.0),
    )
    metric = _metric(0.7245, 0.5916, 1873, 74)
    return _cell(
        f"llama@{HEAD}",
        "changed",
        _numbers((75, 48, 385), 18.64, 22.7, (1585, 3600)),
        metric,
        ReferenceFinding(
            kind="reference-confirms",
            policy="bfloat16",
            change="semantic",
            distance=ReferenceDistance(output="output", delta=0.13, row_delta=0.9, reference=4.1),
        ),
        MetricWorseFinding(result=metric),
        FirstDifference(
            cause=Cause(**attention(0), differs="dtype", difference=cast),
            alike=(LayerCall(**attention(1)), LayerCall(**attention(2))),
        ),
        LayerTable(rows=rows, layers=22, diverging=3, propagating=16),
        Workaround(
            trial=_trial(
                "precision: float32", "identical", Effect(max_abs=0.031, top1_changes=12, rows=3600),
                Score(metric="accuracy", before=0.7245, after=0.7272),
            )
        ),
        Workaround(trial=_trial("attention: causal", "identical", Effect(max_abs=0.0))),
        WorkaroundFailed(trial=_trial("jit: on", "changed")),
        reported=(ReportedMetric(name="loss", baseline=1.038, candidate=3.088),),
        layers=LayersComparison(samples=(0, 56), replayed=True),
    )  # fmt: skip


def _not_loaded() -> ArtifactFinding:
    message = (
        "Could not deserialize class 'Functional' because its parent module tf_keras.src.models.functional "
        "cannot be imported. Full object config: {}"
    )
    return ArtifactFinding(
        side="candidate", failure=Failure(stage="load", error="TypeError", message=message)
    )


def _translator() -> CellResult:
    reported = ReportedMetric(name="accuracy", baseline=0.2695, candidate=0.8981)
    return _cell(
        "translator@legacy",
        "metric-only",
        _numbers((203, 34, 16), 5.1e-7, 0.08, (0, 6902)),
        _metric(0.8981, 0.8981, 2071, 202),
        _not_loaded(),
        MetricOnlyFinding(verdict="metric-only", reported=reported, metric="accuracy", value=0.8981),
        MaskIgnoredFinding(side="baseline", reported="accuracy", value=0.8981, share=0.3, product=0.2695),
        reported=(reported,),
    )


def examples(verdict: str = "warn") -> Report:
    """Three models in three environments."""
    same = _numbers((361, 10), 0.0, 0.0, (0, 361))
    digits = _metric(0.9806, 0.9806, 361, 361)
    models = (
        ModelResult(
            name="digits",
            cells=(
                _cell(
                    "digits@legacy",
                    "rounding",
                    _numbers((361, 10), 8.9e-7, 0.53, (0, 361)),
                    digits,
                    _not_loaded(),
                ),
                _cell(f"digits@{HEAD}", "identical", same, digits),
            ),
        ),
        ModelResult(
            name="translator",
            cells=(
                _translator(),
                _cell(f"translator@{HEAD}", "identical", same, _metric(0.8981, 0.8981, 2071, 202)),
            ),
        ),
        ModelResult(
            name="llama",
            cells=(
                _llama(),
                _cell(
                    f"llama@{HEAD}", "identical", same, _metric(0.7272, 0.7272, 1873, 74), variant="float32"
                ),
            ),
        ),
    )
    return Report.model_validate(
        {
            "schema": 2,
            "verdict": verdict,
            "reasons": (
                Reason(kind="cell", cell=f"llama@{HEAD}"),
                Reason(kind="cell", cell="translator@legacy"),
            ),
            "baseline": BASE,
            "environments": cases.MATRIX,
            "models": models,
            "tool": "0.1.0",
            "configuration": "examples/validator.yml",
            "started": "2026-11-27T15:45:29+00:00",
            "seconds": 185.1,
            "commit": cases.COMMIT,
        }
    )

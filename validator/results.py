"""What a run found: the typed form of `report.json`, shared by the rooms that fill it and those that show it.

Every field a reader scripts against is here, and the published JSON Schema is generated from these classes
(`validator/report/report.schema.json`). Numbers are finite; what is not a number (NaN, infinity) is counted
in a field of its own and never stored as a float.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen

Verdict = Literal["pass", "warn", "fail", "inconclusive"]
CellVerdict = Literal[
    "identical", "rounding", "suspicious", "changed", "metric-only", "failed", "not-compared"
]
Stage = Literal[
    "resolve", "install", "import", "load", "structure", "predict", "train", "decode", "timeout", "crash"
]

#: What kind of difference: `precision` is zero-mean error of another size, `semantic` another computation.
Change = Literal["rounding", "precision", "semantic"]

#: Worst last. `metric-only` stands above `suspicious`: it is certain, and needs a person to look.
SEVERITY: tuple[CellVerdict, ...] = (
    "identical",
    "rounding",
    "suspicious",
    "metric-only",
    "not-compared",
    "changed",
    "failed",
)


class Failure(Frozen):
    """A fault of the user's environment or model: a value, never an exception of ours."""

    stage: Stage
    error: str = Field(description="Class of the error, for example `ValueError`, `uv` or `SIGSEGV`.")
    message: str = Field(description="The error's own words; the first line is what tables show.")
    log: str = Field(default="", description="The end of the log, where that helps.")


class Element(Frozen):
    """One element of an output, on both sides. A value is null where it is NaN or infinite."""

    index: tuple[int, ...]
    baseline: float | None
    candidate: float | None


class OutputResult(Frozen):
    """One output tensor of one cell against the same output of the baseline."""

    name: str
    verdict: CellVerdict
    rule: str = Field(description="The rule that decided, in words, with its numbers.")
    message: str = Field(default="", description="What differs, naming the output, element, numbers.")
    dtype: str = ""
    shape: tuple[int, ...] = ()
    max_abs: float | None = None
    max_rel: float | None = None
    rms: float | None = Field(default=None, description="Root mean square of the difference.")
    noise_rms: float | None = Field(default=None, description="The measured noise floor, same unit as rms.")
    noise_ratio: float | None = Field(default=None, description="rms / noise_rms.")
    worst_sample: int | None = Field(default=None, description="The sample with the most drift over noise.")
    worst_sample_ratio: float | None = Field(default=None, description="That sample's drift over its noise.")
    cosine: float | None = None
    mismatched: int = Field(default=0, description="Elements outside rtol/atol, NaN and Inf included.")
    size: int = 0
    flips: int | None = Field(default=None, description="Rows whose arg max moved; null where meaningless.")
    rows: int | None = Field(default=None, description="Rows an arg max was taken of.")
    nan_baseline: int = 0
    nan_candidate: int = 0
    inf_baseline: int = 0
    inf_candidate: int = 0
    worst: Element | None = None


class ClassResult(Frozen):
    """What happened to the samples of one class."""

    label: int
    samples: int
    baseline: float
    candidate: float
    worse: bool = Field(description="Significant after Holm's correction over the classes.")


class MetricResult(Frozen):
    """One task metric, computed by us from the predictions of both sides on the same samples."""

    metric: str
    output: str
    samples: int = Field(description="How many scored items: rows, or tokens left after the mask.")
    units: int = Field(default=0, description="How many of them are independent: sequences, not tokens.")
    baseline: float | None
    candidate: float | None
    delta: float | None = Field(description="candidate − baseline")
    low: float | None = Field(default=None, description="Lower end of the interval of the difference.")
    high: float | None = Field(default=None, description="Upper end.")
    p: float | None = Field(default=None, description="That it is worse, one-sided, corrected by Holm.")
    decision: Literal["worse", "not-worse", "cannot-tell"] = "cannot-tell"
    needed: int | None = Field(default=None, description="About how many units would decide.")
    negative_flips: int | None = Field(default=None, description="Right before and wrong now, ties apart.")
    positive_flips: int | None = Field(default=None, description="Wrong before and right now, ties apart.")
    tied_flips: int | None = Field(default=None, description="Flips whose margins are inside the noise.")
    flipped: tuple[str, ...] = Field(default=(), description="The first samples that flipped for the worse.")
    classes: tuple[ClassResult, ...] = Field(default=(), description="The classes that changed most.")
    worse: bool = Field(default=False, description="What the gate's rule `accuracy` asks.")
    message: str = ""


class ReportedMetric(Frozen):
    """One number of the framework's own `evaluate`, on both sides."""

    name: str
    baseline: float | None
    candidate: float | None
    differs: bool


class Accuracy(Frozen):
    """What the task says: our metrics from predictions, and beside them what the framework reports."""

    metrics: tuple[MetricResult, ...] = ()
    reported: tuple[ReportedMetric, ...] = ()


class FirstDifference(Frozen):
    """Where the difference starts."""

    layer: str
    class_name: str
    kind: Literal["value", "dtype", "mask", "structure"]
    message: str = ""


class LayerResult(Frozen):
    """One layer of a cell that was looked into. Ratios are drift over noise; null where unknown."""

    layer: str
    class_name: str
    by_itself: float | None = Field(
        default=None, description="Fed with the baseline's recorded inputs and masks (golden-fed)."
    )
    inherited: float | None = Field(default=None, description="In the run of the whole model (free-running).")
    valid: float | None = Field(default=None, description="Free-running, positions that the mask keeps.")
    padded: float | None = Field(default=None, description="Free-running, positions that the mask hides.")
    kind: Literal["same", "inherited", "value", "dtype", "mask", "structure"] = Field(
        description="What differs here by itself; `inherited` and `same` where nothing does."
    )
    message: str = ""


class TrainingCause(Frozen):
    """One thing that training does otherwise than in the baseline, and where it begins."""

    cause: Literal[
        "initial weights",
        "data order",
        "data",
        "forward",
        "backward",
        "optimiser",
        "loss reduction or mask",
        "reported metric",
    ]
    verdict: CellVerdict
    step: int | None = Field(default=None, description="The first step (from 0) where it shows.")
    layer: str = Field(default="", description="The layer or variable where it begins, if that is known.")
    message: str = ""


class TrainingStep(Frozen):
    """One step on both sides. A ratio is drift / noise; null where it is infinite or cannot be had."""

    step: int
    loss_baseline: float | None
    loss_candidate: float | None
    loss_ratio: float | None
    gradient: float | None = Field(description="Difference of the gradients, as a share of their size.")
    gradient_ratio: float | None
    weights: float | None = Field(description="Difference of the trained weights, as a share of their size.")
    weights_ratio: float | None
    state_ratio: float | None = Field(description="Of weights that are not trained: moving statistics.")


class TrainingEpoch(Frozen):
    """One epoch of the curve: mean loss, and the spread of the baseline's noise ensemble."""

    loss_baseline: float | None
    loss_candidate: float | None
    noise: float


class TrainingCheckpoint(Frozen):
    """The weights after so many steps, kept in full: the largest difference of any element."""

    step: int
    identical: bool
    max_abs: float | None
    variable: str = Field(default="", description="Where the largest difference is.")


class TrainingResult(Frozen):
    """The first steps of a training from the same weights on the same batches."""

    verdict: CellVerdict
    message: str = Field(description="The verdict in one sentence that names things.")
    causes: tuple[TrainingCause, ...] = ()
    start: str = Field(default="", description="Where the initial weights are from.")
    steps: tuple[TrainingStep, ...] = ()
    curve: tuple[TrainingEpoch, ...] = ()
    checkpoints: tuple[TrainingCheckpoint, ...] = ()
    failure: Failure | None = None
    seconds: float | None = None


class DecodeStatistics(Frozen):
    """Positions of a prompt, or steps along the baseline's tokens. Errors are of means over samples.

    Percentiles are by their rank, from `99.9` to `0.1`.
    """

    positions: int = Field(description="Positions that are finite on both sides.")
    infinite: int = Field(default=0, description="Positions left out: NaN, or a token ruled out on one side.")
    kl: float | None = Field(default=None, description="Mean Kullback-Leibler divergence, in nats.")
    kl_error: float | None = None
    kl_max: float | None = None
    kl_percentiles: dict[str, float] = {}
    delta_p: float | None = Field(default=None, description="Change of the next token's probability, mean.")
    delta_p_error: float | None = None
    delta_p_rms: float | None = None
    delta_p_percentiles: dict[str, float] = {}
    same_top: float | None = Field(default=None, description="Share of positions with the same arg max.")
    same_top_error: float | None = None
    ln_ppl_ratio: float | None = Field(default=None, description="ln(PPL candidate / PPL baseline).")
    ln_ppl_ratio_error: float | None = None


class DecodeStep(Frozen):
    """One step along the baseline's tokens, over the samples that got that far."""

    step: int = Field(description="0 is the token that follows the prompt.")
    samples: int
    kl: float | None
    kl_error: float | None
    noise_kl: float | None = Field(description="The same for weights moved by one unit in the last place.")
    delta_p: float | None
    delta_p_rms: float | None
    same_top: float | None


class DecodeDivergence(Frozen):
    """Where free-running greedy decode first takes another token."""

    sample: int
    step: int
    baseline_token: int
    candidate_token: int
    margin: float | None = Field(
        description="By how much the baseline preferred its token, in nats; null where nothing could be said."
    )
    noise_margin: float | None = Field(description="How far rounding moves such a margin.")
    tie: bool | None = Field(description="The margin is within the noise: no regression. Null without noise.")
    baseline_tokens: tuple[int, ...]
    candidate_tokens: tuple[int, ...]
    prompt_text: str = ""
    baseline_text: str = ""
    candidate_text: str = ""


class DecodeAgreement(Frozen):
    """One environment's step-by-step logits against its own logits of a single pass."""

    kl: float | None
    kl_max: float | None
    same_top: float | None
    agree: bool | None = Field(description="Within the noise; null where there is none.")


class DecodeResult(Frozen):
    """What a token model's prefill and decode do in one cell against the baseline's."""

    verdict: CellVerdict
    message: str = Field(description="The verdict in one sentence.")
    failure: Failure | None = None
    mode: str = Field(default="", description="How steps were made: prefix, padded or protocol.")
    samples: int = 0
    prefill: DecodeStatistics | None = Field(default=None, description="All positions of the prompts.")
    forced: DecodeStatistics | None = Field(default=None, description="Steps along the baseline's tokens.")
    steps: tuple[DecodeStep, ...] = Field(default=(), description="The same step by step, 64 at most.")
    growth: float | None = Field(
        default=None, description="Mean kl of the second half of the steps less that of the first."
    )
    growth_error: float | None = None
    noise_kl: float | None = Field(default=None, description="Mean divergence that rounding alone gives.")
    noise_ratio: float | None = Field(
        default=None, description="Drift over noise: the root of kl / noise_kl, of prefill or steps."
    )
    diverged: int = Field(default=0, description="Samples whose greedy continuation is another.")
    ties: int = Field(default=0, description="Those of them that are ties.")
    first: DecodeDivergence | None = Field(
        default=None, description="The first that is no tie, or the first."
    )
    baseline_agreement: DecodeAgreement | None = None
    candidate_agreement: DecodeAgreement | None = None
    notes: tuple[str, ...] = ()


class Finding(Frozen):
    """Anything else a person should know about a cell, in one sentence."""

    kind: str = Field(description="A short stable word: nondeterministic, artifact, inputs, savedmodel …")
    message: str


class WayOut(Frozen):
    """A setting under which a cell that moved agrees with its baseline under the same setting: it was run."""

    axis: Literal["precision", "jit", "attention", "setting"]
    value: str = Field(description="Its value on that axis; for `setting` the name of the model's own.")
    setting: str = Field(description="As one writes it down: `precision: float32`.")
    cell: str = Field(description="The id of the cell that was run under it.")
    verdict: CellVerdict = Field(description="`identical`, `rounding` or `metric-only`.")
    baseline_max_abs: float | None = Field(
        default=None, description="How far it moves the baseline's own predictions."
    )
    baseline_flips: int | None = Field(default=None, description="Rows of them whose arg max moves.")
    baseline_rows: int | None = None
    metric: str = Field(default="", description="The first metric of the model, on the baseline.")
    metric_before: float | None = Field(default=None, description="As saved.")
    metric_after: float | None = Field(default=None, description="Under the setting.")
    message: str = ""


class CellResult(Frozen):
    """One model in one environment under one variant, judged against its baseline cell."""

    cell: str
    environment: str
    variant: str
    verdict: CellVerdict
    message: str = Field(description="The verdict in one sentence that names things.")
    change: Change | None = Field(
        default=None, description="The kind of difference, where a twin in higher precision told it."
    )
    outputs: tuple[OutputResult, ...] = ()
    accuracy: Accuracy | None = None
    first_difference: FirstDifference | None = None
    decode: DecodeResult | None = None
    training: TrainingResult | None = None
    layers: tuple[LayerResult, ...] = Field(
        default=(), description="The layers that matter, in order, 50 at most."
    )
    failure: Failure | None = None
    findings: tuple[Finding, ...] = ()
    ways_out: tuple[WayOut, ...] = Field(
        default=(), description="Settings that bring parity back, verified, cheapest first."
    )
    gated: tuple[str, ...] = Field(default=(), description="The gate's rules that this cell breaks.")
    seconds: float | None = None
    reproduce: str = Field(default="", description="The command that runs this cell again.")


class ModelResult(Frozen):
    """All cells of one model, worst first."""

    name: str
    cells: tuple[CellResult, ...]


class EnvironmentResult(Frozen):
    """One environment as it really ran. `packages` maps the normalised name to the version."""

    name: str
    role: Literal["baseline", "candidate"] = "candidate"
    packages: dict[str, str] = {}
    python: str = ""
    cpu: str = ""
    keras: str = Field(default="", description="Module and version that ran, for example `tf_keras 2.17.0`.")
    backend: str = ""
    seconds: float | None = None
    failure: Failure | None = None


class PackageChange(Frozen):
    """One package that moved between base and head. `old` or `new` is null where it is absent."""

    name: str
    old: str | None
    new: str | None
    direct: bool = True
    manifest: str = ""
    line: int | None = None


class Upgrade(Frozen):
    """What a pull request changes."""

    changes: tuple[PackageChange, ...]
    relevant: bool = Field(description="False: nothing that can move a model's numbers changed.")
    source: str = Field(
        default="", description="dependabot, renovate, or empty. A label, trusted for nothing."
    )


class Report(Frozen):
    """One run."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    verdict: Verdict
    reasons: tuple[str, ...] = Field(description="Why, one sentence each, worst first.")
    baseline: str
    upgrade: Upgrade | None = None
    environments: tuple[EnvironmentResult, ...]
    models: tuple[ModelResult, ...]
    not_compared: tuple[str, ...] = Field(default=(), description="Ids of cells that were not compared.")
    tool: str = Field(description="Version of the validator.")
    configuration: str = Field(default="", description="The validator.yml, relative to the repository.")
    started: str = Field(default="", description="ISO 8601, UTC.")
    seconds: float | None = None
    commit: str | None = None

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


class MetricResult(Frozen):
    """One task metric, computed by us from the predictions of both sides."""

    metric: str
    output: str
    samples: int = Field(description="How many scored items: rows, or tokens left after the mask.")
    baseline: float | None
    candidate: float | None
    delta: float | None
    worse: bool = Field(default=False, description="Beyond the gate's margin.")
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


class Finding(Frozen):
    """Anything else a person should know about a cell, in one sentence."""

    kind: str = Field(description="A short stable word: nondeterministic, artifact, inputs, savedmodel …")
    message: str


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
    layers: tuple[LayerResult, ...] = Field(
        default=(), description="The layers that matter, in order, 50 at most."
    )
    failure: Failure | None = None
    findings: tuple[Finding, ...] = ()
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

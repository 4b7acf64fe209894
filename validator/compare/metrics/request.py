"""What is asked of a metric, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from validator.compare.resampling import Resampling
from validator.compare.statistics import Decision, Interval, Reason, Rule
from validator.tensors import StoredTensor

SHOWN = 20  #: how many flipped samples are named
WORST = 5  #: how many classes are named


class UnscorableError(Exception):
    """These predictions and labels have no such metric: why, and what to do. It never leaves this folder."""


class MetricFunction(Protocol):
    """A metric of the user.

    Called once a side with arrays whose first axis is the sample axis: the predictions by output name, the
    labels by name (with `sample_weight` where the recording has one). Returns one number, or one number a
    sample, whose mean is then the metric; the second form is compared with far fewer calls.
    """

    def __call__(
        self, predictions: Mapping[str, NDArray[Any]], labels: Mapping[str, NDArray[Any]], /
    ) -> object:
        """The metric."""


@dataclass(frozen=True)
class MetricRequest:
    """One metric of one output.

    `sample_ids` name the predictions' samples and `label_ids` the labels'; where both are known, labels are
    found by id, and predictions without a label are left out. `noise` is how far a margin (the difference of
    two scores of a row, or a score's distance from the threshold) moves under the noise floor alone: flips
    whose margins on both sides are within it are ties. `threshold` splits binary scores: 0.5 by default, 0 if
    a score lies outside 0…1. `function` belongs to a metric named `module:function`, and only it reads
    `higher_is_better`.
    """

    metric: str
    output: str = "output"
    rule: Rule = field(default_factory=Rule)
    ignore_label: int | None = None
    noise: float | None = None
    threshold: float | None = None
    sample_ids: tuple[str, ...] | None = None
    label_ids: tuple[str, ...] | None = None
    function: MetricFunction | None = None
    higher_is_better: bool = True
    resampling: Resampling = field(default_factory=Resampling)


@dataclass(frozen=True)
class Task:
    """A request with its tensors."""

    request: MetricRequest
    baseline: StoredTensor
    candidate: StoredTensor
    labels: StoredTensor
    weights: StoredTensor | None = None


@dataclass(frozen=True)
class FlipList:
    """How many items flipped, and the first of them: a sample's id, for a token `id[position]`."""

    count: int = 0
    samples: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassDelta:
    """What happened to the items whose label is `label` (for several binary labels: in that column).

    `p_adjusted` is Holm's, over all classes with a flip; the test counts samples, not tokens.
    """

    label: int
    samples: int
    baseline: float
    candidate: float
    delta: float
    negative: int
    positive: int
    p_adjusted: float
    worse: bool


@dataclass(frozen=True)
class PairedMetric:
    """One metric on both sides. `delta` is candidate − baseline, whichever direction is better.

    `samples` counts scored items (tokens, where labels are sequences) and `units` what is independent (the
    sequences). `negative` and `positive` leave out the ties, and so do `p_worse` and the decision, unless the
    ties lean to one side. `margin` is the one that was applied, in the metric's unit. Where `decision` is
    "cannot-tell", `needed` is about how many units would decide.
    """

    metric: str
    output: str
    higher_is_better: bool
    decision: Decision
    reason: Reason
    message: str
    samples: int = 0
    units: int = 0
    baseline: float | None = None
    candidate: float | None = None
    delta: float | None = None
    interval: Interval | None = None
    p_worse: float | None = None
    p_adjusted: float | None = None
    needed: int | None = None
    margin: float = 0.0
    negative: FlipList | None = None
    positive: FlipList | None = None
    tied_negative: FlipList | None = None
    tied_positive: FlipList | None = None
    classes: tuple[ClassDelta, ...] = ()
    classes_tested: int = 0
    notes: tuple[str, ...] = ()

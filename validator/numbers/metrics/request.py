"""What is asked of a metric, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from numpy.typing import NDArray
from pydantic import Field

from validator.base import Finite, Frozen
from validator.numbers.resampling import Resampling
from validator.numbers.statistics import Criterion, Decision, Interval, Method, PairedEstimate, Reason
from validator.storage.tensors import StoredTensor


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

    `noise` is how far a margin (the difference of two scores of a row, or a score's distance from the
    threshold) moves under the noise floor alone: flips whose margins on both sides are within it are ties.
    `function` belongs to a metric named `module:function`, and `direction` says which way it is better: where
    that is not known, the way it moved counts as the worse one, at twice the p.
    """

    metric: str
    output: str = "output"
    criterion: Criterion = field(default_factory=Criterion)
    ignore_label: int | None = None
    noise: float | None = None
    function: MetricFunction | None = None
    direction: Literal["higher", "lower"] | None = None
    resampling: Resampling = field(default_factory=Resampling)


@dataclass(frozen=True)
class Scoring:
    """A request with its tensors."""

    request: MetricRequest
    baseline: StoredTensor
    candidate: StoredTensor
    labels: StoredTensor
    weights: StoredTensor | None = None

    @property
    def resampling(self) -> Resampling:
        """How to resample, at the level of the criterion."""
        return replace(self.request.resampling, alpha=self.request.criterion.alpha)


class ClassResult(Frozen):
    """What happened to the items of one class (for several binary labels: of one column)."""

    label: int
    samples: int
    baseline: float
    candidate: float
    worse: bool = Field(description="Significant after Holm's correction over all classes with a flip.")


class Flip(Frozen):
    """One item that became wrong: the label, and what both sides predict (-1 for NaN)."""

    sample: int
    position: int | None = Field(default=None, description="Within the sample, where it has several items.")
    label: int
    baseline: int
    candidate: int


class MetricNote(Frozen):
    """What to know about a value.

    `logits-threshold`: scores outside 0…1 are logits, above 0 is class 1. `logits`: rows of scores are.
    `labels-cut`: labels behind the end of a prediction do not count. `one-sided-ties`: flips within the noise
    lean to the candidate's loss, and count. `not-finite`: `count` items are NaN or infinite on a side, and do
    not count. `lost`: so are, in the candidate, all `count` items that the baseline predicts. `one-kind`:
    `count` of `total` classes have labels of one kind only, and do not count.
    """

    kind: Literal[
        "logits-threshold", "logits", "labels-cut", "one-sided-ties", "not-finite", "lost", "one-kind"
    ]
    count: int = 0
    total: int = 0


class MetricResult(Frozen):
    """One task metric, computed from the predictions of both sides on the same samples.

    Flips and the decision leave out ties (flips within the noise), unless the ties lean to the loss; the
    interval is of the whole difference.
    """

    metric: str
    output: str
    higher_is_better: bool = True
    directed: bool = Field(default=True, description="Whether it is known which way is better.")
    samples: int = Field(default=0, description="How many scored items: rows, or tokens left after the mask.")
    units: int = Field(default=0, description="How many of them are independent: sequences, not tokens.")
    baseline: Finite | None = None
    candidate: Finite | None = None
    delta: Finite | None = Field(default=None, description="candidate − baseline, whichever way is better")
    low: Finite | None = Field(default=None, description="Lower end of the interval of the difference.")
    high: Finite | None = Field(default=None, description="Upper end.")
    confidence: float | None = Field(default=None, description="Of the interval.")
    method: Method | None = Field(default=None, description="Of the interval.")
    p: Finite | None = Field(default=None, description="That it is worse, one-sided, corrected by Holm.")
    decision: Decision = "inconclusive"
    reason: Reason = "not-scored"
    message: str = Field(default="", description="For `not-scored` and `raised`: what was raised.")
    margin: Finite = Field(default=0.0, description="The loss that is accepted, in the metric's unit.")
    needed: int | None = Field(default=None, description="About how many units would decide.")
    negative_flips: int | None = Field(default=None, description="Right before and wrong now, ties apart.")
    positive_flips: int | None = Field(default=None, description="Wrong before and right now, ties apart.")
    tied_flips: int | None = Field(default=None, description="Flips whose margins are inside the noise.")
    flipped: tuple[str, ...] = Field(default=(), description="The first samples that flipped for the worse.")
    flips: tuple[Flip, ...] = Field(default=(), description="The same samples, with what was predicted.")
    classes: tuple[ClassResult, ...] = Field(default=(), description="The classes that changed most.")
    notes: tuple[MetricNote, ...] = ()
    worse: bool = Field(default=False, description="What the gate's rule `accuracy` asks.")


@dataclass(frozen=True)
class FlipSummary:
    """What a result says of its flips, under the same names."""

    negative_flips: int
    positive_flips: int
    tied_flips: int
    flipped: tuple[str, ...]
    flips: tuple[Flip, ...]
    classes: tuple[ClassResult, ...]


@dataclass(frozen=True)
class Scored:
    """Both values, the oriented estimate behind the decision, and the interval of all differences.

    `baseline` and `candidate` may be NaN; `lost` counts items that only the candidate lacks. `raised`: what a
    function of the user's raised for the candidate alone. `higher_is_better` is None where the metric knows.
    """

    baseline: float
    candidate: float
    samples: int
    estimate: PairedEstimate
    interval: Interval | None
    notes: tuple[MetricNote, ...] = ()
    lost: int = 0
    flips: FlipSummary | None = None
    raised: str = ""
    higher_is_better: bool | None = None

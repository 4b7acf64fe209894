"""The numbers and findings of the check `training`: do the first steps agree, and if not, which part?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, InstanceOf
from pydantic.json_schema import SkipJsonSchema

from validator.base import Finite, Frozen
from validator.checks.bands import CellVerdict
from validator.checks.protocol import Comparison, Finding
from validator.checks.training.answers import AddedLoss, RandomSetting, SettingValue
from validator.checks.training.draws import Quantity
from validator.checks.training.drift import LayerName, Moment
from validator.checks.training.sides import TrainingDrifts
from validator.failure import Failure

Side = Literal["baseline", "candidate"]


class TrainingStep(Frozen):
    """One step on both sides. A ratio is drift ÷ noise; null where it is infinite or cannot be had."""

    step: int
    loss_baseline: float | None
    loss_candidate: float | None
    loss_ratio: Finite | None
    gradient: Finite | None = Field(description="Difference of the gradients, as a share of their size.")
    gradient_ratio: Finite | None
    weights: Finite | None = Field(description="Difference of the trained weights, as a share of their size.")
    weights_ratio: Finite | None
    state_ratio: Finite | None = Field(description="Of weights that are not trained: moving statistics.")


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


class ReferenceGradients(Frozen):
    """The first step in float64 on both sides: the same mathematics without the rounding.

    `loss`, `forward` and `gradients` are relative differences of both sides' reference runs. `errors` are the
    distances of each side's own gradients from its reference run's, as shares of their size.
    """

    loss: Finite | None
    forward: Finite | None
    gradients: Finite | None
    errors: tuple[Finite | None, Finite | None]


class VariableList(Frozen):
    """How many variables a side has, and the first of them with their shapes."""

    count: int
    first: tuple[tuple[str, tuple[int, ...]], ...]


class TrainingFacts(Frozen):
    """Why two trainings are not compared. With any of these there is no more."""

    failure: Failure | None = None
    variables: tuple[VariableList, VariableList] | None = Field(
        default=None, description="Of both sides, where they cannot be paired."
    )
    step_counts: tuple[int, int] | None = Field(default=None, description="Set where they differ.")


class TrainingComparison(TrainingFacts, Comparison):
    """The first steps of a training from the same weights on the same batches."""

    failed_side: Side | None = None
    start: str = Field(default="", description="Where the initial weights are from.")
    steps: tuple[TrainingStep, ...] = ()
    reference: ReferenceGradients | None = None
    curve: tuple[TrainingEpoch, ...] = ()
    checkpoints: tuple[TrainingCheckpoint, ...] = ()
    #: Tensor by tensor: what findings are made of, and too much for report.json.
    drifts: Annotated[InstanceOf[TrainingDrifts] | None, SkipJsonSchema()] = Field(default=None, exclude=True)


class SettingChange(Frozen):
    """A setting that both sides have and that differs; `owner` is the class of an optimiser or loss."""

    name: str
    baseline: SettingValue
    candidate: SettingValue
    owner: str = ""


class DriftAmount(Frozen):
    """How far a tensor is from the baseline's. Nothing is known where one side alone is not finite."""

    finite: bool
    lost: Side | None = Field(default=None, description="The side that alone is not finite, where it is one.")
    rms: Finite | None = None
    relative: Finite | None = Field(default=None, description="As a share of the baseline's size.")
    ratio: Finite | None = Field(default=None, description="As a multiple of the noise.")


class TrainingVerdict(TrainingFacts, Finding):
    """What the training comes to. The gate has a rule of its own for it: the cell's verdict is another."""

    check: Literal["training"] = "training"
    kind: Literal["training-verdict"] = "training-verdict"
    verdict: CellVerdict
    steps: int = 0
    draws: int = Field(default=0, description="Trainings a side, where random layers were on.")
    lost_from: int | None = Field(
        default=None,
        description="The first step that is not finite on both sides: its loss, or gradients or weights.",
    )


class TrainingCause(Finding):
    """Something that training does differently. Of the fields, each kind fills in what it can name."""

    check: Literal["training"] = "training"
    step: int | None = Field(default=None, description="The first step, from 0, where it shows.")
    layer: LayerName | None = None
    variables: tuple[str, ...] = ()
    amount: DriftAmount | None = Field(default=None, description="Of what is farthest above its noise.")
    settings: tuple[SettingChange, ...] = ()


class StartDiffers(TrainingCause):
    """Initial weights differ, so nothing after them is comparable."""

    kind: Literal["training-start"] = "training-start"


class BatchesDiffer(TrainingCause):
    """The steps get the same samples in another order, or other samples."""

    kind: Literal["training-batches"] = "training-batches"
    difference: Literal["order", "content"]


class ForwardDiffers(TrainingCause):
    """Outputs in training differ; `layer` is the first that does, known for the first step only."""

    kind: Literal["training-forward"] = "training-forward"
    double: Finite | None = Field(default=None, description="The layer's relative difference in float64.")
    in_double: bool | None = Field(default=None, description="Whether it differs in float64, too.")
    loss_lost: Side | None = Field(default=None, description="The side whose loss alone is not finite.")
    training_only: bool = Field(default=False, description="Predictions agree.")


class LossDiffers(TrainingCause):
    """The loss differs where the outputs agree (or are not recorded): its reduction, or a mask."""

    kind: Literal["training-loss"] = "training-loss"
    baseline: float | None
    candidate: float | None
    outputs_recorded: bool
    batch_size: int
    factor: Literal["times", "divided"] | None = Field(
        default=None,
        description="The candidate's loss is the baseline's times, or divided by, the batch size.",
    )
    masked_side: Side | None = Field(default=None, description="The side whose outputs alone carry a mask.")
    added: tuple[AddedLoss, AddedLoss] | None = Field(
        default=None, description="The loss of one layer on both sides, where that is what differs."
    )


class BackwardDiffers(TrainingCause):
    """Loss and outputs agree, the gradient does not: behind `layer`, or of the variable at least."""

    kind: Literal["training-backward"] = "training-backward"


class OptimiserDiffers(TrainingCause):
    """The weights after a step differ where its gradient agrees (or is not recorded)."""

    kind: Literal["training-optimiser"] = "training-optimiser"
    gradients_recorded: bool
    sparse_only: bool = Field(description="Every one has a gradient that comes as rows of an embedding.")


class StateDiffers(TrainingCause):
    """Weights that are not trained differ after a step: moving statistics.

    `counted` is N, where variances differ by N/(N−1) alone; `larger_side` is the side that has the factor.
    """

    kind: Literal["training-state"] = "training-state"
    counted: int | None = None
    larger_side: Side | None = None


class RoundingBegins(TrainingCause):
    """Gradients differ within their noise, from this layer's forward pass on."""

    kind: Literal["training-rounding"] = "training-rounding"
    largest: Finite | None = Field(description="The largest relative difference of one element.")
    reference: ReferenceGradients | None = Field(default=None, description="Set where float64 agrees.")


class MetricDiffers(TrainingCause):
    """The framework reports another metric for outputs that agree."""

    kind: Literal["training-metric"] = "training-metric"
    metric: str
    baseline: float
    candidate: float
    masked: bool = Field(description="The outputs carry a mask.")


class InitialiserDiffers(TrainingCause):
    """A fresh initialisation draws variables from another distribution; numbers are of the first."""

    kind: Literal["training-initialiser"] = "training-initialiser"
    moment: Moment
    baseline: float
    candidate: float


class DrawsDiffer(TrainingCause):
    """A fresh initialisation under one seed gives other values; their moments do not tell them apart."""

    kind: Literal["training-draws"] = "training-draws"


class DropoutOff(TrainingCause):
    """Random layers were switched off: how they draw was not compared."""

    kind: Literal["training-dropout-off"] = "training-dropout-off"
    random: tuple[RandomSetting, ...]


class ReferenceLeftOut(TrainingCause):
    """No float64 run: it needs more memory than there is. Only what explains a difference is lost."""

    kind: Literal["training-reference-left-out"] = "training-reference-left-out"
    reason: str


class DistributionCompared(TrainingCause):
    """With random layers on, trainings of both sides are compared as draws from two distributions.

    `spreads`: the standard deviation over draws. `p`: of a permutation test of the energy distance.
    """

    kind: Literal["training-distribution"] = "training-distribution"
    quantity: Quantity
    draws: int
    p: float
    means: tuple[Finite | None, Finite | None]
    spreads: tuple[Finite | None, Finite | None]
    random: tuple[RandomSetting, ...] = ()

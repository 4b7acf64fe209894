"""The numbers and findings of the check `layers`: where does a difference start?"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Finite, Frozen
from validator.checks.protocol import Comparison, Finding
from validator.checks.structure.types import Aspect, LayerCall, NotRecorded, StructuralDifference
from validator.numbers.values import Element

#: What differs at a layer by its own doing.
Differs = Literal["value"] | Aspect


class LayerDrift(Frozen):
    """One call's results in the full forward pass, against the baseline's.

    Attributes:
        identical: every byte of every result; None where the layer returned nothing that has values.
        ratio: drift ÷ noise of the worst result; None where it is unknown (not kept, or no number).
        rms, noise: both, of the worst result: root mean squares, the noise at least what its dtype rounds by.
        valid, padded: the same for positions that a mask keeps, and those it hides; None without a mask.
        broken: NaN or infinity at other places, or results that cannot be paired.
        lost: how many values are NaN or infinite in the baseline and the candidate, where they are broken.
        unequal: how many integers, booleans or strings differ.
        size: how many values `lost` or `unequal` are counted among.
        example: the largest difference, as (baseline, candidate).
        rows: which of the recorded samples have moved; None where samples cannot be told apart.
    """

    identical: bool | None
    ratio: Finite | None = None
    rms: Finite | None = None
    noise: Finite | None = None
    valid: Finite | None = None
    padded: Finite | None = None
    broken: bool = False
    lost: tuple[int, int] | None = None
    unequal: int = 0
    size: int = 0
    example: tuple[Element, Element] | None = None
    rows: tuple[int, ...] | None = None

    @property
    def differs(self) -> bool:
        """Whether anything is not the same, byte for byte."""
        return self.identical is False


class Replay(Frozen):
    """A call of the candidate with the inputs and masks that the baseline recorded.

    `ratio`: drift ÷ noise of the worst result, None where it is no number. `failure`: why there is none.
    """

    ratio: Finite | None = None
    broken: bool = False
    failure: str = ""

    def diverges(self, limit: float) -> bool:
        """Whether the results differ by more than `limit` times their noise."""
        return not self.failure and (self.broken or (self.ratio is not None and self.ratio > limit))


class CallNumbers(LayerCall):
    """One call of the baseline's model.

    Attributes:
        candidate: the candidate's call; None where it has no partner, and then no `drift`.
        parent: the call around it, None for the model itself.
        visible: it is not inside one of Keras' own layers.
        counted: a person counts it as a layer: no operation, no model, and directly in a model.
        encloses: other calls happen inside of it.
        same_inputs: both sides received the same bytes, and they are known.
    """

    call: int
    candidate: int | None = None
    parent: int | None
    visible: bool
    counted: bool = False
    encloses: bool
    same_inputs: bool = False
    drift: LayerDrift | None = None
    replay: Replay | None = None


class LayerInput(Frozen):
    """A tensor that a layer's own code is given, as `(6, 48) bool`; empty on a side that does not give it."""

    name: str
    baseline: str
    candidate: str


class LayerNode(LayerCall):
    """One layer of the model's graph. Ratios are drift ÷ noise; null where unknown.

    `feeds`: the calls of the layers that feed it, -1 for the model's inputs.
    """

    call: int
    shape: tuple[int | None, ...] = Field(description="Of its first result, in the baseline.")
    dtype: str
    feeds: tuple[int, ...] = ()
    inputs: tuple[LayerInput, ...] = ()
    replayed: Finite | None = Field(default=None, description="Replayed on the baseline's inputs and masks.")
    full_pass: Finite | None = Field(default=None, description="In the full forward pass.")
    rms: Finite | None = Field(default=None, description="Root mean square of the full pass's difference.")
    noise: Finite | None = Field(default=None, description="That of the noise.")


class LayersComparison(Comparison):
    """The model layer by layer on a few samples, in the cells that moved.

    `samples` is empty before the follow-up, and where something is missing.
    """

    samples: tuple[int, ...] = ()
    missing: tuple[NotRecorded, ...] = ()
    replayed: bool = Field(default=False, description="Whether layers were replayed; else none is cleared.")
    left: int = Field(default=0, description="Layers for which a replay found no time.")
    nodes: tuple[LayerNode, ...] = Field(default=(), description="The model's graph, in cells that moved.")
    # Numbers of every call are what `find` works on; the finding `layer-table` has those worth reading.
    calls: tuple[CallNumbers, ...] = Field(default=(), exclude=True)
    differences: tuple[StructuralDifference, ...] = Field(default=(), exclude=True)


class Cause(LayerCall):
    """What differs at one call by its own doing. A value that differs in the model itself (`layer` is empty)
    comes from its own code, between the layers."""

    differs: Differs
    ratio: Finite | None = Field(default=None, description="Of a value: drift ÷ noise on identical input.")
    difference: StructuralDifference | None = None
    nonfinite: tuple[int, int] | None = Field(
        default=None, description="NaN and infinite values of both sides, where their places differ."
    )
    unequal: int = Field(default=0, description="Integers, booleans or strings that differ.")
    size: int = Field(default=0, description="How many values `nonfinite` or `unequal` are counted among.")
    example: tuple[Element, Element] | None = Field(
        default=None, description="The largest difference for the same input: baseline, candidate."
    )
    samples: tuple[int, ...] = Field(
        default=(), description="The recorded samples that it moves, where it does not move all of them."
    )
    before: LayerCall | None = Field(
        default=None, description="Of the model's own code: the first layer whose input it moves."
    )


class LayerRow(LayerCall):
    """One layer of the table. Ratios are drift ÷ noise; null where unknown."""

    kind: Literal["same", "propagated"] | Differs
    replayed: Finite | None = Field(default=None, description="Replayed on the baseline's inputs and masks.")
    full_pass: Finite | None = Field(default=None, description="In the full forward pass.")
    valid: Finite | None = Field(default=None, description="Full pass, positions that the mask keeps.")
    padded: Finite | None = Field(default=None, description="Full pass, positions that the mask hides.")
    difference: StructuralDifference | None = None
    replay_failure: str = Field(default="", description="Why the layer could not be replayed.")


class _LayersFinding(Finding):
    check: Literal["layers"] = "layers"


class _Blames(_LayersFinding):
    """`alike`: further layers that differ in the same way."""

    cause: Cause
    alike: tuple[LayerCall, ...] = ()


class FirstDifference(_Blames):
    """Where it starts."""

    kind: Literal["first-difference"] = "first-difference"


class FurtherCause(_Blames):
    """Another difference that does not come from the first."""

    kind: Literal["further-cause"] = "further-cause"


class MoreCauses(_LayersFinding):
    """Layers that differ in yet other ways."""

    kind: Literal["more-causes"] = "more-causes"
    layers: tuple[LayerCall, ...]


class LayerTable(_LayersFinding):
    """The layers that matter, in the baseline's order: all causes, and of the others as many as fit.

    `layers`: all that a person counts; so many of them diverge, and propagate a difference.
    """

    kind: Literal["layer-table"] = "layer-table"
    rows: tuple[LayerRow, ...]
    layers: int
    diverging: int
    propagating: int
    kinds: dict[int, Literal["propagated"] | Differs] = Field(
        default={}, description="What differs, by the call of a node of the graph; none where nothing does."
    )


class LayersNotRecorded(_LayersFinding):
    """The layers of a side are not known or cannot be read, so it is open where the difference starts."""

    kind: Literal["layers-not-recorded"] = "layers-not-recorded"
    missing: NotRecorded


class ReplayIncomplete(_LayersFinding):
    """There was no time to replay so many layers."""

    kind: Literal["replay-incomplete"] = "replay-incomplete"
    layers: int


class NoLayerDiffers(_LayersFinding):
    """On the recorded samples every layer gives the same bytes."""

    kind: Literal["no-layer-differs"] = "no-layer-differs"
    samples: int

"""The numbers and findings of the check `structure`: is it the same graph, with the same weights?"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue

from validator.base import Frozen
from validator.checks.protocol import Comparison, Finding
from validator.failure import Failure

#: What a difference is about.
Aspect = Literal["dtype", "mask", "structure", "weights"]
DifferenceKind = Literal[
    "class", "policy", "configuration",
    "weight-count", "weight-shape", "weight-dtype", "weight-order", "weight-values",
    "vocabulary-size", "vocabulary-entries",
    "input-cast", "input-cast-removed", "input-conversion", "input-dtype", "input-shape", "input-mask",
    "received-mask", "argument", "constant",
    "result-count", "result-dtype", "result-rank", "result-shape", "result-mask", "result-mask-positions",
    "removed", "added",
]  # fmt: skip
_ASPECTS: dict[DifferenceKind, Aspect] = {
    **dict.fromkeys(
        ("policy", "input-cast", "input-cast-removed", "input-conversion", "input-dtype", "result-dtype"),
        "dtype",
    ),
    **dict.fromkeys(("weight-values", "vocabulary-size", "vocabulary-entries"), "weights"),
    **dict.fromkeys(("input-mask", "received-mask", "result-mask", "result-mask-positions"), "mask"),
}
#: What a layer's own code is given: whatever differs behind it, its input is not the same.
_RECEIVED: tuple[DifferenceKind, ...] = (
    "input-cast", "input-cast-removed", "input-conversion", "input-dtype", "input-shape", "input-mask",
    "received-mask", "argument", "constant",
)  # fmt: skip


class LayerCall(Frozen):
    """A call of a layer as a person knows it."""

    layer: str = Field(description="Names of the layers around it and its own; empty for the model itself.")
    class_name: str
    occurrence: int = Field(default=0, description="Which of several calls of the same layer, from 0.")

    @property
    def place(self) -> dict[str, Any]:
        """The fields of a `LayerCall` alone."""
        return {"layer": self.layer, "class_name": self.class_name, "occurrence": self.occurrence}


class StructuralDifference(LayerCall):
    """One difference at one layer, `before` in the baseline and `after` in the candidate.

    `before` and `after` are classes, dtypes, policies, values of a configuration key or argument, shapes,
    weights' names, or how many weights, results, axes or entries of a vocabulary there are; for a mask, if
    there is one; of `weight-values`, the standard deviations of a weight, where they differ.
    """

    kind: DifferenceKind
    call: int = Field(description="Index of the baseline's call; of `added`, of the candidate's.")
    before: JsonValue = None
    after: JsonValue = None
    name: str = Field(default="", description="The argument, constant, configuration key or weight.")
    input: int | None = Field(
        default=None, description="Which of the call's input tensors, where it has several."
    )
    receiver: LayerCall | None = Field(
        default=None,
        description="Of `input-mask`: whose input it is, where `layer` is the one that cleared it.",
    )
    by: LayerCall | None = Field(
        default=None, description="The operation that casts (or did), or the layer that cleared the mask."
    )
    input_masked: bool = Field(default=False, description="Of `result-mask`: what the call takes has a mask.")
    operation: bool = Field(default=False, description="A bare operation of the graph, not a layer.")
    cause: bool = Field(default=True, description="False where it only came down from another layer.")

    @property
    def aspect(self) -> Aspect:
        """What the difference is about."""
        return _ASPECTS.get(self.kind, "structure")

    @property
    def explains(self) -> bool:
        """Whether a layer returns something else because of it: a dtype, weights, or what it receives."""
        received = self.kind in _RECEIVED and self.receiver is None
        return received or self.aspect in ("dtype", "weights")

    def anywhere(self) -> StructuralDifference:
        """The same without its layer: equal for differences that only their layer tells apart."""
        by = self.by and LayerCall(layer="", class_name=self.by.class_name)
        place = LayerCall(layer="", class_name="").place
        return self.model_copy(update={**place, "call": 0, "by": by})


class NotRecorded(Frozen):
    """Why nothing is known of a model's calls: a `reason` of the worker (`savedmodel`), or a failure."""

    side: Literal["baseline", "candidate", "both"] = "both"
    reason: str = ""
    failure: Failure | None = None


def missing_sides(baseline: object, candidate: object) -> tuple[NotRecorded, ...]:
    """Those of two recordings that there are not, with their side."""
    sides = (("baseline", baseline), ("candidate", candidate))
    return tuple(
        recording.model_copy(update={"side": side})
        for side, recording in sides
        if isinstance(recording, NotRecorded)
    )


class CallPair(Frozen):
    """A call that both sides make, by index, and its path in the candidate."""

    candidate: int
    baseline: int
    path: str


class RecordedLayer(Frozen):
    """One layer of the baseline's model, as far as the catalogue of known changes asks."""

    name: str
    class_name: str
    config: dict[str, JsonValue] = {}
    own_code: bool = False
    listed: bool = False
    policy: str | None = None


class StructureComparison(Comparison):
    """How the two models differ before any number does. Empty, with the reason, where a side is not known."""

    differences: tuple[StructuralDifference, ...] = ()
    missing: tuple[NotRecorded, ...] = ()
    pairs: tuple[CallPair, ...] = Field(
        default=(), exclude=True, description="Calls outside Keras' own layers, for the check `layers`."
    )
    layers: tuple[RecordedLayer, ...] = Field(default=(), exclude=True)
    several_masks: bool = Field(default=False, exclude=True)
    given_masks: bool = Field(default=False, exclude=True)


class StructureFinding(Finding):
    """A difference of structure. By itself it is no reason for a verdict."""

    check: Literal["structure"] = "structure"
    kind: Literal["structural-difference"] = "structural-difference"
    difference: StructuralDifference


class MoreStructure(Finding):
    """How many further differences of structure there are."""

    check: Literal["structure"] = "structure"
    kind: Literal["more-structural-differences"] = "more-structural-differences"
    count: int


class StructureNotRecorded(Finding):
    """The structure of one side could not be recorded or read, so it was not compared."""

    check: Literal["structure"] = "structure"
    kind: Literal["structure-not-recorded"] = "structure-not-recorded"
    missing: NotRecorded

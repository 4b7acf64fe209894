"""The check `structure`: is it the same graph, with the same weights?

In comes the document of calls that the worker traced of each model, out go the differences that a release of
Keras does not merely write otherwise. They are worth knowing and change no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

from validator.checks.bands import Bands
from validator.checks.protocol import Check, Earlier, Evidence, Finding, Subject, Task
from validator.checks.structure.alignment import Alignment, align
from validator.checks.structure.architecture import compare_architecture
from validator.checks.structure.graph import CallGraph, CallsAnswer, recorded_calls
from validator.checks.structure.signatures import visible
from validator.checks.structure.types import (
    CallPair,
    MoreStructure,
    NotRecorded,
    RecordedLayer,
    StructureComparison,
    StructureFinding,
    StructureNotRecorded,
    missing_sides,
)

__all__ = ["CHECK", "Structure"]

_REPORTED = 3  # differences in full; the others are counted


class Structure(Check[CallGraph | NotRecorded, StructureComparison]):
    """Is it the same graph, with the same weights?"""

    name = "structure"
    comparison = StructureComparison
    findings = (StructureFinding, MoreStructure, StructureNotRecorded)

    def ask(self, subject: Subject) -> Task:
        """The calls of the model, in every cell."""
        return Task()

    def read(self, evidence: Evidence) -> CallGraph | NotRecorded:
        """The document of calls, or why there is none."""
        return recorded_calls(evidence.capture, evidence.capture.answer(self.name, CallsAnswer))

    def compare(
        self,
        subject: Subject,
        baseline: CallGraph | NotRecorded,
        candidate: CallGraph | NotRecorded,
        earlier: Earlier,
    ) -> StructureComparison:
        """Every difference, and which call is which."""
        if isinstance(baseline, CallGraph) and isinstance(candidate, CallGraph):
            alignment = align(baseline, candidate)
            return StructureComparison(
                differences=compare_architecture(alignment),
                pairs=tuple(_pairs(alignment)),
                layers=tuple(_layers(baseline)),
                several_masks=joins_masks(baseline) or joins_masks(candidate),
                given_masks=gives_mask(baseline),
            )
        return StructureComparison(missing=missing_sides(baseline, candidate))

    def find(self, comparison: StructureComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """The first differences that are nobody else's fault, and a failure to record a side."""
        causes = [difference for difference in comparison.differences if difference.cause]
        findings: list[Finding] = [StructureFinding(difference=cause) for cause in causes[:_REPORTED]]
        if len(causes) > _REPORTED:
            findings.append(MoreStructure(count=len(causes) - _REPORTED))
        lost = [missing for missing in comparison.missing if missing.failure is not None]
        return (*findings, *(StructureNotRecorded(missing=missing) for missing in lost))


def _layers(graph: CallGraph) -> Iterator[RecordedLayer]:
    """Every layer but the model itself, once, by the name that a person knows it by."""
    listed = {
        call.layer for call in graph.calls for argument in call.arguments[:1] if len(argument.value.items) > 1
    }
    paths = {call.layer: call.path for call in reversed(graph.calls)}
    outermost = graph.calls[0].layer if graph.calls else None
    for number, layer in enumerate(graph.layers):
        if number == outermost:
            continue
        yield RecordedLayer(
            name=paths.get(number) or layer.name,
            class_name=layer.class_name,
            config=layer.config,
            own_code=layer.own_code and not layer.container,
            listed=number in listed,
            policy=layer.policy,
        )


def joins_masks(graph: CallGraph) -> bool:
    """Whether a call takes tensors with two different masks."""
    return any(len({leaf.mask for leaf in call.inputs} - {None}) > 1 for call in graph.calls)


def gives_mask(graph: CallGraph) -> bool:
    """Whether a call of the model is given a mask as an argument."""
    return any(argument.name == "mask" for call in graph.calls for argument in call.arguments)


def _pairs(alignment: Alignment) -> list[CallPair]:
    """The calls worth replaying: not the model itself, and nothing inside Keras' own layers, which are blamed
    as a whole."""
    calls = alignment.candidate.calls
    return [
        CallPair(candidate=candidate, baseline=baseline, path=calls[candidate].path)
        for baseline, candidate in alignment.pairs
        if alignment.baseline.calls[baseline].parent is not None and visible(alignment.baseline, baseline)
    ]


CHECK = Structure()

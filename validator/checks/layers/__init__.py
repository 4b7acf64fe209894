"""The check `layers`: where does a difference start, and what did that layer receive?

For cells that moved, a second round records every layer of both models on the worst samples, and replays the
candidate's layers on the baseline's inputs. Out go the first difference and its kind, further causes, and a
table of the layers that matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from validator.checks.bands import Bands
from validator.checks.layers.localise import localise
from validator.checks.layers.nodes import layer_nodes
from validator.checks.layers.numbers import FullPass, LayersAnswer, ReplayAnswer, call_numbers, replay_of
from validator.checks.layers.types import (
    FirstDifference,
    FurtherCause,
    LayersComparison,
    LayersNotRecorded,
    LayerTable,
    MoreCauses,
    NoLayerDiffers,
    ReplayIncomplete,
)
from validator.checks.loading.types import InputsFedFinding
from validator.checks.outputs.types import OutputsComparison
from validator.checks.protocol import Check, Earlier, Evidence, Finding, FollowUp, OwnJob, Subject, Task
from validator.checks.structure.alignment import align
from validator.checks.structure.architecture import compare_architecture
from validator.checks.structure.graph import CallGraph, recorded_calls
from validator.checks.structure.types import NotRecorded, StructureComparison, missing_sides
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.runner.captures import Capture

__all__ = ["CHECK", "Layers"]

_SAMPLES = 6  # of those that moved most, beside those that the worker chooses
_MEMBERS = 2  # of the baseline's noise ensemble


@dataclass(frozen=True)
class RecordedLayers:
    """What the follow-up recorded of one cell: its calls, the folder of their values, and the replay."""

    folder: Path
    graph: CallGraph
    replay: ReplayAnswer | None


class Layers(Check[RecordedLayers | NotRecorded | None, LayersComparison]):
    """Where does a difference start?"""

    name = "layers"
    comparison = LayersComparison
    findings = (
        FirstDifference,
        FurtherCause,
        MoreCauses,
        LayerTable,
        LayersNotRecorded,
        ReplayIncomplete,
        NoLayerDiffers,
    )

    def read(self, evidence: Evidence) -> RecordedLayers | NotRecorded | None:
        """The recording of the second round, or why there is none; None before it."""
        capture = evidence.own.get(self.name)
        if not isinstance(capture, Capture):
            return None if capture is None else NotRecorded(failure=capture)
        answer = capture.answer(self.name, LayersAnswer)
        graph = recorded_calls(capture, answer)
        if isinstance(graph, NotRecorded):
            return graph
        replay = answer.replay if isinstance(answer, LayersAnswer) else None
        return RecordedLayers(capture.folder, graph, replay)

    def compare(
        self,
        subject: Subject,
        baseline: RecordedLayers | NotRecorded | None,
        candidate: RecordedLayers | NotRecorded | None,
        earlier: Earlier,
    ) -> LayersComparison | None:
        """The numbers of every call, in cells that moved."""
        verdicts = (finding.verdict for part in earlier.examined for finding in part.findings)
        if subject.is_baseline or subject.bands.worst(verdicts) not in subject.bands.moved:
            return None
        if baseline is None or candidate is None:  # before the second round, or where there is none
            structure = earlier.comparison(StructureComparison)
            return LayersComparison(missing=structure.missing if structure else ())
        if isinstance(baseline, RecordedLayers) and isinstance(candidate, RecordedLayers):
            if baseline.graph.rows == candidate.graph.rows:
                return _compared(baseline, candidate)
            candidate = NotRecorded(reason="other-samples")
        return LayersComparison(missing=missing_sides(baseline, candidate))

    def find(self, comparison: LayersComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """Where it starts, or why that is not known. None of it changes the cell's verdict."""
        if comparison.missing:
            return (LayersNotRecorded(missing=comparison.missing[0]),)
        if not comparison.samples:
            return ()
        left = (ReplayIncomplete(layers=comparison.left),) if comparison.left else ()
        findings = tuple(localise(comparison, bands.layers))
        if any(isinstance(each, InputsFedFinding) for part in earlier.examined for each in part.findings):
            # What reaches the first layer is another input: the model's own code is not to blame.
            findings = tuple(each for each in findings if not _blames_own_code(each))
        return (*findings, *left)

    def follow_up(
        self, subject: Subject, comparison: LayersComparison, findings: Sequence[Finding], earlier: Earlier
    ) -> FollowUp | None:
        """Record the layers of both sides on the worst samples, and replay the candidate's."""
        structure, outputs = earlier.comparison(StructureComparison), earlier.comparison(OutputsComparison)
        if structure is None or not structure.pairs:
            return None
        rows: list[JsonValue] = [*outputs.moved[:_SAMPLES]] if outputs else []
        pairs: list[JsonValue] = [[pair.candidate, pair.baseline, pair.path] for pair in structure.pairs]
        replayed = Task({"noise": 0, "rows": rows, "pairs": pairs}, own=OwnJob(), baseline_folder="baseline")
        return FollowUp(Task({"noise": _MEMBERS, "rows": rows}, own=OwnJob()), replayed)


def _blames_own_code(finding: Finding) -> bool:
    return isinstance(finding, FirstDifference) and not finding.cause.layer


def _compared(baseline: RecordedLayers, candidate: RecordedLayers) -> LayersComparison:
    alignment = align(baseline.graph, candidate.graph)
    replay = candidate.replay or ReplayAnswer()
    replays = {call.call: replay_of(call) for call in replay.calls}
    sides = FullPass(alignment, baseline.folder, candidate.folder)
    try:
        calls = tuple(call_numbers(sides, replays))
    except ConfigurationError as error:  # a recorded tensor that is gone costs this answer, not the report
        failure = Failure(stage="crash", error="capture", message=str(error))
        return LayersComparison(missing=(NotRecorded(failure=failure),))
    return LayersComparison(
        samples=baseline.graph.rows,
        replayed=candidate.replay is not None,
        left=replay.left,
        calls=calls,
        nodes=tuple(layer_nodes(alignment, calls)),
        differences=compare_architecture(alignment),
    )


CHECK = Layers()

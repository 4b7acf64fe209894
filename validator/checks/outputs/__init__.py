"""Do predictions differ beyond noise?

In come the predictions of both sides, and where they differ an ensemble of moved baselines and runs in
float64; out go the numbers of every output and findings that decide the cell's verdict. `compare_stored`
compares tensors without a run.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from validator.checks.bands import Bands
from validator.checks.loading.types import LoadingComparison
from validator.checks.outputs.compare import HALF, compare_outputs, output_numbers
from validator.checks.outputs.find import change_of, find_outputs, judge_output, unproven
from validator.checks.outputs.recording import OutputsRecording, read_outputs
from validator.checks.outputs.sample import worst_sample
from validator.checks.outputs.types import (
    NamesFinding,
    NondeterministicFinding,
    ObstacleFinding,
    OutputFinding,
    OutputsComparison,
    ReferenceFinding,
)
from validator.checks.protocol import Check, Earlier, Evidence, Finding, FollowUp, OwnJob, Subject, Task
from validator.checks.structure.types import StructureComparison
from validator.config.settings import Tolerance
from validator.storage.tensors import StoredTensor

__all__ = ["CHECK", "change_of", "compare_stored", "unproven"]

#: Of the ensemble. With 3 members all of a row may stand still by chance; 8 leave no such row.
_MEMBERS = 8
_SECONDS = 60.0  # for all members: what they do not reach is left out, batch by batch


class Outputs(Check[OutputsRecording, OutputsComparison]):
    """The check `outputs`."""

    name = "outputs"
    follows = "measure"
    comparison = OutputsComparison
    findings = (
        OutputFinding,
        ReferenceFinding,
        NamesFinding,
        NondeterministicFinding,
        ObstacleFinding,
    )

    def ask(self, subject: Subject) -> Task | None:
        """Nothing; for a further cell, which no later round measures, everything beside its predictions."""
        if subject.cell in subject.plan.cells:
            return None
        half = subject.cell.variant.precision in HALF
        noise: JsonValue = {"members": _MEMBERS, "seconds": _SECONDS, "batches": None}
        reference: JsonValue = {"batches": [0], "baseline": None} if half else None
        return Task({"noise": noise if subject.measures_noise else None, "reference": reference})

    def read(self, evidence: Evidence) -> OutputsRecording:
        """Outputs, noise and the float64 run."""
        return read_outputs(evidence)

    def compare(
        self, subject: Subject, baseline: OutputsRecording, candidate: OutputsRecording, earlier: Earlier
    ) -> OutputsComparison:
        """Every output's numbers, or what stands against comparing."""
        bands = subject.bands.outputs
        comparison = compare_outputs(baseline, candidate, subject.model, bands)
        if not comparison.drawn:
            return comparison
        sample = worst_sample(subject.inputs, comparison.outputs, bands)
        return comparison.model_copy(update={"sample": sample})

    def find(self, comparison: OutputsComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """A verdict for every output, and what the float64 runs add."""
        structure = earlier.comparison(StructureComparison)
        differences = structure.differences if structure else ()
        more = {"weights_differ": any(difference.aspect == "weights" for difference in differences)}
        loading = earlier.comparison(LoadingComparison)
        findings = (
            finding.model_copy(update=more) if isinstance(finding, ReferenceFinding) else finding
            for finding in find_outputs(comparison, bands)
        )
        return tuple(map(unproven, findings) if loading and loading.other_processor else findings)

    def follow_up(
        self, subject: Subject, comparison: OutputsComparison, findings: Sequence[Finding], earlier: Earlier
    ) -> FollowUp | None:
        """Noise in the baseline where bytes differ, and float64 on both sides; where half precision may hide
        another function, float64 alone.
        """
        asked = comparison.measurement
        if asked is None:
            return None
        batches: JsonValue = None if asked.batches is None else [*asked.batches]
        noise: JsonValue = {"members": _MEMBERS, "seconds": _SECONDS, "batches": batches}
        reference: JsonValue = {"batches": batches, "baseline": None} if asked.candidate else None
        baseline = Task({"noise": noise if asked.noise else None, "reference": reference}, own=OwnJob())
        candidate = Task(
            {"noise": None, "reference": reference}, own=OwnJob(), baseline_folder="reference.baseline"
        )
        return FollowUp(baseline=baseline, candidate=candidate if asked.candidate else None)


def compare_stored(
    baseline: Sequence[StoredTensor],
    candidate: Sequence[StoredTensor],
    bands: Bands,
    tolerance: Tolerance | None = None,
) -> tuple[OutputFinding, ...]:
    """Two sets of outputs without a run: numbers and verdicts, by a tolerance or that of each dtype."""
    numbers = output_numbers(baseline, candidate, tolerance)
    return tuple(judge_output(output, bands) for output in numbers)


CHECK = Outputs()

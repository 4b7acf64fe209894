"""Do predictions differ beyond noise?

In come the predictions of both sides, the baseline's noise and a run in higher precision; out go the numbers
of every output and findings that decide the cell's verdict. `compare_stored` compares tensors without a run.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from validator.checks.bands import Bands
from validator.checks.outputs.compare import compare_outputs, output_numbers
from validator.checks.outputs.find import change_of, find_outputs, judge_output
from validator.checks.outputs.recording import OutputsRecording, Predictions, read_outputs
from validator.checks.outputs.types import (
    NondeterministicFinding,
    ObstacleFinding,
    OutputFinding,
    OutputsComparison,
    ReferenceFinding,
)
from validator.checks.protocol import Check, Earlier, Evidence, Finding, FollowUp, OwnJob, Subject, Task
from validator.storage.tensors import StoredTensor

__all__ = ["CHECK", "change_of", "compare_stored"]


class Outputs(Check[OutputsRecording, OutputsComparison]):
    """The check `outputs`."""

    name = "outputs"
    comparison = OutputsComparison
    findings = (
        OutputFinding,
        ReferenceFinding,
        NondeterministicFinding,
        ObstacleFinding,
    )

    def ask(self, subject: Subject) -> Task | None:
        """Noise in the baseline; a float32 reference where precision may be half and the plan has none."""
        noise: JsonValue = {} if subject.is_baseline else None
        wide = subject.cell.variant.precision in {"float32", "float64"}
        covered = wide or subject.plan.float32_of(subject.cell) is not None
        reference: JsonValue = None if covered else {"noise": noise}
        if noise is None and reference is None:
            return None
        return Task({"noise": noise, "reference": reference})

    def read(self, evidence: Evidence) -> OutputsRecording:
        """Outputs, noise and reference runs."""
        return read_outputs(evidence)

    def compare(
        self, subject: Subject, baseline: OutputsRecording, candidate: OutputsRecording, earlier: Earlier
    ) -> OutputsComparison:
        """Every output's numbers, or what stands against comparing."""
        return compare_outputs(baseline, candidate, subject.model.tolerance, subject.bands.outputs)

    def find(self, comparison: OutputsComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """A verdict for every output, and what the reference adds."""
        return tuple(find_outputs(comparison, bands))

    def follow_up(
        self, subject: Subject, comparison: OutputsComparison, findings: Sequence[Finding], earlier: Earlier
    ) -> FollowUp | None:
        """A float64 reference on both sides, where rounding does not explain a float32 cell."""
        worst = subject.bands.worst(finding.verdict for finding in findings)
        if not comparison.can_be_widened or worst not in subject.bands.moved:
            return None
        own = OwnJob(predict=True, precision="float64")
        return FollowUp(
            baseline=Task({"noise": {}, "reference": None}, own=own),
            candidate=Task({"noise": None, "reference": None}, own=own),
        )


def compare_stored(
    baseline: Sequence[StoredTensor], candidate: Sequence[StoredTensor], bands: Bands
) -> tuple[OutputFinding, ...]:
    """Two sets of outputs without a run: numbers and verdicts, by the tolerance of each dtype."""
    numbers = output_numbers(Predictions(tuple(baseline)), candidate, None, bands.outputs)
    return tuple(judge_output(output, bands) for output in numbers)


CHECK = Outputs()

"""Decode: do generated tokens drift? docs/decode.md has what is run, and what the numbers are.

`ask`: prefill, greedy decode and their noise. `follow_up`: steps along the baseline's tokens, where a
candidate took others. The gate has the rule `decode`; the cell's verdict is that of its predictions.
"""

from __future__ import annotations

from collections.abc import Sequence

from validator.checks.bands import Bands
from validator.checks.decode import types
from validator.checks.decode.answers import Decoded, read_decoded
from validator.checks.decode.compare import compare_decodes
from validator.checks.decode.find import decode_findings
from validator.checks.outputs.types import OutputsComparison
from validator.checks.protocol import Check, Earlier, Evidence, Finding, FollowUp, OwnJob, Subject, Task
from validator.failure import Failure

#: Members of the noise ensemble. Steps are many, so few members say enough.
_MEMBERS = 2


class Decode(Check[Decoded | Failure, types.DecodeComparison]):
    """Prefill and greedy decode of a model that predicts the next token."""

    name = "decode"
    comparison = types.DecodeComparison
    findings = (types.DecodeVerdict, types.FullPassDisagreement, types.DecodeNotes)

    def ask(self, subject: Subject) -> Task | None:
        """For models with a decode block; noise is measured in the baseline alone."""
        settings = subject.model.decode
        if settings is None:
            return None
        options = settings.model_dump(exclude={"prompts"})
        recordings = {} if settings.prompts is None else {"prompts": settings.prompts}
        return Task({**options, "noise": _MEMBERS if subject.measures_noise else 0}, recordings)

    def read(self, evidence: Evidence) -> Decoded | Failure:
        """The side's decode, with its steps along the baseline's tokens where they were recorded."""
        return read_decoded(evidence)

    def compare(
        self, subject: Subject, baseline: Decoded | Failure, candidate: Decoded | Failure, earlier: Earlier
    ) -> types.DecodeComparison | None:
        """None without a decode block, and where the sides got other inputs."""
        outputs = earlier.comparison(OutputsComparison)
        if subject.model.decode is None or (outputs is not None and outputs.obstacles):
            return None
        return compare_decodes(baseline, candidate)

    def find(self, comparison: types.DecodeComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """The verdict first."""
        return tuple(decode_findings(comparison, bands))

    def follow_up(
        self,
        subject: Subject,
        comparison: types.DecodeComparison,
        findings: Sequence[Finding],
        earlier: Earlier,
    ) -> FollowUp | None:
        """A candidate that took other tokens is led along the baseline's."""
        settings = subject.model.decode
        if settings is None or comparison.gap != "not-run" or comparison.along is None:
            return None
        options = settings.model_dump(exclude={"prompts"})
        forced = comparison.along.model_dump(mode="json", include={"samples", "prompts", "tokens"})
        task = Task({**options, "noise": 0, "forced": forced}, own=OwnJob())
        return FollowUp(candidate=task)


CHECK = Decode()

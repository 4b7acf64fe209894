"""Training: do the first steps agree, and if not, which part? docs/training.md has how that is judged.

It is a job of its own because a response is written last: a training that hangs, crashes or eats the memory
must not cost the predictions. The gate has the rule `training`; the cell's verdict is its predictions'.
"""

from __future__ import annotations

from validator.checks.bands import Bands
from validator.checks.protocol import Check, Earlier, Evidence, Finding, OwnJob, Subject, Task
from validator.checks.training.answers import Trained, read_trained
from validator.checks.training.causes import training_findings
from validator.checks.training.numbers import compare_trainings
from validator.checks.training.types import TrainingCause, TrainingComparison, TrainingVerdict
from validator.failure import Failure


class Training(Check[Trained | Failure, TrainingComparison]):
    """The first steps of a training from the same weights on the same batches."""

    name = "training"
    comparison = TrainingComparison
    findings = (TrainingVerdict, *TrainingCause.__subclasses__())

    def ask(self, subject: Subject) -> Task | None:
        """For models with a training block; noise is measured in the baseline alone."""
        settings = subject.model.training
        if settings is None:
            return None
        options = settings.model_dump(exclude={"inputs", "labels"})
        if not subject.measures_noise:
            options["members"] = 0
        return Task(options, own=OwnJob(inputs=settings.inputs, labels=settings.labels))

    def read(self, evidence: Evidence) -> Trained | Failure:
        """What the side's training job left, its files checked."""
        return read_trained(evidence)

    def compare(
        self, subject: Subject, baseline: Trained | Failure, candidate: Trained | Failure, earlier: Earlier
    ) -> TrainingComparison | None:
        """None without a training block."""
        return None if subject.model.training is None else compare_trainings(baseline, candidate)

    def find(self, comparison: TrainingComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """The verdict first, then its causes, worst first."""
        return training_findings(comparison, bands)


CHECK = Training()

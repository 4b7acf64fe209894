"""Does it matter for the task, and does the framework report the same?

In come the predictions of both sides, the model's labels and what `evaluate` reported; out go the user's
metrics, computed by the tool on the same samples, and findings where a metric is worse or a report disagrees.
"""

from __future__ import annotations

from collections.abc import Iterator

from validator.checks.accuracy.reported import differs, mask_ignored, metric_only, most_telling
from validator.checks.accuracy.scoring import score
from validator.checks.accuracy.types import (
    AccuracyComparison,
    EvaluateFailedFinding,
    MaskIgnoredFinding,
    MetricOnlyFinding,
    MetricWorseFinding,
    ReportedMetric,
    UnscoredFinding,
)
from validator.checks.bands import Bands
from validator.checks.loading.types import SIDES
from validator.checks.outputs.types import OutputsComparison
from validator.checks.protocol import Check, Earlier, Evidence, Finding, Subject
from validator.errors import ConfigurationError
from validator.runner.captures import Capture, Response

__all__ = ["CHECK"]


class Accuracy(Check[Capture, AccuracyComparison]):
    """The check `accuracy`."""

    name = "accuracy"
    comparison = AccuracyComparison
    findings = (
        MetricOnlyFinding,
        MaskIgnoredFinding,
        MetricWorseFinding,
        UnscoredFinding,
        EvaluateFailedFinding,
    )

    def read(self, evidence: Evidence) -> Capture:
        """Predictions, read where the check `outputs` could read them, and what the framework reported."""
        return evidence.capture

    def compare(
        self, subject: Subject, baseline: Capture, candidate: Capture, earlier: Earlier
    ) -> AccuracyComparison | None:
        """Metrics of both sides; None where the outputs could not be compared."""
        outputs = earlier.comparison(OutputsComparison)
        if outputs is None or outputs.obstacles:
            return None
        noise = {
            output.name: output.noise_max_abs
            for output in outputs.outputs
            if output.noise_max_abs is not None
        }
        comparison = _reported(baseline.response, candidate.response)
        try:
            metrics = score(subject, baseline.outputs, candidate.outputs, noise)
        except ConfigurationError as error:  # by now it must not cost what was captured
            return comparison.model_copy(update={"unscored": str(error)})
        return comparison.model_copy(update={"metrics": metrics})

    def find(self, comparison: AccuracyComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """What got worse, what was not scored, and where reports disagree."""
        outputs = earlier.comparison(OutputsComparison)
        verdict = bands.worst(finding.verdict for finding in earlier.findings("outputs"))
        quiet = outputs is not None and verdict in bands.green
        reports = _reports(comparison, outputs, bands) if outputs is not None and quiet else ()
        failures = (
            EvaluateFailedFinding(side=side, failure=failure)
            for side, failure in comparison.evaluate_failures.items()
        )
        return (*reports, *_metrics(comparison), *failures)


def _reported(baseline: Response, candidate: Response) -> AccuracyComparison:
    """What the framework's own `evaluate` came to on both sides."""
    before, after = baseline.reported or {}, candidate.reported or {}
    names = dict.fromkeys((*before, *after))
    sides = zip(SIDES, (baseline, candidate), strict=True)
    return AccuracyComparison(
        reported=tuple(
            ReportedMetric(name=name, baseline=before.get(name), candidate=after.get(name)) for name in names
        ),
        evaluate_failures={
            side: response.reported_failure.failure() for side, response in sides if response.reported_failure
        },
    )


def _reports(comparison: AccuracyComparison, outputs: OutputsComparison, bands: Bands) -> Iterator[Finding]:
    """A report that disagrees although the predictions do not differ."""
    moved = [part for part in comparison.reported if differs(part, outputs.outputs, bands.reported)]
    if not moved:
        return
    reported = most_telling(moved)
    yield metric_only(reported, comparison.metrics)
    ignored = mask_ignored(reported, comparison.metrics, outputs.outputs, bands.reported)
    if ignored is not None:
        yield ignored


def _metrics(comparison: AccuracyComparison) -> Iterator[Finding]:
    if comparison.unscored:
        yield UnscoredFinding(reason=comparison.unscored)
    for result in comparison.metrics:
        if result.worse:
            yield MetricWorseFinding(result=result)
        elif result.baseline is None or result.candidate is None:
            yield UnscoredFinding(metric=result.metric, output=result.output, reason=result.message)


CHECK = Accuracy()

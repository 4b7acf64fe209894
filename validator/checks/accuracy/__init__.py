"""Does it matter for the task, and does the framework report the same?

In come the predictions of both sides, the model's labels and what `evaluate` reported; out go the user's
metrics, computed by the tool on the same samples, and findings where a metric is worse or a report disagrees.
"""

from __future__ import annotations

from collections.abc import Iterator

from validator.checks.accuracy.reported import (
    compare_reports,
    differs,
    labels_fed,
    mask_ignored,
    metric_only,
    reported_changes,
)
from validator.checks.accuracy.scoring import score
from validator.checks.accuracy.types import (
    AccuracyComparison,
    EvaluateFailedFinding,
    LabelsFedFinding,
    MaskIgnoredFinding,
    MetricOnlyFinding,
    MetricWorseFinding,
    UnscoredFinding,
)
from validator.checks.bands import Bands, CellVerdict
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
        LabelsFedFinding,
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
        comparison = _reported(subject, baseline.response, candidate.response)
        try:
            metrics = score(subject, baseline.outputs, candidate.outputs, noise)
        except ConfigurationError as error:  # by now it must not cost what was captured
            return comparison.model_copy(update={"unscored": str(error)})
        return comparison.model_copy(update={"metrics": metrics})

    def find(self, comparison: AccuracyComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """What got worse, what was not scored, and where reports disagree."""
        outputs = earlier.comparison(OutputsComparison)
        verdict = bands.worst(finding.verdict for finding in earlier.findings("outputs"))
        numbers = outputs is not None and verdict in (*bands.green, "suspicious")
        reports = _reports(comparison, outputs, bands, numbers=numbers) if outputs is not None else ()
        fed = (
            LabelsFedFinding(side=side, fed=fed)
            for side, metrics in comparison.fed_as_list.items()
            for fed in metrics[:1]
        )
        return (*reports, *_metrics(comparison), *fed, *_failures(comparison))


def _reported(subject: Subject, baseline: Response, candidate: Response) -> AccuracyComparison:
    """What the framework's own `evaluate` came to; where it failed on a side, nothing is compared."""
    sides = dict(zip(SIDES, (baseline, candidate), strict=True))
    raised = ((side, response.reported_failure) for side, response in sides.items())
    failures = {side: failure.failure() for side, failure in raised if failure}
    fed = {
        side: labels_fed(response.reported, response.reported_listed, subject.bands.reported)
        for side, response in sides.items()
    }
    return AccuracyComparison(
        reported=() if failures else compare_reports(baseline.reported, candidate.reported),
        fed_as_list={side: metrics for side, metrics in fed.items() if metrics},
        masked=baseline.masked or candidate.masked,
        evaluate_failures=failures,
    )


def _reports(
    comparison: AccuracyComparison, outputs: OutputsComparison, bands: Bands, *, numbers: bool
) -> Iterator[Finding]:
    """A report that disagrees where the predictions do not say why; `numbers`: they could."""
    changes = reported_changes(
        comparison.reported,
        lambda metric: not differs(metric, outputs.outputs, bands.reported),
        numbers=numbers,
    )
    if not changes:
        return
    moved = next((metric for change, metric, _ in changes if change == "moved"), None)
    ignored = moved and mask_ignored(moved, comparison.metrics, outputs.outputs, bands.reported)
    masked = comparison.masked and moved is not None and not ignored
    yield metric_only(changes, comparison.metrics).model_copy(update={"masked": masked})
    if ignored:
        yield ignored


def _failures(comparison: AccuracyComparison) -> Iterator[Finding]:
    """An `evaluate` that fails in the candidate alone loses every metric of the baseline."""
    failures = comparison.evaluate_failures
    for side, failure in failures.items():
        verdict: CellVerdict | None = "metric-only" if [*failures] == ["candidate"] else None
        yield EvaluateFailedFinding(verdict=verdict, side=side, failure=failure)


def _metrics(comparison: AccuracyComparison) -> Iterator[Finding]:
    if comparison.unscored:
        yield UnscoredFinding(reason=comparison.unscored)
    for result in comparison.metrics:
        if result.worse:
            yield MetricWorseFinding(result=result)
        elif result.baseline is None or result.candidate is None:
            yield UnscoredFinding(metric=result.metric, output=result.output, reason=result.message)


CHECK = Accuracy()

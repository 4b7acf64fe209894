"""One cell's verdict, from everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass

from validator.results import (
    SEVERITY,
    Accuracy,
    CellResult,
    CellVerdict,
    Failure,
    Finding,
    MetricResult,
    OutputResult,
)
from validator.text import first_line
from validator.verdict.gate import BASELINE, GREEN, UNSCORED
from validator.verdict.outputs import OutputEvidence, judge_output
from validator.verdict.reported import judge_reported, mask_cause, metric_only
from validator.verdict.twins import TwinEvidence, TwinVerdict, judge_twin


@dataclass(frozen=True)
class CellEvidence:
    """What is known of a cell: either a failure of one side, or outputs and metrics of both.

    Attributes:
        label: the cell with an empty verdict: ids, seconds and the command to reproduce it are filled in.
        failure: why the candidate has no outputs.
        baseline_failure: why the baseline has none.
        incomparable: why both have outputs that must not be compared, for example other inputs.
        reported: what the framework's `evaluate` says, as (name, baseline, candidate).
        unscored: why the metrics that were asked for could not be computed.
        twin: the same model in a higher precision, where one was wanted.
    """

    label: CellResult
    failure: Failure | None = None
    baseline_failure: Failure | None = None
    incomparable: str = ""
    outputs: tuple[OutputEvidence, ...] = ()
    metrics: tuple[MetricResult, ...] = ()
    reported: tuple[tuple[str, float | None, float | None], ...] = ()
    unscored: str = ""
    findings: tuple[Finding, ...] = ()
    twin: TwinEvidence | None = None


def judge_cell(evidence: CellEvidence) -> CellResult:
    """The cell with its verdict and the sentence that says it. Nothing uncompared is ever green."""
    judged = _judge(evidence)
    if not evidence.unscored:
        return judged
    finding = Finding(kind=UNSCORED, message=f"the metrics were not scored: {evidence.unscored}")
    told = "; ".join(part for part in (judged.message, finding.message) if part)
    return judged.model_copy(update={"findings": (*judged.findings, finding), "message": told})


def _judge(evidence: CellEvidence) -> CellResult:
    label = evidence.label.model_copy(update={"findings": evidence.findings, "failure": evidence.failure})
    if evidence.baseline_failure is not None:
        return _baseless(label, evidence.baseline_failure)
    if evidence.failure is not None:
        return _said(label, "failed", _failed(evidence.failure))
    if evidence.incomparable:
        return _said(label, "not-compared", evidence.incomparable)
    outputs = tuple(judge_output(output) for output in evidence.outputs)
    if not outputs:
        return _said(label, "not-compared", "the model gave no output that could be compared")
    reported = tuple(judge_reported(name, old, new, outputs) for name, old, new in evidence.reported)
    accuracy = Accuracy(metrics=evidence.metrics, reported=reported)
    has_accuracy = bool(evidence.metrics or reported)
    label = label.model_copy(update={"outputs": outputs, "accuracy": accuracy if has_accuracy else None})
    worst = max(outputs, key=lambda output: SEVERITY.index(output.verdict))
    twin = _twin(outputs, evidence)
    change = twin.change or ("rounding" if twin.verdict == "rounding" else None)
    label = label.model_copy(update={"change": change, "findings": _twin_findings(label, evidence, twin)})
    if worst.verdict == "suspicious" and twin.verdict == "rounding":
        outputs = tuple(_acquitted(output, twin.sentence) for output in outputs)
        label = label.model_copy(update={"outputs": outputs})
    if twin.verdict in GREEN and any(metric.differs for metric in reported):
        cause = mask_cause(reported, evidence.metrics, outputs)
        if cause:
            label = label.model_copy(
                update={"findings": (*label.findings, Finding(kind="cause", message=cause))}
            )
        return _said(label, "metric-only", metric_only(reported, evidence.metrics))
    hidden = worst.verdict in GREEN and twin.verdict not in GREEN
    told = [] if hidden else [_sentence(worst, outputs)]
    return _said(label, twin.verdict, "; ".join([*told, *([twin.sentence] if twin.sentence else [])]))


def _twin(outputs: tuple[OutputResult, ...], evidence: CellEvidence) -> TwinVerdict:
    """What the twin makes of the outputs' verdicts. Chance is no matter of precision."""
    unstable = any(output.unstable for output in evidence.outputs)
    if evidence.twin is None or evidence.twin.problem or unstable or not evidence.twin.outputs:
        worst = max(outputs, key=lambda output: SEVERITY.index(output.verdict))
        return TwinVerdict(worst.verdict, None)
    return judge_twin(outputs, evidence.twin)


def _acquitted(output: OutputResult, why: str) -> OutputResult:
    if output.verdict != "suspicious":
        return output
    return output.model_copy(update={"verdict": "rounding", "rule": f"{output.rule}; {why}"})


def _twin_findings(label: CellResult, evidence: CellEvidence, said: TwinVerdict) -> tuple[Finding, ...]:
    if evidence.twin is None or not evidence.twin.problem:
        told = said.sentence and said.verdict not in GREEN
        return (*label.findings, Finding(kind="twin", message=said.sentence)) if told else label.findings
    twin = evidence.twin
    message = (
        f"no {twin.precision} twin ({twin.problem}), so the cell is judged by its own noise alone, "
        "with less confidence"
    )
    return (*label.findings, Finding(kind="twin", message=message))


def _baseless(label: CellResult, baseline: Failure) -> CellResult:
    """A cell whose baseline failed. What fails on both sides is a failure, but not one of the upgrade."""
    message = f"the baseline failed: {_failed(baseline)}"
    findings = (*label.findings, Finding(kind=BASELINE, message=message))
    label = label.model_copy(update={"findings": findings})
    if label.failure is not None:
        return _said(label, "failed", f"{_failed(label.failure)}; the baseline failed too")
    return _said(label, "not-compared", message)


def _failed(failure: Failure) -> str:
    return f"{failure.stage} failed: {failure.error}: {first_line(failure.message)}"


def _said(label: CellResult, verdict: CellVerdict, message: str) -> CellResult:
    return label.model_copy(update={"verdict": verdict, "message": message})


def _sentence(worst: OutputResult, outputs: tuple[OutputResult, ...]) -> str:
    if worst.verdict == "identical":
        return "identical, bit for bit"
    if worst.verdict == "rounding":
        largest = max(output.max_abs or 0.0 for output in outputs)
        return f"rounding, {largest:.2g} at most ({worst.rule})"
    others = sum(output.verdict == worst.verdict for output in outputs) - 1
    return worst.message + (f"; {others} more outputs likewise" if others else "")

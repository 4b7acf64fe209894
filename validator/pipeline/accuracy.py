"""Scores a model's predictions on both sides against its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from validator import recording
from validator.compare.accuracy import LabelledOutput, PairedScores, Scoring, pair_labels, paired
from validator.compare.structure import OutputMatch
from validator.config.settings import ModelSettings
from validator.errors import ConfigurationError
from validator.pipeline.capture import Run
from validator.pipeline.project import prepare_recordings
from validator.results import MetricResult
from validator.tensors import StoredTensor


def metric_results(run: Run, model: ModelSettings, outputs: OutputMatch) -> tuple[MetricResult, ...]:
    """Every metric of a model for every output that has labels.

    Raises:
        ConfigurationError: labels fit no output or have another length, or a metric is unknown.
    """
    if not model.metrics or not outputs.pairs:
        return ()
    folder = prepare_recordings(run.project, model, run.folder).labels
    assert folder is not None  # noqa: S101 - the settings refuse metrics without labels
    labels = recording.load(Path(folder)).open()
    candidates = {pair.candidate.name: pair.candidate for pair in outputs.pairs}
    drop = run.project.settings.gate.max_accuracy_drop
    try:
        labelled = pair_labels([pair.baseline for pair in outputs.pairs], labels)
        return tuple(
            _result(score, drop) for output in labelled for score in _scores(model, output, candidates)
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"model {model.name}: {error}") from None


def _scores(
    model: ModelSettings, output: LabelledOutput, candidates: Mapping[str, StoredTensor]
) -> Iterator[PairedScores]:
    candidate = candidates[output.output.name]
    if candidate.shape != output.output.shape:
        return  # the output itself is a finding
    options = Scoring(model.ignore_label, output.weights)
    for metric in model.metrics:
        yield paired(metric, output.output, candidate, output.labels, options)


def _result(scores: PairedScores, drop: float) -> MetricResult:
    before, after = scores.baseline, scores.candidate
    delta = None if before.value is None or after.value is None else after.value - before.value
    loss = 0.0 if delta is None else (-delta if before.better == "higher" else delta)
    invalid = f"; {after.invalid:,} predictions are not finite" if after.invalid else ""
    flips = (
        f"{scores.negative_flips:,} right before and wrong now, {scores.positive_flips:,} the reverse"
        if scores.negative_flips is not None
        else ""
    )
    return MetricResult(
        metric=before.metric,
        output=before.output,
        samples=before.samples,
        baseline=before.value,
        candidate=after.value,
        delta=delta,
        worse=loss > drop,
        message=flips + invalid,
    )

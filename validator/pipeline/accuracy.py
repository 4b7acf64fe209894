"""Scores a model's predictions on both sides against its labels."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from validator import recording
from validator.compare.labels import pair_labels
from validator.compare.metrics import MetricFunction, MetricRequest, PairedMetric, correct, evaluate
from validator.compare.statistics import Rule
from validator.compare.structure import OutputMatch
from validator.config.settings import Gate, ModelSettings
from validator.errors import ConfigurationError
from validator.pipeline.capture import Run
from validator.pipeline.project import prepare_recordings
from validator.results import ClassResult, MetricResult


def metric_results(
    run: Run, model: ModelSettings, outputs: OutputMatch, noise: Mapping[str, float]
) -> tuple[MetricResult, ...]:
    """Every metric of a model for every output that has labels, corrected for their number.

    Args:
        run: for the recorded labels and the gate's margin.
        model: whose metrics.
        outputs: the outputs of both sides.
        noise: output → how far an element moves under the noise floor alone, where that is known.

    Raises:
        ConfigurationError: labels fit no output, or a metric is unknown.
    """
    if not model.metrics or not outputs.pairs:
        return ()
    folder = prepare_recordings(run.project, model, run.folder).labels
    assert folder is not None  # noqa: S101 - the settings refuse metrics without labels
    rule = _rule(run.project.settings.gate)
    candidates = {pair.baseline.name: pair.candidate for pair in outputs.pairs}
    functions = {name: user_metric(run.project.folder, name) for name in model.metrics if ":" in name}
    try:
        labelled = pair_labels([pair.baseline for pair in outputs.pairs], recording.load(Path(folder)).open())
        paired = [
            evaluate(
                replace(
                    _request(model, metric, rule, (one.output.name, noise.get(one.output.name))),
                    function=functions.get(metric),
                ),
                one.output,
                candidates[one.output.name],
                one.labels,
                one.weights,
            )
            for one in labelled
            for metric in model.metrics
        ]
    except ConfigurationError as error:
        raise ConfigurationError(f"model {model.name}: {error}") from None
    return tuple(_result(metric) for metric in correct(paired, rule))


def user_metric(folder: Path, name: str) -> MetricFunction:
    """The user's `package.module:function`, from the folder of the validator.yml.

    It runs here, in the tool's own Python, which has numpy, SciPy and scikit-learn: a metric sees arrays, and
    no model. What it raises is an answer of the metric.

    Raises:
        ConfigurationError: there is no such module or function.
    """
    module, _, function = name.partition(":")
    sys.path.insert(0, str(folder))
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigurationError(f"metric {name!r} cannot be imported from {folder}: {error}") from None
    finally:
        sys.path.remove(str(folder))
    if not callable(found):
        raise ConfigurationError(f"metric {name!r} is a {type(found).__name__} and not a function")
    return cast(MetricFunction, found)


def _request(
    model: ModelSettings, metric: str, rule: Rule, output: tuple[str, float | None]
) -> MetricRequest:
    name, noise = output
    # a margin is the difference of two scores, and each of them moves
    margin = None if noise is None else 2 * noise
    return MetricRequest(metric, name, rule, ignore_label=model.ignore_label, noise=margin)


def _rule(gate: Gate) -> Rule:
    return Rule(margin=gate.max_accuracy_drop, alpha=gate.alpha, flip_cap=gate.max_negative_flips)


def _result(metric: PairedMetric) -> MetricResult:
    interval = metric.interval
    ties = [flips.count for flips in (metric.tied_negative, metric.tied_positive) if flips is not None]
    return MetricResult(
        metric=metric.metric,
        output=metric.output,
        samples=metric.samples,
        units=metric.units,
        baseline=metric.baseline,
        candidate=metric.candidate,
        delta=metric.delta,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p=metric.p_worse if metric.p_adjusted is None else metric.p_adjusted,
        decision=metric.decision,
        needed=metric.needed,
        negative_flips=metric.negative.count if metric.negative else None,
        positive_flips=metric.positive.count if metric.positive else None,
        tied_flips=sum(ties) if ties else None,
        flipped=metric.negative.samples if metric.negative else (),
        classes=tuple(
            ClassResult(
                label=one.label,
                samples=one.samples,
                baseline=one.baseline,
                candidate=one.candidate,
                worse=one.worse,
            )
            for one in metric.classes
        ),
        worse=metric.decision == "worse",
        message="; ".join([metric.message, *metric.notes]),
    )

"""Scores a model's predictions on both sides against its labels."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from validator.checks.protocol import Subject
from validator.errors import ConfigurationError
from validator.numbers import metrics
from validator.numbers.metrics import MetricFunction, MetricRequest, MetricResult
from validator.numbers.statistics import Criterion
from validator.storage import recording
from validator.storage.tensors import StoredTensor


def score(
    subject: Subject,
    baseline: Sequence[StoredTensor],
    candidate: Sequence[StoredTensor],
    noise: Mapping[str, float],
) -> tuple[MetricResult, ...]:
    """Every metric of the model for every output of both sides that has labels, corrected for their number.

    `noise`: output → how far an element moves under the noise alone, where that is known.

    Raises:
        ConfigurationError: labels fit no output, a metric is unknown, or a function cannot be imported.
    """
    model = subject.model
    partners = {tensor.name: tensor for tensor in candidate}
    common = [tensor for tensor in baseline if tensor.name in partners]
    if not model.metrics or not common:
        return ()
    if subject.labels is None:
        raise ConfigurationError(f"model {model.name} has metrics but no labels")
    gate = subject.settings.gate
    criterion = Criterion(gate.max_accuracy_drop, gate.alpha, gate.max_negative_flips)
    functions = {name: user_metric(subject.folder, name) for name in model.metrics if ":" in name}
    results = []
    for labelled in metrics.pair_labels(common, recording.load(subject.labels).open()):
        name = labelled.output.name
        margin = 2 * noise[name] if name in noise else None  # a difference of two scores, and each moves
        for metric in model.metrics:
            request = MetricRequest(
                metric,
                name,
                criterion,
                model.ignore_label,
                margin,
                functions.get(metric),
                model.directions.get(metric),
            )
            results.append(
                metrics.evaluate(request, labelled.output, partners[name], labelled.labels, labelled.weights)
            )
    return metrics.correct(results, criterion)


def user_metric(folder: Path, name: str) -> MetricFunction:
    """The user's `package.module:function`, from the folder of the validator.yml.

    It runs in the tool's own Python, which has numpy, SciPy and scikit-learn: a metric sees arrays, and no
    model. What it raises when it is called is an answer of the metric.

    Raises:
        ConfigurationError: there is no such module or function.
    """
    module, _, function = name.partition(":")
    sys.path.insert(0, str(folder))
    try:
        metric = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # noqa: BLE001, RUF100  # whatever a user's module raises
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"metric {name!r} cannot be imported from {folder}: {reason}") from None
    finally:
        sys.path.remove(str(folder))
    if not callable(metric):
        raise ConfigurationError(f"metric {name!r} is a {type(metric).__name__} and not a function")
    return cast(MetricFunction, metric)

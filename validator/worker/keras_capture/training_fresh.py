"""What fresh, seeded initialisations give here, as a distribution of each variable."""

from __future__ import annotations

from typing import List, Optional

import numpy as np

from keras_capture.custom import function
from keras_capture.failures import StageError, stage
from keras_capture.imports import Framework
from keras_capture.perturbing import numpy_of
from keras_capture.request import Job
from keras_capture.training_store import digest


def fresh_weights(framework: Framework, job: Job, options: dict) -> Optional[dict]:
    """Mean, deviation and kurtosis of every variable under each seed; None without a builder or function."""
    reference = options.get("function") or job.builder
    seeds = list(range(int(options.get("seeds") or 0)))
    if not reference or not seeds:
        return None
    arguments = dict(options.get("arguments") or {}) if options.get("function") else job.builder_arguments
    variables: List[dict] = []
    try:
        with stage("train"):
            for seed in seeds:
                _add(framework, variables, _built(framework, reference, arguments, seed))
    except StageError as failed:
        return {"seeds": seeds, "variables": [], "failure": failed.as_dict()["message"][:500]}
    return {"seeds": seeds, "variables": variables, "failure": None}


def _built(framework: Framework, reference: str, arguments: dict, seed: int) -> object:
    framework.keras.utils.set_random_seed(seed)
    given = function(reference)(**arguments)
    if isinstance(given, dict):
        return given["model"]
    return given[0] if isinstance(given, tuple) else given


def _add(framework: Framework, variables: List[dict], model: object) -> None:
    for number, variable in enumerate(model.weights):
        value = np.asarray(numpy_of(framework, variable))
        if number == len(variables):
            variables.append({"size": int(value.size), "digests": [], "moments": []})
        variables[number]["digests"].append(digest(value))
        variables[number]["moments"].append(_moments(value.astype(np.float64)))


def _moments(value: np.ndarray) -> List[float]:
    """Mean, standard deviation, and kurtosis (0 for a constant): 1.8 is uniform, 3 normal."""
    if value.size == 0 or not np.isfinite(value).all():
        return [0.0, 0.0, 0.0]
    mean, deviation = float(value.mean()), float(value.std())
    if deviation == 0:
        return [mean, 0.0, 0.0]
    return [mean, deviation, float((((value - mean) / deviation) ** 4).mean())]

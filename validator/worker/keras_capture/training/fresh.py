"""What fresh, seeded initialisations give, as a distribution of each variable."""

from __future__ import annotations

from typing import List, Optional

import numpy as np

from keras_capture.failures import StageError, stage
from keras_capture.model.imports import Framework
from keras_capture.model.perturbing import numpy_of
from keras_capture.training.model import given_by
from keras_capture.training.store import digest
from keras_capture.wire.request import Job


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
                framework.keras.utils.set_random_seed(seed)
                weights = given_by(framework, reference, arguments)["model"].weights
                values = [numpy_of(framework, weight) for weight in weights]
                variables = variables or [
                    {"size": value.size, "digests": [], "moments": []} for value in values
                ]
                for variable, value in zip(variables, values):
                    variable["digests"].append(digest(value))
                    variable["moments"].append(_moments(value.astype(np.float64)))
    except StageError as failed:
        return {"variables": [], "failure": failed.as_dict()["message"][:500]}
    return {"variables": variables, "failure": None}


def _moments(value: np.ndarray) -> List[float]:
    """Mean, standard deviation, and kurtosis (0 for a constant): 1.8 is uniform, 3 normal.

    The float64 values, which may be many, are used up.
    """
    if value.size == 0 or not np.isfinite(value).all():
        return [0.0, 0.0, 0.0]
    mean, deviation = float(value.mean()), float(value.std())
    if deviation == 0:
        return [mean, 0.0, 0.0]
    value -= mean
    value /= deviation
    return [mean, deviation, float(np.power(value, 4, out=value).mean())]

"""The task `training`: loss, gradients and weights of the first steps, from one and the same start.

Options: `steps`, `epochs`, `batch_size`, `members` (of the noise ensemble; 0 where another environment has
it), `seeds` (of fresh initialisations), `reference` (false: no float64 run), `start` (`shared`: the same
weights everywhere; `own`: as built), `dropout` (`off` or `on`), `function` and `arguments` (who supplies the
compiled model and data).
"""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import List, Optional

import numpy as np

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.model.artifacts import load
from keras_capture.model.imports import Framework
from keras_capture.model.perturbing import wide_bytes
from keras_capture.numbers import number
from keras_capture.room import NoRoomError, require
from keras_capture.tasks import Work
from keras_capture.training.data import Batches
from keras_capture.training.fresh import fresh_weights
from keras_capture.training.model import Trainee, supply
from keras_capture.training.probe import Probe, Seen
from keras_capture.training.settings import described
from keras_capture.training.steps import Stepped, Steps
from keras_capture.training.store import Store, distances, perturbed, samples


def run(work: Work, options: dict) -> dict:
    """Train a few steps; the model is left as it was."""
    framework, job = work.prediction.framework, work.job
    supplied = supply(framework, job, work.loaded, options)
    batches = Batches(work.prediction, job.labels, supplied, int(options.get("batch_size") or job.batch_size))
    with Trainee(framework, supplied.model, options) as trainee:
        start = trainee.settle_start(supplied, options.get("start") or "shared")
        training = _Training(work, options, trainee, batches)
        answer = {
            "start": start,
            "batch_size": batches.size,
            "dropout": options.get("dropout") or "off",
            "random": trainee.random,
            "samples": batches.samples(),
            **described(framework, supplied.model),
            **training.record(),
            "reference": training.reference(),
        }
    del trainee, training  # which hold the weights several times, as float64 models in circles do
    gc.collect()
    return {**answer, "fresh": fresh_weights(framework, job, options)}


#: Of the weights in float64: themselves, two states of an optimizer, and their gradients.
_COPIES = 4
#: Trainings whose random layers draw anew, and steps of each: a spread that is a tenth larger shows in 64.
_DRAWS, _DRAWN_STEPS = 64, 2


class _Training:
    """The recorded run, the ensemble around it, and the curve: all from the same start."""

    def __init__(self, work: Work, options: dict, trainee: Trainee, batches: Batches) -> None:
        self._work = work
        self._options = options
        self._trainee = trainee
        self._all = batches
        self._batches = batches.first(self._option("steps") or 10)
        self._store = Store(work.job.folder, trainee.variables)
        self._steps = Steps(trainee)
        self._probe = Probe(trainee)
        self._start = trainee.weights()

    def _option(self, name: str) -> int:
        """A number of the request; 0 where it gives none."""
        return int(self._options.get(name) or 0)

    def _members(self) -> Iterator[list]:
        """The starts of the noise ensemble: each initial weight moved by one ULP."""
        return (perturbed(self._start, member) for member in range(self._option("members")))

    def record(self) -> dict:
        """Everything that is trained."""
        store, start, first = self._store, self._start, self._batches[0].parts
        seen, inference = self._probe.run(first), self._probe.inference(first)
        steps, described, checkpoints = [], [], []
        for place, step in enumerate(_with_slopes(self._run(start), seen)):
            described.append(self._describe(place, step))
            if place + 1 in (1, len(self._batches)):
                checkpoints.append(store.checkpoint(place + 1, step.weights))
            steps.append(self._sampled(step))  # all values of every step would be many times the model
        curves = itertools.chain([start], self._members()) if self._option("epochs") else ()
        return {
            "variables": store.describe(start),
            "start_file": store.vectors("start", start),
            "probe": store.probe("probe", seen),
            "inference": store.digested("inference", inference),
            "steps": described,
            "sparse": self._steps.sparse,
            "checkpoints": checkpoints,
            "noise": self._noise(steps, seen) if self._option("members") else None,
            "draws": self._draws() if self._options.get("dropout") == "on" else None,
            "curve": [self._curve(weights) for weights in curves],
        }

    def _run(self, weights: list, steps: Optional[int] = None) -> Iterator[Stepped]:
        self._trainee.begin(weights)
        for batch in self._batches[:steps]:
            self._steps.forget()
            yield self._steps.step(batch.parts)

    def _describe(self, place: int, step: Stepped) -> dict:
        return {
            "batch": self._batches[place].digest,
            "rows": self._batches[place].rows,
            "loss": number(step.loss),
            "masked": step.masked,
            "reported": step.reported,
            **{
                name: self._store.digested(f"{place}.{name}", getattr(step, name))
                for name in ("forward", "gradients", "weights")
            },
        }

    def _sampled(self, step: Stepped) -> Stepped:
        """A step with no more of its tensors than is compared with others."""
        names = ("forward", "gradients", "weights")
        return replace(step, **{name: samples(getattr(step, name), self._store.count) for name in names})

    def _draws(self) -> Optional[dict]:
        """The same training so often, its random layers drawing anew; None where they draw nothing."""
        losses, forward = [], []
        self._trainee.framework.set_seed()
        for draw in range(_DRAWS):
            steps = list(self._run(self._start, _DRAWN_STEPS))
            losses.append([number(step.loss) for step in steps])
            forward.append(steps[0].forward[0] if steps[0].forward else np.zeros(0))
            if draw == 1 and losses[0] == losses[1] and np.array_equal(*forward, equal_nan=True):
                return None
        return {"losses": losses, "forward": self._store.vectors("draws", forward)}

    def _noise(self, steps: List[Stepped], seen: Seen) -> dict:
        """How far every number moves, member by member."""
        count = self._store.count
        noise = [{"loss": [], "forward": [], "gradients": [], "weights": []} for _ in steps]
        probe = {"forward": [], "backward": []}
        for start in self._members():
            self._trainee.begin(start)
            moved = self._probe.run(self._batches[0].parts)
            for name, values in probe.items():
                values.append(distances(getattr(seen, name), getattr(moved, name), count))
            for into, base, other in zip(noise, steps, _with_slopes(self._run(start), moved)):
                into["loss"] += distances([base.loss], [other.loss], count)
                into["forward"] += distances(base.forward, other.forward, count)
                into["gradients"].append(distances(base.gradients, other.gradients, count))
                into["weights"].append(distances(base.weights, other.weights, count))
                del other
            del start, moved  # before the next member is made
        return {"steps": noise, "probe": probe}

    def _curve(self, start: list) -> List[dict]:
        """The mean loss of each epoch."""
        self._trainee.begin(start)
        epochs = []
        for _ in range(self._option("epochs")):
            self._steps.forget()
            total = samples = 0.0
            for batch in self._all.all():
                total += float(self._steps.step(batch.parts, weights=False).loss) * batch.samples
                samples += batch.samples
            epochs.append({"loss": number(total / samples)})
        return epochs

    def reference(self) -> dict:
        """The first step in float64, where rounding is out of sight: forward, loss, gradients."""
        framework, options = self._trainee.framework, self._options
        if options.get("reference") is False:
            return {"failure": "not asked for"}
        try:
            with stage("train"):
                if not framework.on_tensorflow:
                    raise UnusableError(f"the backend {framework.backend} has no float64 reference run")
                needed = _COPIES * wide_bytes(self._trainee.model)
                require(needed, "a second model in float64, with its optimizer and gradients,")
                with _double(framework):
                    folder = self._store.folder
                    job = replace(self._work.job, precision="float64", jit="as-saved", folder=folder)
                    loaded = None if options.get("function") else load(framework, job)
                    supplied = supply(framework, job, loaded, options)
                    with Trainee(framework, supplied.model, options, probed=True) as trainee:
                        trainee.begin(self._trainee.start)
                        seen = Probe(trainee).run(self._all.first(1)[0].parts)
        except StageError as failed:
            failure = failed.as_dict()
            left_out = failure["message"] if failure["error"] == NoRoomError.__name__ else ""
            return {"failure": f"{failure['error']}: {failure['message']}"[:500], "left_out": left_out}
        return {"failure": None, **self._store.probe("reference", replace(seen, backward=[]))}


def _with_slopes(steps: Iterator[Stepped], seen: Seen) -> Iterator[Stepped]:
    """The same, the first with the probe's outputs and gradients where the steps of `fit` hand out none."""
    first = next(steps)
    yield replace(first, forward=first.forward or seen.outputs, gradients=first.gradients or seen.gradients)
    del first
    yield from steps


@contextlib.contextmanager
def _double(framework: Framework) -> Iterator[None]:
    keras = framework.keras
    floatx, policy = keras.backend.floatx(), keras.mixed_precision.global_policy()
    keras.backend.set_floatx("float64")
    keras.mixed_precision.set_global_policy("float64")
    try:
        yield
    finally:
        keras.backend.set_floatx(floatx)
        keras.mixed_precision.set_global_policy(policy)

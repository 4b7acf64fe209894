"""The first steps of a training, recorded: loss, gradients and weights of each, from one and the same start.

Options: `steps`, `epochs`, `batch_size`, `members` (of the noise ensemble; 0 where another environment has
it), `seeds` (of fresh initialisations), `start` (`shared`: the same weights everywhere; `own`: as built),
`dropout` (`off` or `on`), `function` and `arguments` (who supplies the compiled model and data).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List

from keras_capture.artifacts import load
from keras_capture.failures import StageError, stage
from keras_capture.imports import Framework
from keras_capture.request import Job
from keras_capture.training_data import Batches
from keras_capture.training_fresh import fresh_weights
from keras_capture.training_model import Trainee, supply
from keras_capture.training_probe import Probe
from keras_capture.training_steps import Stepped, Steps, numbers
from keras_capture.training_store import Store, distance, perturbed


@dataclass
class _Session:
    """One training task: what is trained, on what, and where it is written."""

    framework: Framework
    job: Job
    options: dict
    trainee: Trainee
    batches: Batches
    store: Store
    seconds: Dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - begin, 3)


def run(work: object, options: dict) -> dict:
    """Train a few steps and say all that happened; the model is left as it was found."""
    framework, job = work.prediction.framework, work.job
    supplied = supply(framework, job, work.loaded, options)
    batch_size = int(options.get("batch_size") or job.batch_size)
    batches = Batches(work.prediction, job.labels, supplied, batch_size)
    with Trainee(framework, supplied.model, options) as trainee:
        store = Store(job.folder / "training", trainee.variables)
        session = _Session(framework, job, options, trainee, batches, store)
        with session.timed("start"):
            answer = _start(session, supplied)
        runs = _Runs(session)
        answer.update(runs.record())
        answer["dropout"] = _dropout(session)
        answer["twin"] = _twin(session)
        with session.timed("fresh"):
            answer["fresh"] = fresh_weights(framework, job, options)
    answer["seconds"] = session.seconds
    return answer


def _start(session: _Session, supplied: object) -> dict:
    trainee = session.trainee
    origin = trainee.settle_start(supplied, session.options.get("start") or "shared")
    start = trainee.weights()
    return {
        "source": supplied.source,
        "start": origin,
        "batch_size": session.batches.size,
        "custom_step": trainee.custom_step,
        "variables": session.store.describe(start),
        "optimizer": trainee.optimizer_config(),
        "loss": trainee.loss_config(),
        "layers": trainee.layer_configs(),
        "seed": session.framework.seed,
        "samples": session.batches.samples(),
        "start_file": session.store.vectors("start", start),
    }


class _Runs:
    """The recorded run, the ensemble around it, and the curve: all from the same start."""

    def __init__(self, session: _Session) -> None:
        self._session = session
        self._trainee = session.trainee
        self._start = session.trainee.weights()
        self._count = int(session.options.get("steps") or 10)
        self._members = int(session.options.get("members") or 0)
        self._batches = session.batches.first(self._count)
        self._steps = Steps(session.framework, session.trainee)
        self._probe = Probe(session.framework, session.trainee)

    def record(self) -> dict:
        """Everything that is trained."""
        session, store = self._session, self._session.store
        with session.timed("probe"):
            seen = self._probe.run(self._batches[0].parts)
            probe = store.probe(seen, "probe")
            inference = store.forward("inference", self._probe.inference(self._batches[0].parts))
        with session.timed("steps"):
            runs = list(self._run(self._start))
            described = [self._describe(number, step) for number, step in enumerate(runs)]
        answer = {
            "gradients": self._steps.gradients,
            "sparse": self._steps.sparse,
            "steps": described,
            "probe": probe,
            "inference": inference,
            "full_gradients": store.full("gradients", runs[0].gradients),
            "checkpoints": [
                {"step": number, "tensors": store.full(f"checkpoint-{number}", runs[number - 1].weights)}
                for number in sorted({1, len(runs)})
            ],
        }
        with session.timed("noise"):
            answer["noise"] = self._noise(runs, seen) if self._members else None
        with session.timed("curve"):
            answer["curve"] = self._curves()
        return answer

    def _run(self, weights: list) -> Iterator[Stepped]:
        self._trainee.begin(weights)
        for batch in self._batches:
            self._steps.forget()
            yield self._steps.step(batch.parts)

    def _describe(self, number: int, step: Stepped) -> dict:
        store, batch = self._session.store, self._batches[number]
        return {
            "batch": batch.digest,
            "rows": batch.rows,
            "loss": numbers(step.loss),
            "masked": step.masked,
            "reported": step.reported,
            "forward": store.forward(f"{number}.forward", step.forward),
            "gradients": store.changing(f"{number}.gradients", step.gradients),
            "weights": store.changing(f"{number}.weights", step.weights),
        }

    def _noise(self, runs: List[Stepped], seen: object) -> dict:
        """How far every number moves when each initial weight moves by one ULP."""
        count = self._session.store.count
        steps = [{"loss": [], "forward": [], "gradients": [], "weights": []} for _ in runs]
        probes = {"forward": [], "backward": [], "gradients": []}
        for member in range(self._members):
            start = perturbed(self._start, member)
            self._trainee.begin(start)
            moved = self._probe.run(self._batches[0].parts)
            for name, values in probes.items():
                values.append(distance(getattr(seen, name), getattr(moved, name), count))
            for into, base, other in zip(steps, runs, self._run(start)):
                into["loss"].append(distance([base.loss], [other.loss], count)[0])
                into["forward"].append(distance([base.forward], [other.forward], count)[0])
                into["gradients"].append(distance(base.gradients, other.gradients, count))
                into["weights"].append(distance(base.weights, other.weights, count))
        return {"members": self._members, "steps": steps, "probe": probes}

    def _curves(self) -> List[List[dict]]:
        """The recorded run's epochs, then those of each member."""
        if not int(self._session.options.get("epochs") or 0):
            return []
        starts = [self._start, *(perturbed(self._start, member) for member in range(self._members))]
        return [self._curve(start) for start in starts]

    def _curve(self, start: list) -> List[dict]:
        self._trainee.begin(start)
        epochs = []
        for _ in range(int(self._session.options["epochs"])):
            self._steps.forget()
            total = samples = 0.0
            for batch in self._session.batches.all():
                step = self._steps.step(batch.parts, weights=False)
                total += float(step.loss) * batch.samples
                samples += batch.samples
            epochs.append({"loss": numbers(total / samples), "reported": step.reported})
        return epochs


def _dropout(session: _Session) -> dict:
    """Which layers draw random numbers in training, and what the first loss is when they do."""
    trainee = session.trainee
    layers = trainee.random_layers()
    if not layers or trainee.dropout == "on":
        return {"layers": layers, "off": False, "loss": None}
    try:
        with stage("train"), trainee.random():
            session.framework.keras.utils.set_random_seed(session.framework.seed)
            trainee.begin(trainee.start)
            steps = Steps(session.framework, trainee)
            steps.forget()
            loss = numbers(steps.step(session.batches.first(1)[0].parts, weights=False).loss)
    except StageError:
        loss = None  # with the noise on, this model does not train: nothing else is lost
    return {"layers": layers, "off": True, "loss": loss}


def _twin(session: _Session) -> dict:
    """The first step in float64, where rounding is out of sight: forward, loss, gradients."""
    framework = session.framework
    if not framework.on_tensorflow:
        return {"failure": f"the backend {framework.backend} has no float64 twin"}
    try:
        with session.timed("twin"), stage("train"), _double(framework):
            job = replace(session.job, precision="float64", jit="as-saved", folder=Path(session.store.folder))
            options = session.options
            loaded = None if options.get("function") else load(framework, job)
            supplied = supply(framework, job, loaded, options)
            with Trainee(framework, supplied.model, options) as trainee:
                trainee.begin(session.trainee.start)
                seen = Probe(framework, trainee).run(session.batches.first(1)[0].parts)
            return {"failure": None, **session.store.probe(seen, "twin")}
    except StageError as failed:
        return {"failure": f"{failed.as_dict()['error']}: {failed.as_dict()['message']}"[:500]}


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

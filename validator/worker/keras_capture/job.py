"""One job: load, predict, predict again, evaluate; everything that happens is in the response."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Dict, List, Optional

from keras_capture.accuracy.evaluating import evaluate, is_compiled, is_masked
from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.model.artifacts import artifact_kind, load
from keras_capture.model.feeding import make_feed
from keras_capture.model.imports import Framework
from keras_capture.model.reconciling import has_untracked
from keras_capture.model.state import State
from keras_capture.outputs.captures import Difference, StoredOutput
from keras_capture.outputs.ensemble import chosen_batches
from keras_capture.outputs.joining import join
from keras_capture.outputs.predicting import Captured, Prediction, capture, listed, repeat
from keras_capture.surroundings import WarningLog, surroundings
from keras_capture.tasks import Work, run_task
from keras_capture.wire.files import write_json
from keras_capture.wire.recording import open_recording
from keras_capture.wire.request import Job


@dataclass
class Response:
    """`response.json`, filled in as the job goes on."""

    id: str
    schema: int = 1
    failure: Optional[dict] = None
    artifact_failure: Optional[dict] = None
    compile_failure: Optional[dict] = None
    loaded_from: Optional[str] = None
    weights: Optional[dict] = None
    artifact_kind: Optional[str] = None
    policy: Optional[str] = None
    jit: Optional[bool] = None
    samples: Optional[int] = None
    batch_size: Optional[int] = None
    inputs_digest: Optional[str] = None
    joined: Optional[bool] = None
    outputs: List[dict] = field(default_factory=list)
    deterministic: Optional[bool] = None
    self_difference: List[dict] = field(default_factory=list)
    listed: Optional[List[dict]] = None
    state: List[str] = field(default_factory=list)
    reported: Optional[Dict[str, Optional[float]]] = None
    reported_listed: Optional[Dict[str, Optional[float]]] = None
    masked: bool = False
    reported_failure: Optional[dict] = None
    tasks: Dict[str, dict] = field(default_factory=dict)
    notes: List[dict] = field(default_factory=list)
    warnings: List[dict] = field(default_factory=list)
    surroundings: Dict[str, str] = field(default_factory=dict)
    seconds: Dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Record the seconds of a step, also when it fails."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - begin, 4)


def run_job(framework: Framework, job: Job) -> dict:
    """Do a job in its folder and return its response; a fault of the model is a field of it."""
    response = Response(id=job.id, artifact_kind=artifact_kind(job.artifact), batch_size=job.batch_size)
    try:
        _steps(framework, job, response)
    except (StageError, KeyboardInterrupt) as stopped:
        # Nobody types at a worker: it is the model's code that raises KeyboardInterrupt.
        began = "predict" if "predict" in response.seconds else "load"
        failed = stopped if isinstance(stopped, StageError) else StageError(began, stopped)
        response.failure = failed.as_dict()
        response.artifact_failure = response.artifact_failure or failed.artifact_failure
        response.outputs = []
        shutil.rmtree(job.folder / "outputs", ignore_errors=True)  # half a capture; on a full disk, room too
    return asdict(response)


def failed_job(job: Job, failed: StageError) -> dict:
    """The response of a job whose Keras could not be imported."""
    return asdict(Response(id=job.id, failure=failed.as_dict()))


def _steps(framework: Framework, job: Job, response: Response) -> None:
    log = WarningLog(str(job.folder))
    response.warnings = log.entries
    with response.timed("load"), log.during("load"):
        loaded = load(framework, job)
    response.loaded_from, response.artifact_failure = loaded.source, loaded.artifact_failure
    response.policy, response.jit = loaded.policy, loaded.jit
    response.compile_failure = loaded.compile_failure
    response.weights = loaded.account and loaded.account.as_dict(loaded.file.name)
    response.notes += loaded.notes
    with stage("inputs", job.inputs):
        recording = open_recording(job.inputs)
        response.samples = recording.samples
        feed = make_feed(loaded.model, recording, job.batch_size)
        response.inputs_digest = recording.digest()
    response.notes += [{"kind": "inputs", "message": note} for note in feed.notes]
    state = State(framework, loaded.model)
    prediction = Prediction(framework, loaded.model, feed, job.batch_size, state=state)
    if job.batches:
        prediction = (
            chosen_batches(prediction, job.batches) if job.brief else replace(prediction, chosen=job.batches)
        )
    with log.during("predict"):
        captured = _predict(prediction, job, response) if job.predict else None
    doubtful = loaded.file is not None and (loaded.is_doubtful or has_untracked(framework, loaded.model))
    if captured and doubtful and response.deterministic:
        _load_again(prediction, captured, job)
    with stage("predict"):
        response.surroundings = surroundings(framework)
    if captured and job.evaluate and job.labels and is_compiled(loaded.model):
        _evaluate(replace(prediction, chosen=None), captured, job.labels, response)
    if captured and job.tasks:
        # a task that takes the whole process with it must not take the predictions
        write_json(job.folder / "predicted.json", asdict(response))
    for name, options in job.tasks.items():
        with response.timed(name):
            response.tasks[name] = run_task(name, Work(job, loaded, prediction, captured), options)


def _predict(prediction: Prediction, job: Job, response: Response) -> Captured:
    """Predict and store, then predict again and compare, unless the job is brief.

    Of a job whose batches others predicted, the first one alone is predicted here, twice as well.
    """
    folder, captured = job.folder, None
    with response.timed("predict"), stage("predict"):
        if job.pieces:
            prediction.framework.set_seed()
            same = {
                "inputs_digest": response.inputs_digest,
                "policy": response.policy,
                "jit": response.jit,
                "surroundings": surroundings(prediction.framework),
            }
            captured = join(prediction, job.pieces, same, folder / "outputs")
            response.joined = captured is not None
        if captured is None:
            prediction.framework.set_seed()
            captured = capture(prediction, folder / "outputs")
        response.state = prediction.state.settle()
    response.outputs = captured.entries
    response.notes += [{"kind": "outputs", "message": note} for note in captured.notes]
    if job.brief:
        return captured
    with response.timed("repeat"), stage("predict", "in the second prediction, which should give the same"):
        own = replace(prediction, chosen=(0,)) if response.joined else prediction
        response.self_difference = repeat(own, captured, folder)
    response.deterministic = not response.self_difference
    if response.deterministic:
        with contextlib.suppress(StageError), response.timed("list"), stage("predict"):
            response.listed = listed(prediction, captured, folder)
    return captured


def _load_again(prediction: Prediction, captured: Captured, job: Job) -> None:
    """Load under another seed: where the first batch differs, something was drawn and not loaded.

    For what has no account: a SavedModel, layers that load themselves, variables that no model knows.
    """
    framework = prediction.framework
    with stage("load", "loaded again under another seed"), framework.kept_policy():
        framework.keras.utils.set_random_seed(framework.seed + 1)
        again = load(framework, replace(job, predict=False))
        _, (start, stop), pieces = next(replace(prediction, model=again.model).batches())
        framework.set_seed()
        for entry in captured.entries:
            difference = Difference()
            written = StoredOutput(entry, job.folder).batch(0, 0, stop - start)
            difference.add(written, pieces.get(entry["name"]))
            if difference.elements:
                raise UnusableError(
                    f"{again.file.name} gives other outputs each time it is loaded: some weights are not "
                    "loaded but drawn at random"
                )


def _evaluate(prediction: Prediction, captured: Captured, labels: str, response: Response) -> None:
    """Whatever goes wrong here leaves the predictions as they are."""
    try:
        with response.timed("evaluate"), stage("predict", "in evaluate"):
            reports = evaluate(prediction, captured, open_recording(labels))
            response.reported = next(reports)
            response.reported_listed = next(reports, None)
            response.masked = is_masked(prediction.model)
    except StageError as failed:
        response.reported_failure = failed.as_dict()

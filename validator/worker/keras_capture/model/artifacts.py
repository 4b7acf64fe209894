"""Loads a model from what the user has: an archive, a SavedModel, or a builder and weights."""

from __future__ import annotations

import contextlib
import gc
import inspect
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Dict, List, Optional

from keras_capture.failures import StageError, UnfilledError, UnusableError, stage
from keras_capture.model import attention, precision
from keras_capture.model.custom import custom_objects, function
from keras_capture.model.feeding import make_feed
from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.presets import WEIGHTS, is_preset, load_preset
from keras_capture.model.reconciling import Account, assignments, has_account, reconcile, weights_file
from keras_capture.model.savedmodel import SavedModel
from keras_capture.wire.recording import open_recording
from keras_capture.wire.request import AS_SAVED, Job

_KINDS = {".keras": "keras", ".h5": "h5", ".hdf5": "h5", ".hdf": "h5"}


@dataclass
class Loaded:
    """A model ready to predict. `model` is the framework's, or a `SavedModel`.

    `file`: where its weights come from; None where its code makes them. `account`: what is left over of that
    file and of the model; None where the file cannot be read as tensors.
    """

    model: object
    source: str
    file: Optional[Path] = None
    account: Optional[Account] = None
    policy: Optional[str] = None
    jit: Optional[bool] = None
    notes: List[Dict[str, str]] = field(default_factory=list)
    artifact_failure: Optional[dict] = None
    compile_failure: Optional[dict] = None

    @property
    def is_doubtful(self) -> bool:
        """Whether weights of a file are not known to be all there."""
        return self.file is not None and (self.account is None or self.account.doubtful)

    def note(self, kind: str, message: str) -> None:
        """Add something a person should know."""
        self.notes.append({"kind": kind, "message": message})


def artifact_kind(path: Optional[Path]) -> Optional[str]:
    """`keras`, `h5`, `preset` or `savedmodel`; None without an artifact or for something else."""
    if path is None:
        return None
    if path.is_dir():
        return "preset" if is_preset(path) else "savedmodel"
    return _KINDS.get(path.suffix.lower())


def load(framework: Framework, job: Job) -> Loaded:
    """Load the artifact; where that fails and there is a builder, build the model and report both."""
    with stage("load"):
        if job.precision != AS_SAVED:
            framework.keras.mixed_precision.set_global_policy(job.precision)
        attention.switch(framework, job.attention)
        objects = custom_objects(framework, job.custom_objects)
    with framework.keras.utils.custom_object_scope(objects):
        loaded = _artifact_or_builder(framework, job, objects)
    with stage("load", str(job.artifact if loaded.source == "artifact" else job.builder)):
        _settle(framework, job, loaded)
    return loaded


def _artifact_or_builder(framework: Framework, job: Job, objects: dict) -> Loaded:
    if job.artifact is None:
        return _build(framework, job)
    try:
        with stage("load", str(job.artifact)):
            return _load_artifact(framework, job, objects)
    except StageError as failed:
        if job.builder is None:
            raise
        failure = {**failed.as_dict(), "traceback": ""}
    gc.collect()  # what was half loaded must not live beside the model that is built
    try:
        loaded = _build(framework, job)
    except StageError as failed:
        failed.artifact_failure = failure
        raise
    loaded.artifact_failure = failure
    return loaded


def _load_artifact(framework: Framework, job: Job, objects: dict) -> Loaded:
    path, kind = job.artifact, artifact_kind(job.artifact)
    _check_file(path, kind)
    if kind == "savedmodel":
        return _load_savedmodel(job)
    if kind == "preset":
        return _load_preset(framework, job)
    loaded = Loaded(None, "artifact", path)
    arguments = {"custom_objects": objects, "safe_mode": job.safe_mode}
    accepted = inspect.signature(framework.keras.models.load_model).parameters
    arguments = {name: value for name, value in arguments.items() if name in accepted}
    with _in_precision(job, kind) as readable, assignments(framework) as assigned:
        if job.compile:
            loaded.model = _load_compiled(framework, str(readable), arguments, loaded, assigned)
        else:
            loaded.model = framework.keras.models.load_model(str(readable), compile=False, **arguments)
        if has_account(readable):
            with weights_file(readable, job.folder) as weights:
                if kind == "keras" and not _is_built(loaded.model):
                    _build_by_call(framework, loaded.model, job)
                    loaded.model.load_weights(str(weights))
                _reconcile(framework, job, loaded, weights, assigned)
    return loaded


def _load_preset(framework: Framework, job: Job) -> Loaded:
    loaded = Loaded(None, "artifact", job.artifact)
    with assignments(framework) as assigned:
        loaded.model = load_preset(framework, job)
    weights = job.artifact / WEIGHTS
    if has_account(weights):
        _reconcile(framework, job, loaded, weights, assigned)
    return loaded


def _is_built(model: object) -> bool:
    """Whether every layer has its variables: a subclassed model may have to be called for that."""
    return all(getattr(layer, "built", True) for layer in layers_of(model))


def _build_by_call(framework: Framework, model: object, job: Job) -> None:
    """Call a model on its first batch: only variables that exist can be filled."""
    with stage("inputs", job.inputs):
        recording = open_recording(job.inputs)
        feed = make_feed(model, recording, job.batch_size)
    with stage("build", "called on the first batch, since its layers have no variables yet"):
        model(feed.batch(framework, 0, min(job.batch_size, recording.samples)))


def _reconcile(framework: Framework, job: Job, loaded: Loaded, weights: Path, assigned: dict) -> None:
    """Account for the weights that a job predicts with; an unfilled variable is a failure."""
    if not job.predict:
        return
    account = reconcile(framework, loaded.model, weights, assigned)
    if loaded.source == "builder":  # its optimizer is new: a file of weights may have the state of another
        account = replace(account, optimizer=(0, 0))
    loaded.account = account
    if not account.is_whole:
        raise UnfilledError(account.as_dict(loaded.file.name))


def _load_compiled(
    framework: Framework, path: str, arguments: dict, loaded: Loaded, assigned: dict
) -> object:
    """Load with the compilation; where only that fails, without, and say so."""
    load_model = framework.keras.models.load_model
    try:
        with stage("compile"):
            return load_model(path, compile=True, **arguments)
    except StageError as failed:
        failure = failed.as_dict()
    assigned.clear()
    model = load_model(path, compile=False, **arguments)
    loaded.compile_failure = failure
    return model


def _check_file(path: Path, kind: Optional[str]) -> None:
    """Say what is wrong with a file before the framework guesses."""
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if kind is None:
        raise UnusableError(f"{path} is neither .keras nor .h5, and no SavedModel folder")
    if kind == "preset":
        return
    if kind == "savedmodel":
        if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise UnusableError(f"the folder {path} holds no saved_model.pb")
        return
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise UnusableError(f"{path} is a Git LFS pointer, not the model: run git lfs pull")
    if kind == "keras" and not zipfile.is_zipfile(path):
        raise UnusableError(f"{path} is no .keras archive: it is not a complete zip file")


@contextlib.contextmanager
def _in_precision(job: Job, kind: str) -> Iterator[Path]:
    """The artifact, or for the time of loading a copy with other policies."""
    if job.precision == AS_SAVED:
        yield _apart(job) if kind == "keras" else job.artifact
        return
    copy = job.folder / f"rewritten{job.artifact.suffix.lower()}"
    try:
        precision.rewrite_archive(job.artifact, kind, job.precision, copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _apart(job: Job) -> Path:
    """A link to the artifact in a folder of its own.

    Keras 3.4.0 and 3.4.1 extract `model.weights.h5` beside the artifact, and remove it when they are done:
    https://github.com/keras-team/keras/blob/v3.4.1/keras/src/saving/saving_lib.py#L329
    """
    link = job.folder / "artifact" / job.artifact.name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(job.artifact)
    return link


def _load_savedmodel(job: Job) -> Loaded:
    for what, asked in (("precision", f"in {job.precision}"), ("attention", f"with {job.attention}")):
        if getattr(job, what) != AS_SAVED:
            raise UnusableError(
                f"a SavedModel's {what} is frozen when it is exported, so it cannot run {asked}; "
                "give a .keras file or a builder"
            )
    model = SavedModel(job.artifact, job.signature, jit=job.jit == "on")
    loaded = Loaded(model, "artifact", job.artifact, jit=model.jit)
    loaded.note(
        "savedmodel",
        "a SavedModel carries its own frozen graph: this tests TensorFlow, not the layers of Keras",
    )
    return loaded


def _build(framework: Framework, job: Job) -> Loaded:
    with stage("build", str(job.builder)):
        model = function(job.builder)(**job.builder_arguments)
        _check_model(framework, model, job.builder)
    loaded = Loaded(model, "builder", job.weights)
    if job.weights is not None:
        with stage("load", str(job.weights)):
            _load_weights(framework, job, loaded)
    return loaded


def _load_weights(framework: Framework, job: Job, loaded: Loaded) -> None:
    if not job.weights.exists():
        raise FileNotFoundError(f"there is no {job.weights}")
    if not _is_built(loaded.model):
        _build_by_call(framework, loaded.model, job)
    with assignments(framework) as assigned:
        loaded.model.load_weights(str(job.weights))
    if has_account(job.weights):
        with weights_file(job.weights, job.folder) as weights:
            _reconcile(framework, job, loaded, weights, assigned)


def _check_model(framework: Framework, model: object, builder: str) -> None:
    if isinstance(model, framework.keras.Model):
        return
    others = [base.__module__ for base in type(model).__mro__ if base.__name__ == "Model"]
    if others:
        raise UnusableError(
            f"{builder} returned a model of {others[0].partition('.')[0]!r}, but {framework.name} "
            f"{framework.version} is under test; import it with `from tensorflow import keras`"
        )
    raise UnusableError(f"{builder} returned {type(model).__name__}, not a Keras model")


def _has_own_predict(framework: Framework, model: object) -> bool:
    own = getattr(type(model), "predict", None)
    return "predict" in vars(model) or own is not getattr(framework.keras.Model, "predict", None)


def _settle(framework: Framework, job: Job, loaded: Loaded) -> None:
    """Bring the variant about, and record what the model really has."""
    if isinstance(loaded.model, SavedModel):
        return
    _check_model(framework, loaded.model, str(job.artifact or job.builder))
    if _has_own_predict(framework, loaded.model):
        loaded.note("predict", "the model's own `predict` is not called; its `predict_step` is")
    policies = precision.policies(framework, loaded.model)
    loaded.policy = precision.dominating(policy for _, policy in policies)
    if job.precision != AS_SAVED:
        precision.require(framework, job.precision, loaded.policy)
        others = precision.FLOATING - {job.precision}
        kept = [f"{name} ({policy})" for name, policy in policies if policy in others]
        if kept:
            listed = ", ".join(kept[:5]) + (" …" if len(kept) > 5 else "")
            loaded.note("precision", f"{len(kept)} layers keep a policy of their own: {listed}")
    note = attention.require(loaded.model, job.attention)
    if note:
        loaded.note("attention", note)
    if job.jit != AS_SAVED:
        loaded.model.jit_compile = job.jit == "on"
    loaded.jit = bool(loaded.model.jit_compile)
    if job.jit == "on" and not loaded.jit:
        raise UnusableError("the variant asks for jit, but this model cannot be compiled by XLA here")

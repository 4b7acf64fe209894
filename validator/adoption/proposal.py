"""What was found → the models and the text of a validator.yml. Nothing is written here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from validator.adoption.own_code import OwnModules, find_own_modules, has_lambda
from validator.adoption.releases import LEGACY, ProposedMatrix
from validator.adoption.scan import Artifact, Scan

_VAGUE = frozenset(
    {"model", "saved_model", "best", "best_model", "final", "final_model", "export", "keras_model"}
)
#: Words of losses → the metric that people read beside them.
_METRICS = {
    "accuracy": ("crossentropy", "hinge"),
    "mae": ("squared_error", "squarederror", "absolute_error", "absoluteerror", "mse", "mae", "huber"),
}
#: Import name → distribution, where they differ.
_PACKAGES = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml"}
_INSTALLED = frozenset({"numpy", "h5py", "ml_dtypes"})


@dataclass(frozen=True)
class Model:
    """One entry under `models`. `inputs` is None while nothing is known; `synthetic`: they are to be made.

    `comments` stand above the entry, a line each.
    """

    name: str
    artifact: str
    own: OwnModules
    safe_mode: bool = True
    inputs: str | None = None
    labels: str | None = None
    metrics: tuple[str, ...] = ()
    batch_size: int | None = None
    synthetic: bool = False
    comments: tuple[str, ...] = ()


def propose_models(scanned: Scan) -> list[tuple[Artifact, Model]]:
    """An entry for each model, without its inputs."""
    names: dict[str, int] = {}
    proposed = []
    for artifact in scanned.artifacts:
        name = _name(artifact, scanned)
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name}-{names[name]}"
        config = artifact.description.config
        own = _own_modules(artifact, scanned)
        path = artifact.address or artifact.path.relative_to(scanned.folder).as_posix()
        comments = tuple(_comments(own))
        proposed.append((artifact, Model(name, path, own, not has_lambda(config), comments=comments)))
    return proposed


def _own_modules(artifact: Artifact, scanned: Scan) -> OwnModules:
    if artifact.kind == "preset":  # its classes are KerasHub's
        return OwnModules(packages=("keras_hub",))
    return find_own_modules(artifact.description.config, scanned.folder, scanned.sources)


def _name(artifact: Artifact, scanned: Scan) -> str:
    name = artifact.name
    parent = artifact.path.parent
    if name.lower() in _VAGUE and not artifact.named:
        name = parent.name
    if artifact.path == scanned.folder:
        name = scanned.folder.name
    clean = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60]
    return clean or "model"


def _comments(own: OwnModules) -> Iterator[str]:
    for name in own.running:
        yield f'importing {name} trains a model: put that behind `if __name__ == "__main__":`'
    if own.absent:
        yield f"no module of this repository defines {', '.join(own.absent)}; name it under custom_objects"


def metrics_for(artifact: Artifact) -> tuple[str, ...]:
    """Metrics that suit the loss that the model was compiled with; none where that is not known."""
    compiled = artifact.description.compiled
    for loss in compiled.losses if compiled else ():
        for metric, parts in _METRICS.items():
            if any(part in loss.lower() for part in parts):
                return (metric,)
    return ()


def write_settings(models: Sequence[Model], matrix: ProposedMatrix, scanned: Scan) -> str:
    """The text of the validator.yml, with comments."""
    return "\n".join((*_head(models, matrix, scanned), "models:", *_models(models), ""))


def _head(models: Sequence[Model], matrix: ProposedMatrix, scanned: Scan) -> Iterator[str]:
    yield "# Written by `keras-validator init`. `keras-validator doctor` checks it, `run` runs it."
    yield "version: 1"
    yield 'python: "3.11"'
    yield "# Common to all environments, so that as little as possible but Keras differs."
    yield f"requirements: {_list([*matrix.common, *_packages(models, scanned)])}"
    keras = ", ".join(LEGACY if each == LEGACY else json.dumps(each) for each in matrix.keras)
    backend = f", backend: [{matrix.backend}]" if matrix.backend != "tensorflow" else ""
    yield f"matrix: {{keras: [{keras}]{backend}}}"
    yield f"# The baseline is {matrix.source}."
    yield f"baseline: {{keras: {json.dumps(matrix.keras[0])}}}"
    if scanned.manifest:
        yield "# On a pull request, `base` and `head` are built from your manifests, before the matrix."
    if matrix.own:
        yield "environments:"
        for name, lines in matrix.own.items():
            yield f"  {name}: {{requirements: {_list(lines)}}}"


def _models(models: Sequence[Model]) -> Iterator[str]:
    for model in models:
        yield from (f"  # {comment}" for comment in model.comments)
        yield f"  - name: {_text(model.name)}"
        yield f"    artifact: {_text(model.artifact)}"
        if model.own.modules:
            yield f"    custom_objects: {_list(model.own.modules)}"
        if not model.safe_mode:
            yield "    safe_mode: false # the bytecode of a Lambda layer in the file runs when it is loaded"
        made = " # synthetic: outputs are compared, accuracy is not known" if model.synthetic else ""
        yield f"    inputs: {_text(model.inputs or '')}{made}"
        if model.labels:
            yield f"    labels: {_text(model.labels)}"
        if model.metrics:
            yield f"    metrics: {_list(model.metrics)}"
        if model.batch_size:
            yield f"    batch_size: {model.batch_size} # the only one that the model takes"


def _packages(models: Sequence[Model], scanned: Scan) -> Iterator[str]:
    """What the models' own modules import, as the manifest asks for it."""
    imported = dict.fromkeys(name for model in models for name in model.own.packages)
    for name in imported:
        package = _PACKAGES.get(name, name.replace("_", "-")).lower()
        if name not in _INSTALLED:
            yield scanned.requirements.get(package, package)


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _text(value: str) -> str:
    """A YAML scalar: plain where that is safe, quoted otherwise."""
    plain = re.fullmatch(r"[A-Za-z_./][A-Za-z0-9_./=<>+:~-]*", value) and not value.endswith(":")
    words = value.lower() in ("true", "false", "null", "yes", "no", "on", "off")
    return value if plain and not words else json.dumps(value, ensure_ascii=False)

"""What the runner asks: `request.json` as typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Optional, Tuple

AS_SAVED = "as-saved"  # of a variant: as the artifact says


@dataclass(frozen=True)
class Overlay:
    """The Keras of one job, laid over the environment's own.

    `sources` is a JSON file of relative path → text that stands in for a file of the folder; into `trace`
    goes which functions of it ran.
    """

    folder: Path
    beside: Sequence[str] = ()
    sources: Optional[Path] = None
    trace: Optional[Path] = None


@dataclass(frozen=True)
class PredictedPiece:
    """The folder of a job that predicted the batches [first, stop) of another one."""

    folder: Path
    first: int
    stop: int


@dataclass(frozen=True)
class Job:
    """One model under one variant. Without `predict`, only the tasks are done.

    `brief` predicts once. Only these `batches` are predicted unless there are none; they are consecutive
    unless it is brief. `pieces`: what other jobs predicted of this one, all batches in their order.
    """

    id: str
    folder: Path
    artifact: Optional[Path]
    builder: Optional[str]
    builder_arguments: Dict[str, object]
    weights: Optional[Path]
    custom_objects: Sequence[str]
    safe_mode: bool
    compile: bool  # the artifact's loss, metrics and optimizer are wanted
    signature: str
    inputs: str
    labels: Optional[str]
    batch_size: int
    evaluate: bool
    predict: bool = True
    tasks: Dict[str, dict] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # the process must have them
    precision: str = AS_SAVED
    jit: str = AS_SAVED
    attention: str = AS_SAVED
    brief: bool = False
    batches: Sequence[int] = ()
    pieces: Sequence[PredictedPiece] = ()
    overlay: Optional[Overlay] = None


@dataclass(frozen=True)
class Request:
    """Everything one worker is asked to do."""

    environment: str
    legacy: bool
    backend: str
    pythonpath: Sequence[str]
    seed: int
    jobs: Tuple[Job, ...]
    expected: Mapping[str, object] = field(default_factory=dict)  # `python`, `keras`, `variables`
    overlays: bool = False  # every job has an overlay, and Keras is imported by the job, not before it
    memory: Optional[int] = None  # resident bytes at which the runner kills a job
    sandbox: Optional[Sequence[str]] = None  # what a job may write beside its folder; None: everything


def parse_request(data: dict) -> Request:
    """Parse a request."""
    schema, jobs = data.pop("schema"), data.pop("jobs")
    if schema != 1:
        raise ValueError(f"request.json has the schema {schema!r}, this worker reads 1")
    return Request(**data, jobs=tuple(_job(**job) for job in jobs))


def _overlay(*, folder: str, beside: Sequence[str], sources: Optional[str], trace: Optional[str]) -> Overlay:
    return Overlay(Path(folder), beside, sources and Path(sources), trace and Path(trace))


def _job(
    *, folder: str, artifact: Optional[str], weights: Optional[str], variant: Dict[str, str], **fields: object
) -> Job:
    overlay = fields.pop("overlay", None)
    fields["overlay"] = overlay and _overlay(**overlay)
    pieces = fields.pop("pieces", ())
    fields["pieces"] = [PredictedPiece(Path(each["folder"]), each["first"], each["stop"]) for each in pieces]
    paths = {"artifact": artifact and Path(artifact), "weights": weights and Path(weights)}
    return Job(folder=Path(folder), **paths, **variant, **fields)

"""What the runner asks: `request.json` as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Optional, Tuple


@dataclass(frozen=True)
class Job:
    """One model under one variant."""

    id: str
    folder: Path
    artifact: Optional[Path]
    builder: Optional[str]
    builder_arguments: Dict[str, object]
    weights: Optional[Path]
    custom_objects: Tuple[str, ...]
    safe_mode: bool
    signature: str
    precision: str
    jit: str
    inputs: str
    labels: Optional[str]
    batch_size: int
    evaluate: bool
    tasks: Dict[str, dict]
    predict: bool = True  # without, only the tasks are done
    attention: str = "as-saved"
    variables: Mapping[str, str] = field(default_factory=dict)  # the process must have them


@dataclass(frozen=True)
class Request:
    """Everything one worker is asked to do."""

    environment: str
    legacy: bool
    backend: str
    pythonpath: Tuple[str, ...]
    seed: int
    jobs: Tuple[Job, ...]


def parse_request(data: dict) -> Request:
    """Parse a request.

    Raises:
        KeyError: a required field is missing.
        ValueError: it follows another version of the protocol.
    """
    if data["schema"] != 1:
        raise ValueError(f"request.json has the schema {data['schema']!r}, this worker reads 1")
    return Request(
        environment=data["environment"],
        legacy=bool(data.get("legacy")),
        backend=data.get("backend") or "tensorflow",
        pythonpath=tuple(data.get("pythonpath") or ()),
        seed=int(data.get("seed") or 0),
        jobs=tuple(_job(job) for job in data["jobs"]),
    )


def _job(data: dict) -> Job:
    variant = data.get("variant") or {}
    return Job(
        id=data["id"],
        folder=Path(data["folder"]),
        artifact=_path(data.get("artifact")),
        builder=data.get("builder"),
        builder_arguments=dict(data.get("builder_arguments") or {}),
        weights=_path(data.get("weights")),
        custom_objects=tuple(data.get("custom_objects") or ()),
        safe_mode=bool(data.get("safe_mode", True)),
        signature=data.get("signature") or "serving_default",
        precision=variant.get("precision") or "as-saved",
        jit=variant.get("jit") or "as-saved",
        inputs=data["inputs"],
        labels=data.get("labels"),
        batch_size=int(data.get("batch_size") or 32),
        evaluate=bool(data.get("evaluate")),
        tasks=dict(data.get("tasks") or {}),
        predict=bool(data.get("predict", True)),
        attention=variant.get("attention") or "as-saved",
        variables=dict(data.get("variables") or {}),
    )


def _path(text: Optional[str]) -> Optional[Path]:
    return Path(text) if text else None

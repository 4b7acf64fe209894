"""Writes what a worker is asked to do. The format is described in docs/protocol.md."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import JsonValue

from validator.matrix import Environment


@dataclass(frozen=True)
class Job:
    """One cell as the worker sees it: every path absolute."""

    id: str
    folder: str
    model: str
    artifact: str | None
    builder: str | None
    builder_arguments: dict[str, str | int | float | bool]
    weights: str | None
    custom_objects: tuple[str, ...]
    safe_mode: bool
    signature: str
    variant: dict[str, str]
    inputs: str
    labels: str | None
    batch_size: int
    evaluate: bool
    predict: bool = True  # without, only the tasks are done
    tasks: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)  # a worker of its own is started with them


def write_request(
    folder: Path, environment: Environment, jobs: Sequence[Job], pythonpath: Sequence[Path]
) -> None:
    """Write `request.json` into the folder of an environment's captures."""
    request = {
        "schema": 1,
        "environment": environment.name,
        "legacy": environment.legacy,
        "backend": environment.backend,
        "pythonpath": [str(path) for path in pythonpath],
        "seed": 0,
        "jobs": [asdict(job) for job in jobs],
    }
    write_json(folder / "request.json", request)


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically: complete or not at all."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)

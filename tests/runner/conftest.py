"""Places with real environments, and jobs for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from validator.failure import Failure
from validator.matrix import Environment
from validator.runner import Bounds, Capture, Job, Place, Pool, RunLimit, Watcher

MODELS = Path(__file__).parent / "models"
GIB = 2**30
NO_LIMIT = RunLimit()


@dataclass
class Bench:
    """A pool under test, and all that it reported. `busy`: seconds in which it sees nothing of a new job."""

    folder: Path
    python: Callable[[str], Path]
    busy: float = 0.0
    events: list[tuple[str, ...]] = field(default_factory=list)
    preparations: list[str] = field(default_factory=list)

    def place(self, name: str, broken: Failure | None = None, **fields: Any) -> Place:
        """An environment of the tests' matrix."""
        legacy = name == "legacy"
        own = (("TF_USE_LEGACY_KERAS", "1"),) if legacy else ()
        fields["variables"] = (*own, *fields.get("variables", ()))
        environment = replace(Environment(name, "3.11", (), legacy=legacy), **fields)

        def prepare() -> Path | Failure:
            self.preparations.append(name)
            return broken or self.python(name)

        return Place(environment, self.folder / name, (MODELS,), prepare)

    def pool(
        self,
        *places: Place,
        bounds: Bounds | None = None,
        jobs: int = 2,
        limit: RunLimit = NO_LIMIT,
        noted: Callable[[str], None] = lambda _line: None,
    ) -> Pool:
        lock = threading.Lock()

        def note(*event: str) -> None:
            with lock:
                self.events.append(event)

        def began(job: str) -> None:
            note("started", job)
            time.sleep(self.busy)

        watcher = Watcher(
            note,
            began,
            lambda job, failure: note("finished", job, failure.error if failure else ""),
            noted=noted,
        )
        return Pool(places, bounds or Bounds(120, 60, 64 * GIB), watcher, jobs, limit)

    def job(
        self, identity: str, environment: str = "keras-3.3.3", builder: str = "dense", **fields: Any
    ) -> Job:
        arguments = fields.pop("arguments", {})
        defaults: dict[str, Any] = {
            "artifact": None,
            "weights": None,
            "custom_objects": (),
            "safe_mode": True,
            "compile": True,
            "signature": "serving_default",
            "variant": {"precision": "as-saved", "jit": "as-saved", "attention": "as-saved"},
            "inputs": "runner_models:inputs",
            "labels": None,
            "batch_size": 4,
            "evaluate": False,
        }
        return Job(
            id=identity,
            folder=str(self.folder / environment / identity),
            environment=environment,
            builder=f"runner_models:{builder}",
            builder_arguments=arguments,
            **{**defaults, **fields},
        )


@pytest.fixture
def bench(tmp_path: Path, keras_python: Callable[[str], Path]) -> Bench:
    return Bench(tmp_path, keras_python)


def failure_of(result: Capture | Failure) -> Failure:
    assert isinstance(result, Failure), result
    return result

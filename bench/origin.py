"""What tracing a difference costs: seconds of releases, nights and lines, with wheels at hand."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import Version

from bench.cells import EXAMPLES, KEPT, ROOT
from validator.environments import Overlays, Uv, prepare
from validator.failure import Failure
from validator.matrix import Environment
from validator.origin import Aspect, Behaviour, Budget, Case, Origin, SearchWatcher, Site, trace
from validator.origin.types import Phase
from validator.pipeline.project import open_project
from validator.runner import Bounds, Job, default_memory
from validator.storage import recording

MODELS = ROOT / "tests" / "origin" / "models"
_LEAN = {"steps": 3, "members": 0, "seeds": 0, "epochs": 0, "reference": False}
_PHASES: tuple[Phase, ...] = ("ends", "releases", "nights", "lines")
_TARGETS = {"releases": 30, "nights": 45, "lines": 60}


@dataclass(frozen=True)
class Known:
    """A difference whose origin is known."""

    name: str
    ends: tuple[str, str]
    aspect: Aspect = "outputs"
    folder: Path = MODELS
    job: dict[str, Any] = field(default_factory=dict)


def _small(name: str, ends: tuple[str, str], inputs: str = "features", **more: Any) -> Known:
    aspect: Aspect = "training" if "tasks" in more else "outputs"
    fields = {"builder": f"origin_models:{name}", "inputs": f"origin_models:{inputs}", **more}
    return Known(name, ends, aspect, job=fields)


def _cases(recorded: Path) -> list[Known]:
    artifact = str(EXAMPLES / "llama" / "model.keras")
    llama = {"artifact": artifact, "custom_objects": ("llama.layers",), "inputs": str(recorded)}
    training = {"labels": "origin_models:targets", "predict": False, "tasks": {"training": _LEAN}}
    return [
        Known("llama", ("3.3.3", "3.5.0"), folder=EXAMPLES, job=llama),
        _small("attention", ("3.6.0", "3.7.0")),
        _small("merged_mask", ("3.3.3", "3.4.0"), "tokens"),
        _small("regularised", ("3.13.2", "3.14.0"), **training),
        _small("accumulated", ("3.4.1", "3.5.0"), **training, batch_size=4),
        _small("unit_normalization", ("3.5.0", "3.6.0")),
        _small("masked_softmax", ("3.9.2", "3.10.0")),
        _small("multi_head_attention", ("3.6.0", "3.7.0")),
        _small("multi_head_attention", ("3.7.0", "3.8.0")),
    ]


def main() -> None:
    """Print the seconds of each phase and of the processors, with all wheels installed and compiled."""
    project = open_project(EXAMPLES / "validator.yml")
    environment = project.plan.environment(project.plan.baseline)
    built = prepare(environment, project.settings.install, KEPT, KEPT / "locks", Uv.bundled(os.environ))
    if isinstance(built, Failure):
        raise SystemExit(built.message)
    targets = ", ".join(f"{phase} {seconds}" for phase, seconds in _TARGETS.items())
    print(f"seconds, wheels installed before; targets: {targets}")
    print(f"{'case':<22}{''.join(f'{phase:>10}' for phase in _PHASES)}{'runs':>7}{'CPU':>7}  origin")
    with tempfile.TemporaryDirectory() as scratch:
        recorded = Path(scratch, "inputs")
        recording.prepare(EXAMPLES / "llama" / "inputs.npz", recorded)
        for known in _cases(recorded):
            _trace(known, environment, built.python, Path(scratch, "warm"))  # installs and compiles
            before = os.times()
            seconds, origin = _trace(known, environment, built.python, Path(scratch, "timed"))
            after = os.times()
            cpu = sum(after[:4]) - sum(before[:4])
            columns = "".join(f"{seconds.get(phase, 0.0):>10.1f}" for phase in _PHASES)
            print(f"{known.name:<22}{columns}{origin.runs:>7}{cpu:>7.1f}  {_answer(origin)}", flush=True)


def _answer(origin: Origin) -> str:
    since = origin.releases.since if origin.releases else None
    nights = ", ".join(f"{each.before[-10:-2]} to {each.after[-10:-2]}" for each in origin.nights)
    units = ", ".join(unit.name for lines in origin.lines for unit in lines.units)
    return f"{since.after if since else 'unknown'}; {nights or 'no night'}; {units or 'no lines'}"


def _trace(
    known: Known, environment: Environment, python: Path, folder: Path
) -> tuple[dict[Phase, float], Origin]:
    seconds: dict[Phase, float] = {}
    last = time.perf_counter()

    def ran(_cell: str, phase: Phase, _subject: str, _behaviour: Behaviour) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[phase] = seconds.get(phase, 0.0) + now - last
        last = now

    bounds = Bounds(300, 300, default_memory())
    overlays = Overlays(KEPT / "overlays", python, open_project(EXAMPLES / "validator.yml").settings.install,
                        Uv.bundled(os.environ))  # fmt: skip
    over = Environment(f"over-{environment.name}", environment.python, (), variables=environment.variables)
    site = Site(over, python, {}, folder / known.name, (known.folder,), bounds, overlays, lanes=2)
    case = Case(known.name, known.aspect, _job(known, folder), (), known.name, *map(Version, known.ends))
    return seconds, trace(case, site, Budget(1200), SearchWatcher(ran))


def _job(known: Known, folder: Path) -> Job:
    fields: dict[str, Any] = {
        "artifact": None,
        "builder": None,
        "builder_arguments": {},
        "weights": None,
        "custom_objects": (),
        "safe_mode": True,
        "compile": True,
        "signature": "serving_default",
        "variant": {"precision": "as-saved", "jit": "as-saved", "attention": "as-saved"},
        "labels": None,
        "batch_size": 32,
        "evaluate": False,
        "environment": "over",
        **known.job,
    }
    return Job(id=known.name, folder=str(folder / "template"), **fields)

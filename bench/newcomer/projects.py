"""`python -m bench newcomer`: prints verdicts, wall time and questions of six projects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
MATERIAL = Path(__file__).parent / "material"
PROJECTS = ("tabular", "image", "text", "forecaster", "subclassed", "savedmodel")
#: What a plain comparison of predictions calls the same.
ROUNDING = 1e-4
GREEN = ("identical", "rounding")


@dataclass(frozen=True)
class Outcome:
    """One project. `plain`: the largest difference that a plain script sees, by the largest output."""

    project: str
    verdict: str
    plain: float
    synthetic: bool
    questions: int
    init: float
    run: float

    @property
    def agrees(self) -> bool:
        """Whether the verdict and the plain script say the same."""
        return (self.verdict in GREEN) == (self.plain <= ROUNDING)


def main(place: str = "") -> list[Outcome]:
    """Make the projects, and go a newcomer's way in each."""
    began = time.perf_counter()
    root = Path(place or tempfile.mkdtemp(prefix="newcomer-")).resolve()
    subprocess.run(
        [_trained_in(), str(MATERIAL / "projects.py"), str(root), str(ROOT)], check=True, env=_quiet()
    )
    print(f"six projects made in {time.perf_counter() - began:.0f} s; now nobody edits a file")
    print(
        f"{'project':<12}{'verdict':<14}{'plain script':>14}{'inputs':>12}{'questions':>11}"
        f"{'init':>7}{'run':>7}"
    )
    outcomes = []
    for name in PROJECTS:
        outcome = way(root / name)
        outcomes.append(outcome)
        made = "synthetic" if outcome.synthetic else "recorded"
        print(
            f"{name:<12}{outcome.verdict:<14}{outcome.plain:>14.1e}{made:>12}{outcome.questions:>11}"
            f"{outcome.init:>6.1f}s{outcome.run:>6.0f}s{'' if outcome.agrees else '  DISAGREES'}"
        )
    return outcomes


def way(project: Path) -> Outcome:
    """`init --yes`, `run`, and the plain script in both environments."""
    began = time.perf_counter()
    done = _command(project, "init", "--yes")
    assert done.returncode == 0, done.stderr
    questions = int(done.stdout.rpartition("questions: ")[2])
    middle = time.perf_counter()
    done = _command(project, "run", "--json")
    assert done.stdout, done.stderr
    ended = time.perf_counter()
    report = json.loads(done.stdout)
    model = report["models"][0]
    return Outcome(
        project.name,
        model["cells"][0]["verdict"],
        plain(project),
        model["synthetic"],
        questions,
        middle - began,
        ended - middle,
    )


def plain(project: Path) -> float:
    """The largest difference of the predictions, relative to the largest output."""
    settings = yaml.safe_load((project / "validator.yml").read_text())
    model = settings["models"][0]
    sides = []
    for keras in settings["matrix"]["keras"][:2]:
        out = project / f"plain-{keras}.npz"
        python = project / ".keras-validator" / "environments" / f"keras-{keras}" / "bin" / "python"
        command = [str(python), str(MATERIAL / "plain.py"), model["artifact"], model["inputs"], str(out)]
        subprocess.run([*command, *model.get("custom_objects", [])], cwd=project, check=True, env=_quiet())
        sides.append(dict(np.load(out)))
    return max(_apart(sides[0][name], sides[1][name]) for name in sides[0])


def _apart(baseline: Any, candidate: Any) -> float:
    difference = np.abs(baseline.astype(np.float64) - candidate.astype(np.float64))
    return float(difference.max() / max(float(np.abs(baseline).max()), 1e-30))


def _command(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "validator", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env=environ, check=False)


def _trained_in() -> str:
    """The Keras that the projects were trained in: the oldest of the tests' environments."""
    from tests.conftest import environment_python

    return str(environment_python("keras-3.3.3"))


def _quiet() -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}

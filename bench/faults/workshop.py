"""Where faults are tried: projects, environments, one recorded run, and the tool as a process."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.corpus.harness import KEPT
from bench.faults.fault import Outcome, Place
from validator.report.json import load
from validator.verdict.gate import EXIT_CODES, judge_run
from validator.verdict.results import CellResult, ModelResult, Report

ROOT = Path(__file__).resolve().parents[2]
MATERIAL = Path(__file__).with_name("material")
VERSIONS = {"keras": ("3.3.3", "3.5.0"), "stand-in": ("3.3.3.1", "3.5.0.1")}
_REQUIREMENTS = {"keras": ["tensorflow-cpu==2.17.1", "numpy==1.26.4"], "stand-in": ["numpy==1.26.4"]}
#: The name of the model that is sound; one stands before all others and one after them.
SOUND = "sound"
SECONDS = 300


@dataclass(frozen=True)
class Done:
    """The end of a process of the tool. `code` is the exit status, or minus a signal."""

    code: int
    out: str
    errors: str

    @property
    def trouble(self) -> str:
        """What a person must never see."""
        if "Traceback" in self.errors or "Traceback" in self.out:
            return f"a traceback: {(self.errors or self.out).strip().splitlines()[-1][:200]}"
        return "no sentence" if self.code > 1 and not self.errors.strip() and not self.out.strip() else ""


@dataclass
class Workshop:
    """A scratch folder, and everything that faults share: made when the first one asks for it."""

    scratch: Path
    _number: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def folder(self) -> Path:
        """A new empty folder."""
        with self._lock:
            self._number += 1
            place = self.scratch / f"{self._number:03}"
            place.mkdir()
            return place

    @cached_property
    def wheels(self) -> Path:
        """The stand-in in two versions."""
        folder = self.scratch / "wheels"
        folder.mkdir()
        for release in VERSIONS["stand-in"]:
            _write_wheel(folder, release)
        return folder

    def project(
        self,
        place: Place,
        models: Sequence[Mapping[str, object]],
        folder: Path | None = None,
        *,
        share: bool = True,
        **more: object,
    ) -> Path:
        """Write a project with these models into a folder of its own; its validator.yml.

        It shares the environments of all others, unless it must not. `more` are further settings.
        """
        folder = folder or self.folder()
        for name in ("planted.py", "forging.py", "own_metrics.py"):
            shutil.copy(MATERIAL / name, folder)
        for name, arrays in _recordings().items():
            np.savez(folder / name, **arrays)
        old, new = VERSIONS[place]
        settings: dict[str, object] = {
            "version": 1,
            "origin": {"seconds": 0},
            "python": "3.11",
            "requirements": _REQUIREMENTS[place],
            "matrix": {"keras": [old, new]},
            "parity": {"search": False},
            "limits": {"seconds": 60 if place == "keras" else 8, "start_seconds": 120, "memory_gib": 2},
            "models": list(models),
        }
        if place == "stand-in":
            settings["install"] = {"find_links": [str(self.wheels)]}
        settings.update(more)
        path = folder / "validator.yml"
        path.write_text(json.dumps(settings, ensure_ascii=False, indent=1), encoding="utf-8")  # JSON is YAML
        if any("stored/" in str(model) for model in models):
            (folder / "stored").symlink_to(self.stored)
        work = folder / ".keras-validator"
        work.mkdir()
        for name in ("environments", "locks") if share else ():
            (KEPT / name).mkdir(parents=True, exist_ok=True)
            (work / name).symlink_to(KEPT / name)
        return path

    def run(
        self,
        config: Path,
        environ: Mapping[str, str | None] | None = None,
        prefix: Sequence[str] = (),
        cwd: Path = ROOT,
    ) -> tuple[Done, Report | None]:
        """`keras-validator run`, and the report that it left; None where it left none that can be read."""
        output = config.parent / "run"
        (output / "report.json").unlink(missing_ok=True)
        done = tool("run", "-c", str(config), "-o", str(output), environ=environ, prefix=prefix, cwd=cwd)
        try:
            return done, load((output / "report.json").read_text(encoding="utf-8"))
        except Exception:
            return done, None

    @cached_property
    def recorded(self) -> Path:
        """The capture of a sound model in the baseline, recorded by a real run."""
        config = self.project("keras", [sound("keras")])
        done, report = self.run(config)
        assert report is not None, done.errors
        assert report.models[0].cells[0].verdict == "identical", report.models[0].cells[0].message
        return config.parent / "run" / "captures" / f"keras-{VERSIONS['keras'][0]}" / SOUND

    @cached_property
    def template(self) -> Path:
        """A folder of the recorded capture that stand-in models forge theirs from."""
        with self._lock:
            folder = self.scratch / "template"
            if not folder.exists():
                shutil.copytree(self.recorded, folder)
            return folder

    @cached_property
    def stored(self) -> Path:
        """Files with models and weights, sound and spoilt, made by the baseline's Keras."""
        _ = self.recorded  # its run has built the environment
        folder = self.scratch / "stored"
        folder.mkdir()
        python = KEPT / "environments" / f"keras-{VERSIONS['keras'][0]}" / "bin" / "python"
        variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [str(python), str(MATERIAL / "make_files.py")]
        subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True, timeout=SECONDS)
        return folder

    @cached_property
    def three(self) -> list[dict[str, object]]:
        """Stand-in models that are identical, changed and failed: what must not depend on the surroundings."""
        return [
            self.forged("same", "none"),
            self.forged("moved", "rows-permuted"),
            self.forged("lost", "raises RuntimeError"),
        ]

    @cached_property
    def usual(self) -> object:
        """What a run of `three` comes to in usual surroundings."""
        done, report = self.run(self.project("stand-in", self.three))
        assert done.code == 1, done.errors
        return summary(report)

    def forged(
        self, name: str, mutation: str, side: str = "candidate", **settings: object
    ) -> dict[str, object]:
        """The entry of a stand-in model whose capture is the recorded one with a mutation."""
        return {
            "name": name,
            "builder": "forging:build",
            "builder_arguments": {"mutation": mutation, "side": side},
            "inputs": "inputs.npz",
            **settings,
        }


def sound(place: Place, name: str = SOUND) -> dict[str, object]:
    """The entry of a model that is the same on both sides."""
    if place == "keras":
        return {"name": name, "builder": "planted:sound", "inputs": "inputs.npz"}
    arguments = {"mutation": "none", "side": "candidate"}
    return {"name": name, "builder": "forging:build", "builder_arguments": arguments, "inputs": "inputs.npz"}


def tool(
    *arguments: str,
    environ: Mapping[str, str | None] | None = None,
    cwd: Path = ROOT,
    prefix: Sequence[str] = (),
    seconds: float = SECONDS,
) -> Done:
    """Run `python -m validator`, after `prefix`. A variable that is None is unset."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "validator", *arguments],
        env=environment(environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    return Done(done.returncode, done.stdout or "", done.stderr or "")


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The variables that the tool is started with."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(changes or {})}
    return {name: value for name, value in variables.items() if value is not None}


def outcome(cell: CellResult, output: str = "", trouble: str = "") -> Outcome:
    """What came out of a cell, or of one output of it, with the exit code of a run of it alone."""
    verdict, _ = judge_run([ModelResult(name=cell.cell, cells=(cell,))])
    verdicts = [
        finding.verdict or ""
        for finding in cell.findings
        if finding.kind == "output" and getattr(finding, "output", None) == output
    ]
    failure = cell.failure or next(
        (getattr(finding, "failure", None) for finding in cell.findings if finding.kind == "baseline-failed"),
        None,
    )
    return Outcome(
        int(EXIT_CODES[verdict]),
        (verdicts[0] if verdicts else "no finding") if output else cell.verdict,
        frozenset(finding.kind for finding in cell.findings),
        failure.stage if failure else "",
        trouble,
    )


def cell_of(report: Report, model: str) -> CellResult | None:
    """The candidate's cell of a model."""
    return next((cell for each in report.models if each.name == model for cell in each.cells), None)


def summary(report: Report | None) -> object:
    """What two runs of one project must agree in."""
    if report is None:
        return None
    return report.verdict, tuple(
        (cell.cell, cell.verdict, cell.gated, tuple(finding.kind for finding in cell.findings))
        for model in report.models
        for cell in model.cells
    )


def _recordings() -> dict[str, dict[str, np.ndarray]]:
    """300 samples of 8 numbers, the first of which is the sample's own; labels and tokens for them."""
    generator = np.random.default_rng(7)
    inputs = generator.normal(size=(300, 8)).astype(np.float32)
    inputs[:, 0] = np.arange(300)
    return {
        "inputs.npz": {"features": inputs},
        "labels.npz": {"label": generator.integers(0, 10, 300)},
        "tokens.npz": {"tokens": generator.integers(1, 20, (12, 6)).astype(np.int32)},
    }


def _digest(text: str) -> str:
    """As RECORD has it: without it, nobody could tell that an installed file was edited."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.rstrip(b'=').decode()}"


def _write_wheel(folder: Path, release: str) -> None:
    """A wheel of the stand-in, under Keras' name."""
    facts = f"keras-{release}.dist-info"
    files = {
        "keras/__init__.py": (MATERIAL / "stand_in.py").read_text(encoding="utf-8"),
        "keras/layers.py": (MATERIAL / "stand_in_layers.py").read_text(encoding="utf-8"),
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: keras\nVersion: {release}\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nGenerator: faults\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},{_digest(text)},{len(text.encode())}\n" for name, text in files.items()]
    files[f"{facts}/RECORD"] = "".join((*rows, f"{facts}/RECORD,,\n"))
    with zipfile.ZipFile(folder / f"keras-{release}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)

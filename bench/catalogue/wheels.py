"""Releases of Keras laid over one base environment: a wheel a release, and one TensorFlow or torch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from validator.catalogue.entries import LEGACY

ROOT = Path(__file__).resolve().parents[2]
#: Beside Nox's own environments: `.nox/catalogue` is that of the session.
KEPT = ROOT / ".nox" / "catalogue-environments"
_TENSORFLOW = ("tensorflow-cpu==2.17.1", "numpy==1.26.4", "keras==3.3.3", "dm-tree", "packaging")
#: tf-keras names the full TensorFlow, which tensorflow-cpu stands in for.
_ALONE = ("tf-keras==2.17.0",)
_TORCH = ("numpy==1.26.4", "keras==3.3.3", "dm-tree", "packaging")


@dataclass(frozen=True)
class Bases:
    """The interpreters that releases are laid over; `torch` is None where no wheel for CPUs is at hand."""

    tensorflow: Path
    torch: Path | None = None

    def of(self, backend: str) -> Path | None:
        """The interpreter of a backend."""
        return self.torch if backend == "torch" else self.tensorflow


def bases() -> Bases:
    """Both base environments, made once."""
    KEPT.mkdir(parents=True, exist_ok=True)
    wheel = _cpu_torch()
    torch = None
    if wheel is not None:
        torch = _base(
            "torch", (*_TORCH, f"torch=={wheel.name.split('-')[1]}"), (f"--find-links={wheel.parent}",)
        )
    return Bases(_base("tensorflow", _TENSORFLOW, alone=_ALONE), torch)


def overlay(release: str, python: Path, kept: Path = KEPT) -> Path:
    """The folder with the wheel of a release, and nothing else."""
    folder = kept / f"keras-{release}"
    if not (folder / "keras" / "__init__.py").is_file():
        kept.mkdir(parents=True, exist_ok=True)
        _uv("--no-deps", "--target", str(folder), f"keras=={release}", python=python)
    return folder


def surroundings(release: str, backend: str, folder: Path | None) -> Mapping[str, str]:
    """The variables of a process that runs a release: one thread, no GPU, bytecode kept."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TF_", "KERAS_"))
    }
    threads = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    alone = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": backend, **threads}
    if release == LEGACY:
        return {**kept, **alone, "TF_USE_LEGACY_KERAS": "1"}
    return {**kept, **alone, "PYTHONPATH": str(folder)}


def _base(
    name: str, packages: tuple[str, ...], options: tuple[str, ...] = (), alone: tuple[str, ...] = ()
) -> Path:
    folder = KEPT / f"base-{name}"
    python, done = folder / "bin" / "python", folder / "done.txt"
    wanted = "\n".join((*packages, *alone))
    if done.is_file() and done.read_text() == wanted:
        return python
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--clear", "--python", "3.11", str(folder)], check=True)
    _uv(*options, *packages, python=python)
    if alone:
        _uv("--no-deps", *alone, python=python)
    done.write_text(wanted)
    return python


def _uv(*arguments: str, python: Path) -> None:
    command = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(python), *arguments]
    subprocess.run(command, check=True)


def _cpu_torch() -> Path | None:
    """A wheel of torch for CPUs, as pip or uv are told of it: an index gives the CUDA build of several GB."""
    for variable in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        for place in os.environ.get(variable, "").replace(",", " ").split():
            for wheel in sorted(Path(place).glob("torch-*+cpu-cp311-*.whl")):
                return wheel
    return None

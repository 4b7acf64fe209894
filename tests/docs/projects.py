"""The folders in which the commands of a page are run, made of the examples."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT, share_environments
from tests.verdict.acceptance_cases import report
from validator.report import json as report_json

EXAMPLES = ROOT / "examples"
VALIDATOR = """version: 1
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
models: [{name: digits, artifact: model.keras, inputs: inputs.npz}]
"""
PINS = "keras==%s\ntensorflow-cpu==2.17.1\nnumpy==1.26.4\n"


def prepare(name: str, folder: Path) -> None:
    """Make a project in an empty folder."""
    _PROJECTS[name](folder)


def _model(folder: Path, *, inside: str = ".") -> None:
    """An exported model with its inputs and labels, as a newcomer has them."""
    place = folder / inside
    place.mkdir(exist_ok=True, parents=True)
    for file in ("model.keras", "inputs.npz", "labels.npz"):
        shutil.copy(EXAMPLES / "digits" / file, place / file)


def _newcomer(folder: Path) -> None:
    _model(folder)
    (folder / "requirements.txt").write_text(PINS % "3.3.3")
    share_environments(folder)


def _user(folder: Path) -> None:
    _model(folder)
    share_environments(folder)


def _package(name: str) -> Callable[[Path], None]:
    def copied(folder: Path) -> None:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(EXAMPLES / name, folder / name, ignore=ignored)
        shutil.copy(EXAMPLES / "which_keras.py", folder / "which_keras.py")
        share_environments(folder)

    return copied


def _hub(folder: Path) -> None:
    _model(folder, inside="hub")
    _user(folder)


def _upgrade(folder: Path) -> None:
    """A repository whose branch upgrades Keras."""
    _model(folder)
    (folder / "validator.yml").write_text(VALIDATOR)
    _branch(folder, folder / "requirements.txt")


def _finished(folder: Path) -> None:
    """A run of two models that changed, as it left its report."""
    names = ("digits", "translator")
    models = "".join(f"- {{name: {name}, builder: 'a:b', inputs: i.npz}}\n" for name in names)
    (folder / "validator.yml").write_text(f"version: 1\nmodels:\n{models}")
    run = folder / ".keras-validator" / "run"
    run.mkdir(parents=True)
    (run / "report.json").write_text(report_json.dump(report(names=names)))


def _services(folder: Path) -> None:
    """The same in a folder of a repository of several projects."""
    for service in ("ocr", "search"):
        _model(folder, inside=f"services/{service}")
        (folder / "services" / service / "requirements.txt").write_text(PINS % "3.3.3")
    _branch(folder, folder / "services" / "ocr" / "requirements.txt")


def _branch(folder: Path, manifest: Path) -> None:
    manifest.write_text(PINS % "3.3.3")
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _commit(folder)
    _git(folder, "switch", "--quiet", "--create", "upgrade")
    manifest.write_text(PINS % "3.5.0")
    _commit(folder)


def _commit(folder: Path) -> None:
    _git(folder, "add", ".")
    _git(folder, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "Pins")


def _git(folder: Path, *arguments: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", *arguments], cwd=folder, env=environ, check=True)


_PROJECTS: dict[str, Callable[[Path], None]] = {
    "model": _newcomer,
    "user": _user,
    "digits": _package("digits"),
    "llama": _package("llama"),
    "hub": _hub,
    "upgrade": _upgrade,
    "services": _services,
    "finished": _finished,
}

"""What a push costs whose baseline did not change: the baseline comes from the cache, the candidate runs."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MODELS = ("digits", "translator", "llama")


def main(rounds: int = 1) -> None:
    """Print wall and processor seconds of a full run of the examples, and of two pushes after it.

    Each is a fresh checkout, as on a runner: environments are built from a warm cache of packages.
    """
    for jobs in ("auto", "1"):
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder, "project")
            _write(project)
            _run(project, jobs)  # fills the cache of packages
            full, pushed, same = [], [], []
            for number in range(rounds):
                shutil.rmtree(project / "kept", ignore_errors=True)
                _write(project, f"24.{number}")
                full.append(_run(project, jobs))
                same.append(_run(project, jobs))
                _write(project, f"23.{number + 1}")  # another package of the candidate, and of it alone
                pushed.append(_run(project, jobs))
            size = sum(path.stat().st_size for path in (project / "kept").iterdir()) / 1024
        print(f"\nenvironments at a time: {jobs}; the cache has {size:,.0f} KiB")
        print("                                 wall   ratio      CPU   ratio")
        for name, samples in (("full run", full), ("unchanged baseline", pushed), ("nothing changed", same)):
            (wall, cpu), (all_wall, all_cpu) = (_least(each) for each in (samples, full))
            print(f"{name:28} {wall:7.1f} s  {wall / all_wall:5.2f}  {cpu:6.1f} s  {cpu / all_cpu:5.2f}")
    print("\ntarget: nothing changed 0.55")


def _least(samples: list[tuple[float, float]]) -> tuple[float, float]:
    return min(wall for wall, _ in samples), min(cpu for _, cpu in samples)


def _write(folder: Path, packaging: str = "24.2") -> None:
    """The examples, committed; the candidate has a package of its own version."""
    if not folder.exists():
        folder.mkdir()
        for model in MODELS:
            shutil.copytree(EXAMPLES / model, folder / model, ignore=shutil.ignore_patterns("__pycache__"))
        for module in EXAMPLES.glob("*.py"):
            shutil.copy2(module, folder)
        (folder / ".gitignore").write_text(".keras-validator\nkept\n__pycache__\n", encoding="utf-8")
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    settings = yaml.safe_load((EXAMPLES / "validator.yml").read_text(encoding="utf-8"))
    settings |= {"matrix": {"keras": ["3.3.3", "3.5.0"]}, "origin": {"seconds": 0}}
    settings["environments"] = {"keras-3.5.0": {"requirements": [f"packaging=={packaging}"]}}
    (folder / "validator.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "bench"], check=True)


def _run(folder: Path, jobs: str) -> tuple[float, float]:
    """Wall and processor seconds of a run that finds no environment."""
    shutil.rmtree(folder / ".keras-validator", ignore_errors=True)
    command = [sys.executable, "-m", "validator", "run", "--cache", "kept", "--jobs", jobs]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    report = folder / ".keras-validator" / "run" / "report.json"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert report.is_file(), done.stderr.decode()
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

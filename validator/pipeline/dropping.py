"""What stays of a finished run beside its reports, as `keep` in validator.yml says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from validator.config.settings import Keep
from validator.matrix import Plan
from validator.pipeline.run_folder import RunFolder
from validator.verdict.bands import GREEN
from validator.verdict.results import Report

#: What people read: answers of workers, and their logs. The rest of a capture is tensors and links to models.
_READ = frozenset({".json", ".log"})


def drop(folder: RunFolder, plan: Plan, report: Report, keep: Keep) -> None:
    """Remove tensors: of all cells, or (`failed`) of all but those that are not green and their baselines."""
    if keep == "all":
        return
    green = {cell.cell for model in report.models for cell in model.cells if cell.verdict in GREEN}
    moved = [cell for cell in plan.compared if cell.id not in green] if keep == "failed" else []
    kept = {folder.capture(cell) for each in moved for cell in (each, plan.baseline_of(each))}
    for environment in plan.environments:
        captures = folder.captures(environment.name)
        for capture in captures.iterdir() if captures.is_dir() else ():
            if capture not in kept:
                _without_tensors(capture)
    if not kept:
        shutil.rmtree(folder.recordings(), ignore_errors=True)
        shutil.rmtree(folder.base_files(), ignore_errors=True)


def _without_tensors(capture: Path) -> None:
    for root, folders, names in os.walk(capture, topdown=False):
        for name in (*names, *folders):
            path = Path(root, name)
            if path.is_symlink() or (path.is_file() and path.suffix not in _READ):
                path.unlink(missing_ok=True)
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()

"""What stays of a finished run beside its reports, as `keep` in validator.yml says."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from validator.config.settings import Keep
from validator.pipeline.run_folder import RunFolder
from validator.runner import COMPLETE
from validator.verdict.bands import GREEN
from validator.verdict.gate import broken_rules, overall
from validator.verdict.results import CellResult, Report

#: What people read: answers of workers, and their logs. The rest of a capture is tensors and links to models.
_READ = frozenset({".json", ".log"})


def settle(folder: RunFolder, report: Report, keep: Keep) -> None:
    """Once the reports of a complete run are written, nothing is left to resume, and tensors may go."""
    if (folder.ended() / COMPLETE).is_file():
        shutil.rmtree(folder.ended(), ignore_errors=True)
        _drop(folder, report, keep)


def _drop(folder: RunFolder, report: Report, keep: Keep) -> None:
    """Remove tensors of all models, or (`failed`) of those that are green. What cannot be removed stays."""
    if keep == "all":
        return
    moved = {model.name for model in report.models if not all(map(_is_green, model.cells))}
    kept = moved if keep == "failed" else set()
    for capture in folder.captures("").glob("*/*"):
        if capture.name.partition("+")[0] not in kept:
            _without_tensors(capture)
    if not kept:
        shutil.rmtree(folder.recordings(), ignore_errors=True)
        shutil.rmtree(folder.base_files(), ignore_errors=True)


def _is_green(cell: CellResult) -> bool:
    return overall(cell) in GREEN and not broken_rules(cell)


def _without_tensors(capture: Path) -> None:
    for root, folders, names in os.walk(capture, topdown=False):
        for name in (*names, *folders):
            path = Path(root, name)
            with contextlib.suppress(OSError):
                if path.is_symlink() or (path.is_file() and path.suffix not in _READ):
                    path.unlink(missing_ok=True)
                elif path.is_dir() and not any(path.iterdir()):
                    path.rmdir()

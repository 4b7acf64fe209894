"""`keras-validator merge`: what shards left, brought together and judged once.

Parts come from other machines, as artifacts of a CI: each is read within limits, as data alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from validator.config.settings import Settings
from validator.documents import check_json, first_problem, read_bytes
from validator.errors import CannotJudgeError, ConfigurationError, Exit, ValidatorError
from validator.history import check_place
from validator.matrix import MOST_SHARDS, Cell, Shard, part_of
from validator.pipeline.history import CodePlace, remember
from validator.pipeline.project import Project, command_of
from validator.pipeline.pull_request import actions_job
from validator.pipeline.run_folder import WORK, RunFolder, locked
from validator.pipeline.validate import bare, baseline_of, deliver, write
from validator.report.json import worded
from validator.runner import write_text
from validator.text import plain
from validator.verdict.parts import Part, PlannedCell, merge
from validator.verdict.results import Reason, Report

PART_LIMIT = 32 << 20
_NAME = re.compile(r"part-[0-9]{1,3}-of-[0-9]{1,3}\.json")


@dataclass(frozen=True)
class PlannedRun:
    """A shard of a run. `project` has the whole plan; None where the upgrade leaves nothing to run."""

    shard: Shard
    settings: Settings
    project: Project | None
    code: CodePlace

    @property
    def parts(self) -> tuple[tuple[PlannedCell, ...], ...]:
        """The cells of every shard."""
        if self.project is None:
            return ((),) * self.shard.count
        parts = part_of(self.project.plan, self.shard)
        return tuple(tuple(_planned(self.project, cell) for cell in cells) for cells in parts)


def write_part(path: Path, run: PlannedRun, report: Report) -> None:
    """Write what a shard leaves for `merge`: the results of its own cells, and the whole plan."""
    parts = run.parts
    own = {cell.cell for cell in parts[run.shard.index - 1]}
    models = (
        model.model_copy(update={"cells": tuple(cell for cell in model.cells if cell.cell in own)})
        for model in report.models
    )
    part = Part(
        shard=run.shard.index,
        baseline=baseline_of(run.project.plan) if run.project else report.baseline,
        settings=hashlib.sha256(run.settings.model_dump_json().encode()).hexdigest(),
        gate=run.settings.gate,
        checkout=run.code.commit,
        configuration=run.code.configuration,
        models=tuple(model.name for model in run.settings.models),
        shards=parts,
        report=report.model_copy(update={"models": tuple(model for model in models if model.cells)}),
    )
    write_text(path, part.model_dump_json(by_alias=True) + "\n")


def remove_parts(folder: RunFolder) -> None:
    """Remove the parts that an earlier run left."""
    for path in folder.root.glob("part-*-of-*.json"):
        path.unlink()


@dataclass(frozen=True)
class MergeRequest:
    """What `merge` is asked: folders with parts; `event`: in the GitHub Actions job that shows the result.

    `history`: the file that the run adds a line to; None for none.
    """

    folders: tuple[Path, ...]
    output: Path | None = None
    json: bool = False
    event: bool = False
    history: Path | None = None

    @property
    def folder(self) -> RunFolder:
        """Where the report goes: the folder that is asked for, or one in the current folder."""
        return RunFolder((self.output or Path(WORK, "run")).resolve())


def run_merge(request: MergeRequest) -> Exit:
    """Merge the parts in some folders, write the report, print it, and give its exit code.

    Raises:
        ConfigurationError: parts are of different runs, or a folder does not exist.
        CannotJudgeError: there is no part, or one was refused. The folder then holds a report that says so.
    """
    folder = request.folder
    with locked(folder.root, "the run"):
        folder.report().unlink(missing_ok=True)
        folder.history().unlink(missing_ok=True)
        try:
            if request.history is not None:
                check_place(request.history)
            parts = [read_part(path) for path in _files(request.folders)]
            report = merge(parts)
        except ValidatorError as error:
            write(folder, bare(Reason(kind="error", error=str(error)), event=request.event))
            raise
        if request.event:  # parts may be of several attempts
            report = report.model_copy(update={"workflow_run": actions_job()[1]})
        code = deliver(folder, report, json=request.json)
        remember(folder, report, CodePlace(parts[0].checkout, parts[0].configuration), request.history)
        return code


def read_part(path: Path) -> Part:
    """A part, checked: a regular file of at most 32 MiB, known keys once, finite numbers, its own name.

    Raises:
        CannotJudgeError: it is none; the sentence says which and why.
    """
    try:
        if path.is_symlink():
            raise ValueError("it is a symbolic link")
        content = read_bytes(path, PART_LIMIT)
        check_json(content)
        part = Part.model_validate_json(content, strict=True)
        if path.name != Shard(part.shard, len(part.shards)).file:
            raise ValueError(f"it is about shard {part.name}")
        _worded(part)
    except ValidationError as error:
        reason = f"it does not follow the schema of this version: {first_problem(error)}"
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    else:
        return part
    raise CannotJudgeError(
        f"{plain(str(path), 200)} was refused: {plain(reason, 300)}; pass what `run --shard` wrote"
    )


def _worded(part: Part) -> None:
    """Refuse results that cannot be put into words: no run writes such numbers."""
    try:
        worded(part.report)
    except Exception as error:  # whatever such numbers bring about
        raise ValueError(f"its numbers contradict each other ({type(error).__name__})") from None


def _files(folders: Sequence[Path]) -> list[Path]:
    """The parts in some folders, and in the folders in them; a folder of artifacts has one for each."""
    paths: dict[Path, None] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"{folder}: no such folder; name the one with the parts of the shards")
        paths |= dict.fromkeys(sorted(_in(folder)))
    if len(paths) > MOST_SHARDS:
        raise ConfigurationError(f"{len(paths)} parts: a run has {MOST_SHARDS} shards at most")
    return list(paths)


def _in(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from (inner for inner in path.iterdir() if _NAME.fullmatch(inner.name))


def _planned(project: Project, cell: Cell) -> PlannedCell:
    return PlannedCell(
        cell=cell.id,
        model=cell.model,
        environment=cell.environment,
        variant=cell.variant.name,
        effect=project.plan.effect(cell),
        reproduce=command_of(project, cell),
    )

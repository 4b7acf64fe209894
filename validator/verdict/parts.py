"""What one shard of a run came to: the typed form of `part-I-of-N.json`, and how parts become one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NoReturn

from pydantic import Field

from validator.base import Frozen, Text
from validator.checks.loading.types import ShardMissing
from validator.config.settings import Gate
from validator.errors import CannotJudgeError, ConfigurationError
from validator.matrix import BASE_FILES, Effect
from validator.text import plain
from validator.upgrade.types import ModelReason
from validator.verdict.acceptances import AcceptanceNote
from validator.verdict.gate import apply_gate, judge_run, with_restored, worst_first
from validator.verdict.judge import verdict_of
from validator.verdict.results import (
    CellResult,
    Confinement,
    EnvironmentResult,
    ModelResult,
    Reason,
    Report,
    Verdict,
)

#: Between the processors of an environment that ran on several machines.
SEPARATOR = " | "


class PlannedCell(Frozen):
    """A cell that a shard judges."""

    cell: str
    model: str
    environment: str
    variant: str
    effect: Effect | None = None
    reproduce: Text = ""


class Part(Frozen):
    """One shard's results, and the whole plan, so that a shard that is missing is known by its cells.

    `checkout` is the commit of the shard's files, and `configuration` its validator.yml from their root,
    `models` the names in it.
    `settings`: a digest of validator.yml as it was read. `report`: of the shard's cells, by its own
    judgement; the gate is applied again once all are together. A cell and its baseline ran on one machine.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    shard: int = Field(ge=1, le=256)
    baseline: str
    settings: str
    gate: Gate
    checkout: str | None = Field(default=None, pattern="^[0-9a-f]{7,64}$")
    configuration: Text = ""
    models: tuple[str, ...] = ()
    shards: tuple[tuple[PlannedCell, ...], ...] = Field(min_length=1, max_length=256)
    report: Report

    @property
    def name(self) -> str:
        """`2/3`."""
        return f"{self.shard}/{len(self.shards)}"

    @property
    def cells(self) -> tuple[PlannedCell, ...]:
        """The cells that it judges."""
        return self.shards[self.shard - 1]

    @property
    def results(self) -> dict[str, CellResult]:
        """Its results, by the id of the cell."""
        return {cell.cell: cell for model in self.report.models for cell in model.cells}


#: What all parts of a run have in common, and what the sentence says where they do not.
_COMMON: dict[str, Callable[[Part], object]] = {
    "the version of keras-validator": lambda part: part.report.tool,
    "the commit": lambda part: (part.report.commit, part.checkout),
    "the settings in validator.yml": lambda part: (part.settings, part.gate, part.report.configuration),
    "the plan": lambda part: (part.shards, part.baseline),
    "the upgrade": lambda part: part.report.upgrade,
}


def merge(parts: Sequence[Part], lost: Mapping[int, str] = MappingProxyType({})) -> Report:
    """One report of all parts; the cells of a shard without one are not compared, and the run inconclusive.

    `lost`: shard → why it left no part, where that is known.

    Raises:
        ConfigurationError: parts are of different runs, or one is there twice.
        CannotJudgeError: there is none, or one contradicts itself or another.
    """
    if not parts:
        raise CannotJudgeError("no shard left a part: see the logs of the jobs that run them")
    parts = sorted(parts, key=lambda part: part.shard)
    _check_common(parts)
    for part in parts:
        _check_own(part)
    first = parts[0].report
    changes = (
        tuple(each for each in first.upgrade.reasons if isinstance(each, ModelReason))
        if first.upgrade
        else ()
    )
    if any(parts[0].shards):
        models = tuple(_models(parts, lost))
        verdict, reasons = judge_run(models, changes)
    else:
        models = ()
        verdict, reasons = judge_unrun(first)
    merged = first.model_copy(
        update={
            "verdict": verdict,
            "reasons": reasons,
            "baseline": parts[0].baseline,
            "environments": _environments(parts),
            "models": models,
            "not_compared": tuple(
                cell.cell for model in models for cell in model.cells if cell.verdict == "not-compared"
            ),
            "started": min(part.report.started for part in parts),
            "seconds": max((part.report.seconds or 0.0 for part in parts), default=None),
            "fetched": tuple({each.address: each for part in parts for each in part.report.fetched}.values()),
            "sandbox": _confinement(parts),
            "acceptances": tuple(_acceptances(parts)),
            "restored": tuple(each for part in parts for each in part.report.restored),
            "cache_notes": tuple(dict.fromkeys(each for part in parts for each in part.report.cache_notes)),
        }
    )
    written = (file for part in parts for each in part.report.reasons for file in each.files)
    return with_restored(merged, tuple(dict.fromkeys(written)))


def _confinement(parts: Sequence[Part]) -> Confinement | None:
    """Whether the code of models was confined on every machine that ran some."""
    ran = [part.report.sandbox for part in parts if part.report.sandbox is not None]
    return next((each for each in ran if each != "on"), ran[0] if ran else None)


def _acceptances(parts: Sequence[Part]) -> Iterator[AcceptanceNote]:
    """What became of acceptances that did not count. One that a shard has no use for, another may have."""
    notes = {note.model_dump_json(): note for part in parts for note in part.report.acceptances}
    accepted = {cell.cell for part in parts for cell in part.results.values() if cell.accepted is not None}
    judged = {cell: part for part in parts for cell in part.results}
    for text, note in notes.items():
        judge = judged.get(note.cell, parts[0])
        reported = {each.model_dump_json() for each in judge.report.acceptances}
        if note.cell not in accepted and text in reported:
            yield note


def judge_unrun(report: Report) -> tuple[Verdict, tuple[Reason, ...]]:
    """The verdict where nothing was run, from what the upgrade's own reasons are."""
    upgrade = report.upgrade
    if upgrade is None:
        return "inconclusive", (Reason(kind="nothing-compared"),)
    if upgrade.undecided:
        return "inconclusive", (Reason(kind="undecided"),)
    if not upgrade.relevant:
        return "pass", (Reason(kind="irrelevant"),)
    return judge_run((), tuple(each for each in upgrade.reasons if isinstance(each, ModelReason)))


def _check_common(parts: Sequence[Part]) -> None:
    first = parts[0]
    for other in parts[1:]:
        if len(other.shards) != len(first.shards):
            raise ConfigurationError(
                f"parts of different runs: shard {first.name} and shard {other.name} do not belong together; "
                "merge the parts of one run alone"
            )
        for what, value in _COMMON.items():
            if value(other) != value(first):
                raise ConfigurationError(
                    f"parts of different runs: {what} of shard {other.name} is not that of shard "
                    f"{first.name}; merge the parts of one run alone"
                )
    twice = [shard for shard, count in Counter(part.shard for part in parts).items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"shard {twice[0]}/{len(first.shards)} is there twice; merge the parts of one run alone"
        )


def _check_own(part: Part) -> None:
    """Refuse a part that says what no shard writes: it was edited, or is not of this tool."""
    if part.shard > len(part.shards):
        _contradicts(part, f"there are {len(part.shards)} shards")
    planned = [cell.cell for shard in part.shards for cell in shard]
    if len(set(planned)) != len(planned):
        _contradicts(part, "its plan has a cell twice")
    results = [(model.name, cell) for model in part.report.models for cell in model.cells]
    if len({cell.cell for _, cell in results}) != len(results):
        _contradicts(part, "it has two results of one cell")
    own = {cell.cell: cell for cell in part.cells}
    for model, result in results:
        cell = own.get(result.cell)
        if cell is None or (cell.model, cell.environment, cell.variant) != (
            model,
            result.environment,
            result.variant,
        ):
            _contradicts(part, f"it has a result of {result.cell!a}, which is not its cell")
        if result.verdict != verdict_of(result.findings):
            _contradicts(part, f"the verdict of {result.cell!a} is not that of its findings")
    lost = [cell for cell in part.cells if cell.cell not in part.results and not _is_joined(cell, part)]
    if lost:
        _contradicts(part, f"it has no result of {lost[0].cell!a}")


def _is_joined(cell: PlannedCell, part: Part) -> bool:
    """Whether a changed model's own effect has no result because it is part of another's."""
    joined = (
        result
        for model in part.report.models
        for result in model.cells
        if model.name == cell.model and result.variant == cell.variant and result.effect == "both"
    )
    return cell.effect == "model" and next(joined, None) is not None


def _contradicts(part: Part, reason: str) -> NoReturn:
    raise CannotJudgeError(f"the part of shard {part.shard} was refused: {reason}; run the shard again")


def _models(parts: Sequence[Part], lost: Mapping[int, str]) -> Iterator[ModelResult]:
    """Every planned cell of every model, in the order of the plan, worst first within a model."""
    results = {id_: cell for part in parts for id_, cell in part.results.items()}
    present = {part.shard for part in parts}
    described = {model.name: model for part in parts for model in part.report.models}
    planned: dict[str, list[CellResult]] = {}
    for number, shard in enumerate(parts[0].shards, start=1):
        for cell in shard:
            if number not in present:
                result = _missing(cell, f"{number}/{len(parts[0].shards)}", lost.get(number, ""))
            elif cell.cell in results:
                result = results[cell.cell]
            else:
                continue
            planned.setdefault(cell.model, []).append(apply_gate(result, parts[0].gate))
    known = [name for name in parts[0].models if name in planned]
    for name in dict.fromkeys((*known, *planned)):
        cells = planned[name]
        model = described.get(name) or ModelResult(name=name, cells=())
        yield model.model_copy(update={"cells": worst_first(cells)})


def _missing(cell: PlannedCell, shard: str, why: str) -> CellResult:
    return CellResult(
        cell=cell.cell,
        environment=cell.environment,
        variant=cell.variant,
        effect=cell.effect,
        verdict="not-compared",
        findings=(ShardMissing(shard=shard, why=plain(why, 600), verdict="not-compared"),),
        reproduce=cell.reproduce,
    )


def _environments(parts: Sequence[Part]) -> tuple[EnvironmentResult, ...]:
    """Every environment once, those of the baseline first; `cpu` names every processor that it ran on."""
    merged: dict[str, EnvironmentResult] = {}
    for part in parts:
        for each in part.report.environments:
            before = merged.get(each.name)
            merged[each.name] = each if before is None else _together(before, each, part)
    names = (parts[0].baseline, BASE_FILES)
    return tuple(
        each.model_copy(update={"role": "baseline" if each.name in names else "candidate"})
        for each in sorted(merged.values(), key=lambda each: each.name not in names)
    )


def _together(before: EnvironmentResult, other: EnvironmentResult, part: Part) -> EnvironmentResult:
    """One environment as two shards had it: with the same packages, or one of them has none."""
    if not (before.packages and other.packages):
        return before if before.packages else other
    moved = sorted(
        name
        for name in before.packages.keys() | other.packages.keys()
        if before.packages.get(name) != other.packages.get(name)
    )
    if moved:
        name = moved[0]
        raise CannotJudgeError(
            f"the environment {other.name!a} of shard {part.name} has {name!a} {other.packages.get(name)!a} "
            f"instead of {before.packages.get(name)!a}: set `install.exclude_newer`, or run all shards again"
        )
    processors = dict.fromkeys((*before.cpu.split(SEPARATOR), other.cpu))
    return before.model_copy(update={"cpu": SEPARATOR.join(filter(None, processors))})

"""Which settings could bring parity back, and the words for those that did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from validator.compare import TensorComparison
from validator.config.settings import ModelSettings, Parity, Precision
from validator.matrix import Cell, Environment, Plan, Variant
from validator.matrix.variants import AS_SAVED, impossible, written
from validator.results import CellResult, CellVerdict, Finding, MetricResult, WayOut

Axis = Literal["precision", "jit", "attention", "setting"]
#: How wide a policy computes. What changed in a wide one is not brought back by a narrower one.
_WIDTHS: dict[str, int] = {
    "float16": 0,
    "bfloat16": 0,
    "mixed_float16": 1,
    "mixed_bfloat16": 1,
    "float32": 2,
    "float64": 3,
}
_AGREE = frozenset({"identical", "rounding", "metric-only"})
#: In the order of what they cost whoever takes them.
_PRECISIONS: tuple[Precision, ...] = ("float32", "mixed_bfloat16", "mixed_float16", "float64")


@dataclass(frozen=True)
class Trial:
    """One setting to try for a cell: the cell under it, which axis it turns, and how it is written down."""

    cell: Cell
    axis: Axis
    value: str
    setting: str


@dataclass(frozen=True)
class Moved:
    """A cell that moved, and what its model turned out to have: the policy and whether it was compiled."""

    cell: Cell
    model: ModelSettings
    policy: str | None
    jit: bool | None


@dataclass(frozen=True)
class Tried:
    """A trial and what came of it.

    Attributes:
        result: the cell under the setting against the baseline under it; None where it was not run.
        reason: why it was not run, or not on both sides.
        effect: for each output, the baseline as saved against the baseline under the setting.
    """

    trial: Trial
    result: CellResult | None = None
    reason: str = ""
    effect: tuple[TensorComparison, ...] = ()


def trials(
    moved: Moved, parity: Parity, plan: Plan, verdicts: Mapping[str, CellVerdict]
) -> tuple[Trial, ...]:
    """The settings to try, cheapest first: cells of the matrix, the model's own settings, jit, precision.

    Each turns one axis of the cell. What either environment cannot run, or what the cell has already, is
    left out; so is the rest of an axis on which the matrix shows a way out already.

    Args:
        moved: the cell.
        parity: what to try.
        plan: the matrix.
        verdicts: of the cells of the matrix, by id.
    """
    sides = plan.environment(moved.cell.environment), plan.environment(plan.baseline)
    found = [trial for trial in _every(moved, parity) if _runs(trial, moved.model, sides)]
    held = [trial for trial in found if trial.cell in plan.cells]
    solved = {trial.axis for trial in held if verdicts.get(trial.cell.id) in _AGREE} - {"setting"}
    rest = [trial for trial in found if trial not in held and trial.axis not in solved]
    return (*held, *rest)


def _runs(trial: Trial, model: ModelSettings, sides: Sequence[Environment]) -> bool:
    return not any(impossible(environment, model, trial.cell.variant) for environment in sides)


def _every(moved: Moved, parity: Parity) -> Iterator[Trial]:
    now = moved.cell.variant
    if now.setting == AS_SAVED:
        for name in moved.model.settings:
            yield _trial(moved, "setting", name, (replace(now, setting=name), Variant(setting=name)))
    for switch in parity.attention:
        if switch not in {AS_SAVED, now.attention}:
            pair = replace(now, attention=switch), Variant(attention=switch)
            yield _trial(moved, "attention", switch, pair)
    for jit in parity.jit:
        if jit not in {AS_SAVED, now.jit} and moved.jit is not (jit == "on"):
            yield _trial(moved, "jit", jit, (replace(now, jit=jit), Variant(jit=jit)))
    for precision in _wider(moved.policy) if parity.precision is None else parity.precision:
        if precision not in {AS_SAVED, now.precision, moved.policy}:
            pair = replace(now, precision=precision), Variant(precision=precision)
            yield _trial(moved, "precision", precision, pair)


def _wider(policy: str | None) -> tuple[Precision, ...]:
    if policy not in _WIDTHS:
        return ()
    return tuple(precision for precision in _PRECISIONS if _WIDTHS[precision] > _WIDTHS[policy])


def _trial(moved: Moved, axis: Axis, value: str, variants: tuple[Variant, Variant]) -> Trial:
    """A trial from the cell's variant with the axis turned, and that axis alone."""
    turned, alone = variants
    return Trial(replace(moved.cell, variant=turned), axis, value, written(moved.model, alone))


def ways_out(result: CellResult, tried: Sequence[Tried]) -> tuple[WayOut, ...]:
    """The trials under which both sides agree, in their order."""
    return tuple(way for one in tried if (way := _way_out(result, one)) is not None)


def _way_out(before: CellResult, tried: Tried) -> WayOut | None:
    result, trial = tried.result, tried.trial
    if result is None or result.verdict not in _AGREE:
        return None
    old, new = _metric(before), _metric(result)
    compared = [one for one in tried.effect if one.compared]
    furthest = max((one.max_abs for one in compared if one.max_abs is not None), default=None)
    counted = [one for one in compared if one.flips is not None and one.rows is not None]
    way = WayOut(
        axis=trial.axis,
        value=trial.value,
        setting=trial.setting,
        cell=trial.cell.id,
        verdict=result.verdict,
        baseline_max_abs=furthest,
        baseline_flips=sum(one.flips or 0 for one in counted) if counted else None,
        baseline_rows=sum(one.rows or 0 for one in counted) if counted else None,
        metric=new.metric if old and new else "",
        metric_before=old.baseline if old and new else None,
        metric_after=new.baseline if old and new else None,
    )
    return way.model_copy(update={"message": _sentence(way)})


def _metric(result: CellResult) -> MetricResult | None:
    return result.accuracy.metrics[0] if result.accuracy and result.accuracy.metrics else None


def placed(found: Mapping[Cell, tuple[WayOut, ...]]) -> dict[Cell, tuple[WayOut, ...]]:
    """The ways out of all cells that moved; where one does not hold for every such cell, it says for which.

    A report tells the ways out of a model together.
    """
    said: dict[Cell, tuple[WayOut, ...]] = {}
    for cell, ways in found.items():
        others = [there for one, there in found.items() if one.model == cell.model and one != cell]
        said[cell] = tuple(
            way
            if all(way.message in {one.message for one in there} for there in others)
            else way.model_copy(update={"message": _sentence(way, _place(cell))})
            for way in ways
        )
    return said


def _place(cell: Cell) -> str:
    return f"{cell.environment} {cell.variant.name}".rstrip()


def _sentence(way: WayOut, place: str = "") -> str:
    """`precision: float32` (verified here: identical; the baseline's accuracy 0.723 → 0.727)."""
    word = "same predictions" if way.verdict == "metric-only" else way.verdict
    where = f"in `{place}`" if place else "here"
    effect = _effect(way)
    return f"`{way.setting}` (verified {where}: {word}{'; ' + effect if effect else ''})"


def _effect(way: WayOut) -> str:
    if way.baseline_max_abs == 0:
        return "the baseline stays as it is"
    if way.metric_before is not None and way.metric_after is not None:
        return f"the baseline's {way.metric} {way.metric_before:.3f} → {way.metric_after:.3f}"
    if way.baseline_flips is not None and way.baseline_rows:
        return f"it moves {way.baseline_flips:,} of {way.baseline_rows:,} arg maxes of the baseline"
    if way.baseline_max_abs is not None:
        return f"it moves the baseline by {way.baseline_max_abs:.2g} at most"
    return ""


def findings(ways: Sequence[WayOut], tried: Sequence[Tried]) -> tuple[Finding, ...]:
    """The ways out, each in a sentence, and one sentence about what was tried in vain or not at all."""
    said = [Finding(kind="way-out", message=way.message) for way in ways]
    out = {way.cell for way in ways}
    vain = [
        f"`{one.trial.setting}` ({one.result.verdict})"
        for one in tried
        if one.result is not None and one.trial.cell.id not in out
    ]
    unrun = [f"`{one.trial.setting}` ({one.reason})" for one in tried if one.result is None]
    parts = [f"no way out: {', '.join(vain)}"] if vain else []
    parts += [f"not tried to the end: {', '.join(unrun)}"] if unrun else []
    if parts:
        said.append(Finding(kind="parity", message="; ".join(parts)))
    return tuple(said)

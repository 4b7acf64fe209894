"""Which settings could restore parity for a cell that moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from validator.checks.protocol import Subject
from validator.checks.workarounds.types import Axis
from validator.config.settings import Precision
from validator.matrix import Cell, Environment, Variant
from validator.matrix.variants import AS_SAVED, impossible, written

#: How wide a policy computes. What changed in a wide one is not restored by a narrower one.
_WIDTHS: dict[str, int] = {
    "float16": 0,
    "bfloat16": 0,
    "mixed_float16": 1,
    "mixed_bfloat16": 1,
    "float32": 2,
    "float64": 3,
}
#: In the order of what they cost whoever takes them.
_PRECISIONS: tuple[Precision, ...] = ("float32", "mixed_bfloat16", "mixed_float16", "float64")


@dataclass(frozen=True)
class Candidate:
    """One setting to run for a cell: the cell under it, the axis it turns, and how it is written down."""

    cell: Cell
    axis: Axis
    value: str
    setting: str


def candidates(subject: Subject, policy: str | None, jit: bool | None) -> tuple[Candidate, ...]:
    """The settings to run, cheapest first: cells of the matrix, the model's own settings, then each axis.

    Each turns one axis of the cell. What either environment cannot run, or what the cell has already, is left
    out.

    Args:
        subject: the cell that moved.
        policy: the dtype policy of the loaded model; None where it has none (a SavedModel).
        jit: whether its prediction is compiled; None where that is not known.
    """
    environments = [subject.plan.environment(cell.environment) for cell in (subject.cell, subject.baseline)]
    possible = [
        candidate for candidate in _every(subject, policy, jit) if _runs(candidate, subject, environments)
    ]
    return tuple(sorted(possible, key=lambda candidate: candidate.cell not in subject.plan.cells))


def _runs(candidate: Candidate, subject: Subject, environments: Sequence[Environment]) -> bool:
    variant = candidate.cell.variant
    return not any(impossible(environment, subject.model, variant) for environment in environments)


def _every(subject: Subject, policy: str | None, jit: bool | None) -> Iterator[Candidate]:
    now, search = subject.cell.variant, subject.settings.parity
    if now.setting == AS_SAVED:
        for name in subject.model.settings:
            yield _candidate(subject, "setting", name, (replace(now, setting=name), Variant(setting=name)))
    for switch in search.attention:
        if switch not in {AS_SAVED, now.attention}:
            turned = replace(now, attention=switch), Variant(attention=switch)
            yield _candidate(subject, "attention", switch, turned)
    for compiled in search.jit:
        if compiled not in {AS_SAVED, now.jit} and jit is not (compiled == "on"):
            yield _candidate(subject, "jit", compiled, (replace(now, jit=compiled), Variant(jit=compiled)))
    for precision in _wider(policy) if search.precision is None else search.precision:
        if precision not in {AS_SAVED, now.precision, policy}:
            turned = replace(now, precision=precision), Variant(precision=precision)
            yield _candidate(subject, "precision", precision, turned)


def _wider(policy: str | None) -> tuple[Precision, ...]:
    if policy not in _WIDTHS:
        return ()
    return tuple(precision for precision in _PRECISIONS if _WIDTHS[precision] > _WIDTHS[policy])


def _candidate(subject: Subject, axis: Axis, value: str, variants: tuple[Variant, Variant]) -> Candidate:
    """A setting: the cell's variant with the axis turned, written down with that axis alone."""
    turned, alone = variants
    return Candidate(replace(subject.cell, variant=turned), axis, value, written(subject.model, alone))

"""Where a series of numbers goes to another level and stays there: a rule that a person can check by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from validator.verdict.bands import StepBand


@dataclass(frozen=True)
class Levels:
    """The levels of a series. `steps`: positions at which a new one begins.

    `pending`: how many of the last values lie outside the level before them, and are too few for a step;
    `low` and `high` are its range.
    """

    steps: tuple[int, ...] = ()
    pending: int = 0
    low: float = 0.0
    high: float = 0.0


def find_levels(values: Sequence[float], band: StepBand) -> Levels:
    """The levels of a series.

    A level ends where `band.after` values in a row lie outside its range, on the same side, by more than the
    width of that range, by `band.share` of its median, and by `band.floor`. A level of fewer than
    `band.before` values ends nowhere. Fewer values outside belong to it: they widen its range, as noise does.
    """
    steps: list[int] = []
    level: list[float] = []
    for at, value in enumerate(values):
        side = _outside(level, value, band)
        following = values[at : at + band.after]
        if side and all(_outside(level, each, band) == side for each in following):
            if len(following) < band.after:
                return Levels(tuple(steps), len(following), min(level), max(level))
            steps.append(at)
            level = []
        level.append(value)
    return Levels(tuple(steps))


def _outside(level: Sequence[float], value: float, band: StepBand) -> int:
    """1 above a level, -1 below it, 0 where it belongs to it or the level is too short to say."""
    if len(level) < band.before:
        return 0
    low, high = min(level), max(level)
    gap = max(high - low, band.floor, band.share * abs(median(level)))
    return 1 if value - high > gap else -1 if low - value > gap else 0

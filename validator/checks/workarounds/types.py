"""The findings of the check `workarounds`: which setting restores parity?"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen
from validator.checks.bands import CellVerdict
from validator.checks.protocol import Comparison, Finding
from validator.failure import Failure

Axis = Literal["precision", "jit", "attention", "setting"]
Side = Literal["baseline", "candidate"]


class Effect(Frozen):
    """How far a setting moves the baseline's own predictions, over all outputs."""

    max_abs: float | None = None
    top1_changes: int | None = None
    rows: int | None = None


class Score(Frozen):
    """The first metric of the model, on the baseline: as saved, and under a setting."""

    metric: str
    before: float | None
    after: float | None


class Trial(Frozen):
    """One setting that was run, and what came of it.

    `verdict` is None where it could not be run on both sides; then `failure` and `failed_side` say why.
    """

    axis: Axis
    value: str = Field(description="Its value on that axis; for `setting` the name of the model's own.")
    setting: str = Field(description="As it is written down: `precision: float32`.")
    cell: str = Field(description="The id of the cell that was run under it.")
    verdict: CellVerdict | None = None
    failure: Failure | None = None
    failed_side: Side | None = None
    effect: Effect | None = None
    score: Score | None = None


class WorkaroundsComparison(Comparison):
    """Every setting that was run for a cell that moved, cheapest first, and how its model was loaded."""

    trials: tuple[Trial, ...] = ()
    policy: str | None = None
    jit: bool | None = None


class Workaround(Finding):
    """A setting under which the candidate agrees with its baseline under the same setting: it was run."""

    check: Literal["workarounds"] = "workarounds"
    kind: Literal["workaround"] = "workaround"
    trial: Trial


class WorkaroundFailed(Finding):
    """A setting under which both sides still differ."""

    check: Literal["workarounds"] = "workarounds"
    kind: Literal["workaround-failed"] = "workaround-failed"
    trial: Trial


class WorkaroundNotRun(Finding):
    """A setting that could not be run on both sides, or that time did not reach."""

    check: Literal["workarounds"] = "workarounds"
    kind: Literal["workaround-not-run"] = "workaround-not-run"
    trial: Trial

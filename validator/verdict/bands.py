"""Every threshold, set and order of verdicts, in one place. docs/verdicts.md has where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from validator.checks.bands import (
    Band,
    Bands,
    CellVerdict,
    LayerBands,
    OutputBands,
    ReportedBands,
    TrainingBands,
)

#: Worst last. `metric-only` stands above `suspicious`: it is certain, and needs a person to look.
SEVERITY: tuple[CellVerdict, ...] = (
    "identical",
    "rounding",
    "suspicious",
    "metric-only",
    "not-compared",
    "changed",
    "failed",
)
#: Verdicts that need no look.
GREEN: frozenset[CellVerdict] = frozenset({"identical", "rounding"})
#: Verdicts that ask where a difference starts, and which setting restores parity.
MOVED: frozenset[CellVerdict] = frozenset({"suspicious", "changed"})

#: Checks whose findings make a cell's verdict.
DECIDING = frozenset({"loading", "structure", "outputs", "accuracy"})
#: Checks with a verdict of their own beside it, and a rule of their name in the gate.
Aside = Literal["decode", "training"]
ASIDE: tuple[Aside, ...] = ("decode", "training")
#: Verdicts of decoding and training that break their rules.
BREAKS: frozenset[CellVerdict] = frozenset({"changed", "failed"})

#: Root mean square of everything together, of training and decoding. Benign pairs stay below 1.4, semantic
#: changes above 4.8.
_OVERALL = Band(2.0, 4.0)

BANDS = Bands(
    outputs=OutputBands(
        # Benign pairs stay below .87 but for one element of five million, at 1.57.
        grains={
            "all": Band(1.25, 2.5),
            "row": Band(1.5, 3.0),
            "column": Band(1.5, 3.0),
            "element": Band(2.0, 4.0),
        },
        places=Band(1.5, 3.0),
        slack=2,
        units=64.0,
        chaos=0.5,
        column_chaos=1.0,  # all of a column is noise: two draws of it are √2 times its spread apart
        unsteady=2.0,
        same=1e-7,  # benign pairs: 4.2e-8 at most
        other=1e-6,  # edited models: 3.9e-6 at least
        part=1e-5,  # of a column, benign: 1.3e-6 at most
    ),
    # Replayed layers measured 0.99 to 1.01 where nothing changed, and 317 where something did.
    layers=LayerBands(diverges=4.0, reached=2.0),
    training=TrainingBands(
        link=_OVERALL,
        tensor=4.0,
        later=4.0,
        same_maths=0.05,
        moment_errors=6.0,
        outliers=6.0,
        double=1e-9,
        batch=1e-3,
        drawn=(5e-4, 3e-3),  # two quantities are looked at
    ),
    decode=_OVERALL,
    # `atol`: float32 knows a mean of numbers around 1 to some 1e-7.
    reported=ReportedBands(rtol=1e-3, atol=1e-6, exact=1e-4, mask=2e-3),
    severity=SEVERITY,
    green=GREEN,
    moved=MOVED,
    growth_errors=2.0,
)

#: How much further than it was measured an accepted drift may go: noise is measured anew in each run, and
#: other kernels make 1.04 times of the same change (docs/acceptances.md). It is less than the factor of 2
#: between the edges of a band, and the class of the verdict is bounded apart.
ACCEPTED_TIMES = 1.5
#: The same of the difference of two numbers that the framework reports: they are exact but for rounding.
ACCEPTED_REPORT = 1.01


@dataclass(frozen=True)
class StepBand:
    """When a number of a history is at another level (`history.steps`, docs/how-to/history.md).

    `before` and `after`: so many runs of a level, and outside it. `share` of the level's median, and `floor`
    in the number's own unit: what a step is at least. Of series of 100 runs of noise, of several kinds, at
    most 3 % have a step (tests/history/test_history.py).
    """

    share: float
    floor: float = 0.0
    before: int = 4
    after: int = 3


#: Of drift ÷ noise: twice as much. Below the band of rounding it counts as that, so that noise is no step.
DRIFT_STEP = StepBand(share=1.0)
#: Of a task metric: 0.91 to 0.90 is one.
METRIC_STEP = StepBand(share=0.01)
#: Of seconds: machines differ by a quarter.
TIME_STEP = StepBand(share=0.25, floor=1.0)

"""What a check is: one question about a cell against its baseline, whole, from what is recorded to findings.

A check `<name>` is the folder `checks/<name>` (ask, read, compare, find, follow up), the folder
`worker/keras_capture/<name>` (records what was asked for) and `report/words/<name>.py` (says what was found).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, Literal, TypeVar

from pydantic import Field, JsonValue

from validator.base import Frozen
from validator.checks.bands import Bands, CellVerdict
from validator.config.settings import ModelSettings, Settings
from validator.failure import Failure
from validator.matrix import Cell, Plan
from validator.runner.captures import Capture


class Finding(Frozen):
    """A statement of a check about a cell, in fields. Subclasses narrow `check` and `kind` to literals.

    `report/words/<check>.py` has the sentence; no module parses one.
    """

    check: str
    kind: str
    verdict: CellVerdict | None = Field(
        default=None, description="What it makes of the cell; null where it is worth knowing, and no more."
    )
    message: str = Field(
        default="",
        description="The same for people, written with report.json. Programs read the other fields.",
    )


class Comparison(Frozen):
    """The numbers of one check: baseline against candidate, no judgement."""


@dataclass(frozen=True)
class Subject:
    """The cell in question, and everything that was decided about it before anything ran.

    Attributes:
        baseline: the cell that it is compared with; the same cell where the subject is a baseline's.
        folder: of the validator.yml, where relative paths start and modules are found.
        labels: the folder of the model's converted labels; None where it has none.
        bands: every threshold.
        inputs: the folder of the model's converted inputs; None where nobody looks at them.
    """

    model: ModelSettings
    cell: Cell
    baseline: Cell
    plan: Plan
    settings: Settings
    folder: Path
    labels: Path | None
    bands: Bands
    inputs: Path | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether the cell is one of the baseline environment."""
        return self.cell == self.baseline

    @property
    def measures_noise(self) -> bool:
        """Whether others are compared with the cell; where its model changed, it has a baseline itself."""
        return self.is_baseline or self.cell.environment == self.plan.baseline

    @property
    def is_about_packages(self) -> bool:
        """Whether packages alone differ between the cell and its baseline, so that they explain it."""
        return self.plan.effect(self.cell) in (None, "packages")


@dataclass(frozen=True)
class OwnJob:
    """A task that gets a job of its own, so that what goes wrong in it costs nothing else.

    Attributes:
        predict: whether the job predicts too, into its own folder.
        precision: loads the model in this precision instead of the cell's.
        inputs, labels: recordings (as in validator.yml) that stand in for the model's.
    """

    predict: bool = False
    precision: str | None = None
    inputs: str | None = None
    labels: str | None = None


@dataclass(frozen=True)
class Task:
    """What the worker shall record for one check in one cell.

    Attributes:
        options: what `keras_capture/<check>` gets.
        recordings: option → a file or function of validator.yml; the option becomes the converted recording.
        own: None for a task beside the cell's predictions.
        baseline_folder: the option that becomes the folder of the baseline's job of the same follow-up
            (`part.option` within an option of options); the job waits for that one, and is lost with it.
    """

    options: Mapping[str, JsonValue] = field(default_factory=dict)
    recordings: Mapping[str, str] = field(default_factory=dict)
    own: OwnJob | None = None
    baseline_folder: str = ""


@dataclass(frozen=True)
class FollowUp:
    """What a later round shall record. Its tasks always get jobs of their own.

    Attributes:
        baseline, candidate: tasks for the two cells.
        cells: further cells, which run on both sides unless the plan has them; the most promising first.
        seconds: wall time of `cells` together; what it does not reach is a failure with the stage `timeout`.
    """

    baseline: Task | None = None
    candidate: Task | None = None
    cells: tuple[Cell, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything captured of one cell. Every capture in it was parsed once.

    Attributes:
        capture: the job with the predictions.
        own: check → the capture of its own job, in any round.
        further: cells of a follow-up → what was captured of them, baseline and candidate.
    """

    cell: Cell
    capture: Capture
    own: Mapping[str, Capture | Failure] = field(default_factory=dict)
    further: Mapping[Cell, tuple[Evidence | Failure, Evidence | Failure]] = field(default_factory=dict)


@dataclass(frozen=True)
class Examined:
    """What one check made of a cell; `comparison` is None where its question did not arise."""

    check: str
    comparison: Comparison | None
    findings: tuple[Finding, ...] = ()


FollowUpRound = Literal["measure", "explain"]
R = TypeVar("R")
C = TypeVar("C", bound=Comparison)
_C = TypeVar("_C", bound=Comparison)


@dataclass(frozen=True)
class Earlier:
    """What the checks before made of the same cell, in the order of the registry."""

    examined: tuple[Examined, ...] = ()

    def comparison(self, kind: type[_C]) -> _C | None:
        """The comparison of one check, by its type."""
        return next((part.comparison for part in self.examined if isinstance(part.comparison, kind)), None)

    def findings(self, check: str) -> tuple[Finding, ...]:
        """The findings of one check."""
        return tuple(finding for part in self.examined if part.check == check for finding in part.findings)


class Check(ABC, Generic[R, C]):
    """One question about a cell against its baseline.

    Attributes:
        name: the folder's name, here, in the worker and in `report/words`.
        comparison: the type of its numbers.
        findings: every type of finding it makes.
        follows: the round of its follow-up. In `measure` the verdict itself is measured: checks behind it in
            the registry, and every follow-up of the round `explain`, wait for that.
    """

    name: ClassVar[str]
    follows: ClassVar[FollowUpRound] = "explain"
    comparison: type[C]
    findings: ClassVar[tuple[type[Finding], ...]]

    def ask(self, subject: Subject) -> Task | None:
        """What the worker shall record of every cell; None where the question does not arise."""
        return None

    @abstractmethod
    def read(self, evidence: Evidence) -> R:
        """Captures → typed evidence. What is broken is a value in it, never an exception."""

    @abstractmethod
    def compare(self, subject: Subject, baseline: R, candidate: R, earlier: Earlier) -> C | None:
        """Numbers only; None where there is nothing to compare."""

    @abstractmethod
    def find(self, comparison: C, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """Numbers and bands → typed findings."""

    def follow_up(
        self, subject: Subject, comparison: C, findings: Sequence[Finding], earlier: Earlier
    ) -> FollowUp | None:
        """What a later round shall record; None where that is known already."""
        return None

    def examine(
        self, subject: Subject, baseline: Evidence, candidate: Evidence, bands: Bands, earlier: Earlier
    ) -> Examined:
        """Read both sides, compare them, and find what there is to find."""
        compared = self.compare(subject, self.read(baseline), self.read(candidate), earlier)
        findings = () if compared is None else self.find(compared, bands, earlier)
        return Examined(self.name, compared, findings)

    def more(self, subject: Subject, examined: Examined, earlier: Earlier) -> FollowUp | None:
        """`follow_up` for what `examine` gave."""
        if not isinstance(examined.comparison, self.comparison):
            return None
        return self.follow_up(subject, examined.comparison, examined.findings, earlier)

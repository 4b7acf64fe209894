"""What an accepted change is: the entries of keras-acceptances.yml, and what became of each in a run."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from validator.base import Finite, Frozen, Text
from validator.checks.bands import CellVerdict

#: `3.3.3 -> 3.5.0`; `none` where a side lacks the package.
Move = Annotated[str, Field(pattern=r"^\S+ -> \S+$", max_length=200)]
#: What is measured of a finding. `drift`: drift ÷ noise, as the verdict has it. `max_abs`: where there is no
#: noise. `elements`: how many values differ. `difference`: of a number that the framework reports.
Measure = Literal["drift", "max_abs", "elements", "difference"]
MEASURES: tuple[Measure, ...] = ("drift", "max_abs", "elements", "difference")


class AcceptedFinding(Frozen):
    """What differs: the digest of a finding without what depends on the machine, and how far it may go."""

    check: str = Field(description="The check that has the finding.")
    kind: str = Field(description="The rule that decided about an output, what differs at a layer, …")
    of: tuple[str, ...] = Field(default=(), description="Outputs, layers or metrics that it is about.")
    verdict: CellVerdict | None = Field(default=None, description="The worst verdict that it may have.")
    drift: float | None = Field(default=None, ge=0, description="The largest drift ÷ noise.")
    max_abs: float | None = Field(default=None, ge=0, description="The largest absolute difference.")
    elements: int | None = Field(default=None, ge=0, description="The most values that differ.")
    difference: float | None = Field(
        default=None, ge=0, description="The largest difference of a number that the framework reports."
    )

    @property
    def measures(self) -> dict[Measure, float]:
        """The measures that it has."""
        values: dict[Measure, float | None] = {name: getattr(self, name) for name in MEASURES}
        return {name: value for name, value in values.items() if value is not None}


class Proposal(Frozen):
    """Whatever an acceptance of a cell holds to, as a run has measured it, with margins."""

    cell: str = Field(min_length=1, description="Id of the cell.")
    model: str = Field(min_length=1, description="Name of the model.")
    packages: dict[str, Move] = Field(
        min_length=1,
        description="The upgrade: packages that can move numbers, `old -> new`. `tensorflow` stands for its "
        "builds (tensorflow-cpu, …); `python`, `backend` and `module` where they differ.",
    )
    verdict: CellVerdict = Field(description="The worst verdict that the cell may have.")
    findings: tuple[AcceptedFinding, ...] = Field(min_length=1, description="All that may differ.")
    metrics: dict[str, float] = Field(
        default={}, description="By how much each metric may be worse than in the baseline."
    )

    @model_validator(mode="after")
    def _of_model(self) -> Proposal:
        if self.cell.partition("@")[0] != self.model:
            raise ValueError(f"cell {self.cell!r} is not one of model {self.model!r}; accept the cell again")
        return self


class Acceptance(Proposal):
    """A known change that somebody has accepted."""

    reason: str = Field(min_length=1, max_length=500, description="Why the change is right.")
    by: str = Field(min_length=1, max_length=120, description="Who accepted it.")
    created: date = Field(description="When.")
    until: date | None = Field(default=None, description="The last day on which it holds. Default: no end.")

    @field_validator("reason", "by", mode="before")
    @classmethod
    def _filled_in(cls, value: object, info: ValidationInfo) -> object:
        if value is None or not any(map(str.isalnum, str(value))):
            says = "why the change is right" if info.field_name == "reason" else "who accepts it"
            raise ValueError(f"{info.field_name!r} is empty: say {says}")
        return value

    @property
    def target(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What it is about: the cell and the upgrade."""
        return self.cell, tuple(sorted(self.packages.items()))


class Acceptances(Frozen):
    """A keras-acceptances.yml."""

    version: Literal[1] = Field(description="Version of this file format.")
    acceptances: Annotated[tuple[Acceptance, ...], BeforeValidator(lambda value: value or ())] = ()

    @field_validator("acceptances")
    @classmethod
    def _once(cls, entries: tuple[Acceptance, ...]) -> tuple[Acceptance, ...]:
        targets = [entry.target for entry in entries]
        twice = next((entry for entry in entries if targets.count(entry.target) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice.cell!r} is accepted twice for the same upgrade; remove either entry")
        return entries


class Accepted(Frozen):
    """Who accepted a cell's result, and why. The gate does not fail for it."""

    reason: Text
    by: Text
    created: date
    until: date | None = None
    adds: Literal["added", "changed"] | None = Field(
        default=None, description="Whether the compared commits themselves add the acceptance, or change it."
    )


class Miss(Frozen):
    """One way in which a result is not what was accepted.

    `verdict`: a worse one. `finding`: another. `measure`, `metric`: beyond its bound. `gone`: what was
    accepted was not measured. `refused`: there is no result that could be accepted.
    """

    kind: Literal["verdict", "finding", "measure", "metric", "gone", "refused"]
    what: Text = ""
    measure: Measure | None = None
    measured: Finite | None = None
    bound: float | None = None


class AcceptanceNote(Frozen):
    """An acceptance that did not count in this run.

    `expired`. `exceeded`: the result is not what was accepted. `other-upgrade`: it is of other packages.
    `unused`: the cell needs none. `unknown-model`: validator.yml has no such model.
    """

    kind: Literal["expired", "exceeded", "other-upgrade", "unused", "unknown-model"]
    cell: str
    packages: dict[str, Move]
    by: Text
    until: date | None = None
    misses: tuple[Miss, ...] = ()
    message: str = Field(default="", description="The same for people, written with report.json.")

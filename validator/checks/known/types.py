"""The findings of the check `known`: is it a known change of Keras?"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen
from validator.checks.protocol import Comparison, Finding


class KnownChange(Frozen):
    """A change of the catalogue that explains a cell. Its other fields are those of the catalogue's entry."""

    change: str = Field(description="Its number in the catalogue: docs/known-changes.md.")
    title: str
    since: str = Field(description="The first release that behaves so.")
    fixed: str | None = Field(default=None, description="The first release that no longer does.")
    link: str
    sure: Literal["traced", "likely", "possible"] = Field(
        description="`traced`: a search for the origin ended there. `likely`: no other fits as well."
    )
    why: tuple[str, ...] = Field(description="What it has in common with the cell.")
    layers: tuple[str, ...] = Field(default=(), description="Where it is seen.")
    ended: bool = Field(default=False, description="The baseline behaves so, and the candidate no longer.")


class Exposure(Frozen):
    """Changes between the two releases that can reach the model, by their numbers, and what came of each."""

    baseline: str
    candidate: str
    seen: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = Field(
        default=(), description="The recorded inputs and the checks of this run exercise it; nothing differs."
    )
    unclear: tuple[str, ...] = Field(
        default=(), description="Exercised, and the cell differs in what it shows in: it may have taken part."
    )
    not_exercised: tuple[str, ...] = Field(
        default=(),
        description="The inputs cannot show it, nobody could look at them, or this run did not check it.",
    )

    @property
    def every(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.seen, *self.without_effect, *self.unclear, *self.not_exercised)


class KnownComparison(Comparison):
    """The known changes that explain the cell, the best first, and those that could concern its model."""

    matches: tuple[KnownChange, ...] = ()
    exposure: Exposure | None = None


class KnownChangeFinding(Finding):
    """What was found is a known change."""

    check: Literal["known"] = "known"
    kind: Literal["known-change"] = "known-change"
    known: KnownChange


class KnownWorkaround(Finding):
    """What to do about a known change, which was not run here; nothing about one that the upgrade ends."""

    check: Literal["known"] = "known"
    kind: Literal["known-workaround"] = "known-workaround"
    change: str
    text: str
    code: str
    ended: bool = False


class KnownExposure(Finding):
    """How many known changes could concern the model."""

    check: Literal["known"] = "known"
    kind: Literal["known-exposure"] = "known-exposure"
    exposure: Exposure

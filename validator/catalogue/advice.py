"""Which known changes between two releases can reach a model, and which of them inputs cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from validator.catalogue.adequacy import Adequacy
from validator.catalogue.api import GoneName, gone_names
from validator.catalogue.description import Description
from validator.catalogue.reach import Reached, ReleasePair, known_changes


@dataclass(frozen=True)
class SourceFile:
    """One file of the model's own code: its name, and its text."""

    name: str
    text: str


@dataclass(frozen=True)
class Advice:
    """What an upgrade can do to a model, before anything runs.

    Attributes:
        pair: the releases before and after.
        model: what is known of the model.
        reached: changes that can reach it.
        inputs: what recorded inputs hold; None where none were given.
        gone: names of `keras` that the model's code uses, and the newer release does not have.
    """

    pair: ReleasePair
    model: Description
    reached: tuple[Reached, ...]
    inputs: Adequacy | None = None
    gone: tuple[GoneName, ...] = ()


def advise(
    model: Description, pair: ReleasePair, inputs: Adequacy | None = None, sources: Sequence[SourceFile] = ()
) -> Advice:
    """Look a model up in the catalogue; nothing is loaded or run."""
    gone = [name for source in sources for name in gone_names(source.text, source.name, pair)]
    return Advice(pair, model, tuple(known_changes(model, pair)), inputs, tuple(gone))

"""What a case of the corpus is: a model, two environments, and the answer that is known beforehand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from validator.config.settings import Precision

Split = Literal["dev", "held-out"]
#: How a change shows: in the predictions, in what the framework reports, as a failure, in a prediction that
#: differs from one time to the next, in training alone, or in the structure alone, where the recorded inputs
#: do not show it.
Shows = Literal["predictions", "metric", "feeding", "failure", "nondeterminism", "training", "structure"]
FirstKind = Literal["value", "dtype", "mask", "structure"]
#: One case in so many is held out.
_HELD_OUT = 3


@dataclass(frozen=True)
class Pair:
    """The two environments of a case."""

    baseline: str
    candidate: str

    @property
    def name(self) -> str:
        """Both of them."""
        return f"{self.baseline} → {self.candidate}"


@dataclass(frozen=True)
class Model:
    """One model: a builder of `models/`, and what it is fed. Cases of several pairs may share it.

    `settings`: more of validator.yml. `saved`: what is compared is a file that the baseline's Keras saved.
    """

    name: str
    builder: str
    inputs: str
    arguments: tuple[tuple[str, str | bool | float], ...] = ()
    labels: str | None = None
    precision: Precision = "as-saved"
    settings: tuple[tuple[str, JsonValue], ...] = ()
    saved: bool = False


@dataclass(frozen=True)
class Change:
    """A known change.

    Attributes:
        shows: what it shows in.
        layer: where it begins; empty where no layer is to blame.
        kinds: the kinds of first difference that are right. Where a setting of a layer is edited, both the
            setting (`structure`) and what it does (`value`) are.
        precision: True for lost digits, False for another computation, None where neither would be wrong.
    """

    shows: Shows = "predictions"
    layer: str = ""
    kinds: frozenset[FirstKind] = frozenset()
    precision: bool | None = None


@dataclass(frozen=True)
class Case:
    """One case. `change` is None where nothing but rounding may differ; `source` says how that is known."""

    model: Model
    pair: Pair
    change: Change | None
    source: str

    @property
    def id(self) -> str:
        """Model and environments."""
        return f"{self.model.name}: {self.pair.name}"

    @property
    def split(self) -> Split:
        """Held out or not, by a hash of the id: nobody chooses."""
        return split_of(self.id)


def split_of(identity: str) -> Split:
    """The split of an id."""
    digest = hashlib.sha256(identity.encode()).digest()
    return "held-out" if digest[0] % _HELD_OUT == 0 else "dev"

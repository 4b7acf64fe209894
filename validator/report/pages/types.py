"""What a page of the HTML report is made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import JsonValue

from validator.checks.bands import CellVerdict
from validator.report.content import Row
from validator.report.document import Block
from validator.report.phrases import Words
from validator.text import plain


@dataclass(frozen=True)
class Picture:
    """Data that the script draws.

    Attributes:
        kind: what draws it: a module of `web/source/pictures`.
        title: what is drawn, above it.
        label: its result in a sentence, for whoever does not see it.
        data: as the script reads it; every text in it was cleaned by `text`.
        wide: whether it takes the whole width.
    """

    kind: str
    title: Words
    label: Words
    data: dict[str, JsonValue]
    wide: bool = False


@dataclass(frozen=True)
class Continuation:
    """Two texts that are the same up to where they diverge."""

    prompt: str
    common: str
    baseline: str
    candidate: str


@dataclass(frozen=True)
class Release:
    """One release in the row of releases: how it behaves, as a word and as a class of the style sheet."""

    version: str
    like: str
    word: str


@dataclass(frozen=True)
class ReleaseRow:
    """Releases by behaviour, oldest first."""

    releases: tuple[Release, ...]


Part = Block | Picture | Continuation | ReleaseRow


@dataclass(frozen=True)
class CellSection:
    """One question about a cell.

    Attributes:
        key: the end of its link: `#llama@keras-3.5.0/layers`.
        title: its heading.
        answer: the answer in a few words, for the contents list; may be empty.
        lead: the answer in sentences.
        parts: tables and pictures.
    """

    key: str
    title: str
    answer: str
    lead: tuple[Words, ...]
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A verdict as a shape: never by its colour alone."""

    verdict: CellVerdict
    shape: str
    word: str


@dataclass(frozen=True)
class CellPage:
    """A page. `position`: its number, worst first; `before` and `after`: the neighbours' ids."""

    id: str
    row: Row
    mark: Mark
    title: Words
    summary: tuple[Words, ...]
    do: tuple[tuple[Words, Words], ...]
    sections: tuple[CellSection, ...]
    position: int = 0
    total: int = 0
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class MatrixCell:
    """A cell in the matrix; `quiet` where it is unchanged."""

    id: str
    mark: Mark
    number: str
    note: str
    quiet: bool
    label: str


@dataclass(frozen=True)
class MatrixRow:
    """A model, or a variant of it, in every environment; None where there is no such cell."""

    model: str
    variant: str
    cells: tuple[MatrixCell | None, ...]
    quiet: bool


@dataclass(frozen=True)
class CellMatrix:
    """Models by environments."""

    environments: tuple[tuple[str, str], ...]
    rows: tuple[MatrixRow, ...]


@dataclass(frozen=True)
class ReasonLine:
    """One model under a reason: its cells, and the drift of the worst as a place on the axis (percent)."""

    model: str
    links: tuple[tuple[str, str], ...]
    more: int
    place: float | None
    ratio: str
    numbers: tuple[tuple[str, Words], ...]


@dataclass(frozen=True)
class ReasonGroup:
    """Cells that changed for one reason."""

    mark: Mark
    title: Words
    text: tuple[Words, ...]
    count: str
    lines: tuple[ReasonLine, ...]


@dataclass(frozen=True)
class Overview:
    """The first page."""

    matrix: CellMatrix
    reasons: tuple[ReasonGroup, ...]
    counts: tuple[tuple[Mark, int], ...]
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass
class Ids:
    """Names of cells as parts of a link, each once."""

    taken: set[str] = field(default_factory=set)

    def make(self, name: str) -> str:
        """`llama@keras-3.5.0`; what has no place in a link becomes a hyphen."""
        short = re.sub(r"[^\w.@+=-]+", "-", plain(name, 120), flags=re.ASCII).strip("-") or "cell"
        unique, count = short, 1
        while unique in self.taken:
            count += 1
            unique = f"{short}-{count}"
        self.taken.add(unique)
        return unique


def clean(value: str, limit: int = 80) -> str:
    """A text of others for the script."""
    return plain(value, limit)


def cleaned(values: Iterable[str], limit: int = 80) -> list[JsonValue]:
    """Texts of others for the script."""
    return [plain(value, limit) for value in values]

"""Sentences as tuples of pieces: a name looks different in each place, and is escaped where it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

PieceKind = Literal["text", "name", "strong", "link", "mark"]


@dataclass(frozen=True)
class Piece:
    """A stretch of a sentence. `url` is set for links only, and is one that the tool made.

    The text of a mark is a state: `good`, `warn`, `bad` or `unknown`.
    """

    text: str
    kind: PieceKind = "text"
    url: str = ""


Words = tuple[Piece, ...]


def words(*parts: str | Piece | Words) -> Words:
    """Put pieces together: a plain string is running text."""
    pieces: list[Piece] = []
    for part in parts:
        if isinstance(part, str):
            pieces += [Piece(part)] if part else []
        else:
            pieces += [part] if isinstance(part, Piece) else part
    return tuple(pieces)


def name(value: str) -> Piece:
    """A piece that names something: a model, an output, a package, a setting."""
    return Piece(value, "name")


def with_names(text: str) -> Words:
    """A text in which backticks mark names."""
    return words(*(name(part) if at % 2 else part for at, part in enumerate(text.split("`"))))


def strong(value: str) -> Piece:
    """A piece that the eye should meet first."""
    return Piece(value, "strong")


def keras_link(number: int, repository: str = "keras-team/keras") -> Piece:
    """A known issue or pull request. It goes through GitHub's redirector, as Dependabot's links do, so that a
    comment in every user's repository is not listed in the thread it points to."""
    owner, _, short = repository.partition("/")
    label = short if owner == "keras-team" else repository
    return Piece(f"{label}#{number}", "link", f"https://redirect.github.com/{repository}/issues/{number}")


def unmarked(pieces: Iterable[Piece]) -> str:
    """The words alone."""
    return "".join(piece.text for piece in pieces)


def listed(items: Sequence[Piece], most: int = 4, total: int = 0) -> Words:
    """`a, b and c`, or `a, b, c and 12 more`; `total`: how many there are, where not all are known."""
    total = max(total, len(items))
    kept = (
        [*items[: most - 1], Piece(f"{total - len(items[: most - 1]):,} more")] if total > most else [*items]
    )
    return words(joined([(item,) for item in kept[:-1]], ", "), " and " if kept[1:] else "", *kept[-1:])


def joined(parts: Sequence[Words], between: str) -> Words:
    """Words in a row, with the same text between each two."""
    return words(*(words(between, part) for part in parts))[1:]


def sentence(pieces: Words) -> Words:
    """The words as a sentence: a capital in front, unless a name stands there, and a full stop at the end."""
    first, *rest = pieces or (Piece(""),)
    if first.kind in ("text", "strong"):
        first = replace(first, text=first.text[:1].upper() + first.text[1:])
    ended = unmarked(pieces).rstrip().endswith((".", "!", "?", "…"))
    return (first, *rest) if ended else (first, *rest, Piece("."))


def plural(count: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `1,024 cells`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

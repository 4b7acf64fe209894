"""Markdown made of escaped pieces: words, titles and tables.

Every name, message and log in a report is somebody else's text and is escaped here, piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from validator.report import wording
from validator.report.wording import Words
from validator.text import html_text, markdown_code, markdown_text

NAME, TEXT = 80, 300


class Markdown(str):
    """Text that is already Markdown, made here from escaped parts."""

    __slots__ = ()


def markdown(words: Words) -> Markdown:
    """Words as inline Markdown."""
    return Markdown("".join(_piece(piece) for piece in words))


def _piece(piece: wording.Piece) -> str:
    match piece.kind:
        case "name":
            return markdown_code(piece.text, NAME)
        case "strong":
            return f"**{markdown_text(piece.text.strip(), TEXT)}**" if piece.text.strip() else ""
        case "link":
            return f"[{markdown_text(piece.text, NAME)}]({piece.url})"
        case "text":
            return _spaced(piece.text)


def _spaced(text: str) -> str:
    """Escaped text that keeps the spaces between it and its neighbours."""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    return f"{before}{markdown_text(text, TEXT)}{after}"


def title(words: Words) -> Markdown:
    """The words of a `<summary>`, where Markdown is not read."""
    return Markdown("".join(_title_piece(piece) for piece in words))


def _title_piece(piece: wording.Piece) -> str:
    shown = html_text(piece.text, NAME if piece.kind == "name" else TEXT)
    if piece.kind == "name":
        return f"<code>{shown or wording.NONE}</code>"
    before = " " if piece.text[:1].isspace() else ""
    return f"{before}{shown}{' ' if piece.text[-1:].isspace() and piece.text.strip() else ''}"


def table(heads: Sequence[tuple[str, str]], body: Iterable[Sequence[str]]) -> Markdown:
    """A table. `heads` are headings with their alignment row; cells are Markdown without line ends."""
    lines = [[head for head, _ in heads], [rule for _, rule in heads], *body]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))

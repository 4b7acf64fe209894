"""A report before anyone decides how it looks: blocks of words, which every form renders in its own way."""

from __future__ import annotations

from dataclasses import dataclass, replace

from validator.report.phrases import Words


@dataclass(frozen=True)
class Entry:
    """One entry of a table: words, and below them words in small."""

    words: Words
    small: Words = ()


@dataclass(frozen=True)
class Heading:
    """The head of a column; numbers are set to the right."""

    text: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table; every row has an entry for every heading.

    Attributes:
        priority: row numbers, the most telling first; a shortened table keeps these, in the table's order.
            Rows that are not in it come last.
        hidden: how many rows were left out.
    """

    headings: tuple[Heading, ...]
    rows: tuple[tuple[Entry, ...], ...]
    priority: tuple[int, ...] = ()
    hidden: int = 0


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    words: Words


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[Words, ...]
    hidden: int = 0


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is: a command, the end of a log, a diff."""

    text: str
    language: str = "text"


@dataclass(frozen=True)
class Fold:
    """Blocks under a title, folded away where the form can do that."""

    title: Words
    blocks: tuple[Block, ...]


Block = Table | Paragraph | Bullets | Code | Fold


def shortened(block: Block, rows: int, items: int) -> Block:
    """The block with at most so many rows in each table and so many items in each list."""
    if isinstance(block, Fold):
        return replace(block, blocks=tuple(shortened(inner, rows, items) for inner in block.blocks))
    if isinstance(block, Bullets) and len(block.items) > items:
        return replace(block, items=block.items[:items], hidden=block.hidden + len(block.items) - items)
    if isinstance(block, Table) and len(block.rows) > rows:
        order = dict.fromkeys((*block.priority, *range(len(block.rows))))
        kept = sorted(list(order)[:rows])
        hidden = block.hidden + len(block.rows) - rows
        return replace(block, rows=tuple(block.rows[at] for at in kept), priority=(), hidden=hidden)
    return block

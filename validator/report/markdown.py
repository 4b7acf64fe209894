"""The pull-request comment and the job summary: the same outline, as full as the budget allows.

Every name, message and log in a report is somebody else's text and is escaped here, piece by piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from validator.errors import ConfigurationError
from validator.report.content import Content
from validator.report.document import Block, Bullets, Code, Entry, Fold, Heading, Paragraph, Table
from validator.report.outline import Detail, Outline, Section, outline
from validator.report.phrases import Piece, Words
from validator.report.reproduce import CodeSource
from validator.report.words import WordsByCheck, registered_words
from validator.report.words.run import counted
from validator.text import fence, html_code, html_text, markdown_code, markdown_text
from validator.verdict.results import Report

__all__ = ["LADDER", "SMALLEST_BUDGET", "Links", "comment", "summary"]

SMALLEST_BUDGET = 4000
SUMMARY_BYTES = 1_000_000  # GitHub drops a summary of more than 1 MiB, and fails the step
ICONS: dict[str, str] = {"good": "✅", "warn": "⚠️", "bad": "❌", "unknown": "❓"}
NAME, TEXT, CODE = 80, 600, 20_000
_URL = re.compile(r"https?://[\w.:\[\]-]+(/[\w./~%?=&#+:@,-]*)?", re.ASCII)

#: From full to the barest; after the last step only counts are left.
LADDER = (
    Detail(),
    Detail(cells=8, rows=12),
    Detail(passing=False, cells=6, rows=12, log=2000),
    Detail(passing=False, lines=100, cells=3, rows=12, log=1000, items=20),
    Detail(passing=False, lines=40, cells=2, rows=12, log=500, items=10),
    Detail(passing=False, lines=15, cells=1, rows=6, log=0, items=6),
    Detail(passing=False, lines=5, cells=0, log=0, items=2),
)


@dataclass(frozen=True)
class Links:
    """Where a reader finds more, and the code. Empty, or an http(s) address."""

    report: str = ""
    run: str = ""
    source: CodeSource | None = None


def comment(
    report: Report,
    *,
    budget: int = 60_000,
    instance: str = "default",
    links: Links | None = None,
    checks: WordsByCheck | None = None,
) -> str:
    """The comment, its hidden marker first, in at most `budget` UTF-16 units (what GitHub may count).

    It is shortened in whole steps and never cut: passing rows go first, then all but the worst, then
    everything but the counts.

    Raises:
        ConfigurationError: the instance cannot stand in a marker, or the budget is below `SMALLEST_BUDGET`.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", instance):
        raise ConfigurationError(
            f"instance {instance!r}: use letters, digits, '.', '_' and '-' only, 80 at most; "
            "it tells the comments of several workflows apart"
        )
    if budget < SMALLEST_BUDGET:
        raise ConfigurationError(
            f"budget {budget}: a comment needs {SMALLEST_BUDGET:,} characters; GitHub allows 65,536"
        )
    marker = f"<!-- keras-validator:{instance} -->\n"
    # How long it took differs each time, and a comment that says the same is not to be written again.
    content = Content(report.model_copy(update={"seconds": None}), checks or registered_words())
    return marker + _fullest(content, links or Links(), budget - len(marker), _utf16_units)


def summary(
    report: Report,
    *,
    budget: int = SUMMARY_BYTES,
    links: Links | None = None,
    checks: WordsByCheck | None = None,
) -> str:
    """The job summary: the same without a marker, in at most `budget` bytes of UTF-8."""
    content = Content(report, checks or registered_words())
    return _fullest(content, links or Links(), budget, lambda body: len(body.encode()))


def _utf16_units(body: str) -> int:
    return len(body) + sum(letter > "\uffff" for letter in body)


def _fullest(content: Content, links: Links, budget: int, size: Callable[[str], int]) -> str:
    report, run = (url if _URL.fullmatch(url) else "" for url in (links.report, links.run))
    links = Links(report, run, links.source)
    for detail in LADDER:
        page = outline(content, detail, links.source)
        body = _joined([*_parts(page), _footer(page, links)])
        if size(body) <= budget:
            return body
    linked = "; the full report is linked below" if links.report or links.run else ""
    counts = f"{markdown_text(counted(content), TEXT)}. The cells are too many for this comment{linked}."
    body = _joined([_headline(page), counts, _footer(page, links)])
    if size(body) > budget:
        raise ConfigurationError(f"budget {budget}: a report needs {SMALLEST_BUDGET:,} characters")
    return body


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _headline(page: Outline) -> str:
    return f"### {page.icon} {inline(page.headline)}"


def _parts(page: Outline) -> Iterator[str]:
    yield _headline(page)
    warning = "> [!WARNING]\n> " if page.content.report.verdict == "inconclusive" else ""
    yield from (warning + inline(paragraph) for paragraph in page.summary)
    if page.table is not None:
        yield from render(page.table)
        yield f"<sub>{inline(page.legend)}</sub>" if page.legend else ""
    for section in page.sections:
        yield from _section(section)


def _footer(page: Outline, links: Links) -> str:
    *facts, tool = (inline(part) for part in page.footer)
    facts += [f"[full report]({links.report})"] if links.report else []
    facts += [f"[log]({links.run})"] if links.run else []
    return f"<sub>{' · '.join([*facts, tool])}</sub>"


def _section(section: Section) -> Iterator[str]:
    blocks = [part for block in section.blocks for part in render(block)]
    if section.kind in ("why", "do"):
        yield f"**{_bold(section.title)}**"
        yield from blocks
    elif not blocks:
        yield inline(section.title)
    else:
        opened = section.kind == "failures" and len(blocks) <= 2  # a failure and its log
        yield from _folded(section.title, blocks, opened=opened)


def _folded(words: Words, blocks: Iterable[str], *, opened: bool = False) -> Iterator[str]:
    yield f"<details{' open' if opened else ''}><summary>{title(words)}</summary>"
    yield from blocks
    yield "</details>"


def render(block: Block) -> Iterator[str]:
    """A block as parts that an empty line separates."""
    match block:
        case Paragraph(text):
            yield inline(text)
        case Code(text, language):
            yield fence(text, CODE, language)
        case Bullets(items, hidden):
            more = [f"- {hidden:,} more"] if hidden else []
            yield "\n".join([*(f"- {inline(item)}" for item in items), *more])
        case Fold(text, blocks):
            yield from _folded(text, [part for inner in blocks for part in render(inner)])
        case Table(headings, rows, _, hidden):
            heads = [markdown_text(head.text, NAME) for head in headings]
            rules = ["--:" if head.numeric else "---" for head in headings]
            body = ([_entry(*each) for each in zip(row, headings, strict=True)] for row in rows)
            yield "\n".join(f"| {' | '.join(row)} |" for row in (heads, rules, *body))
            if hidden:
                yield f"{hidden:,} more rows are in the full report."


def _entry(entry: Entry, heading: Heading) -> str:
    text = inline(entry.words)
    if heading.numeric:  # `0.613 → 0.341` is not to be broken behind the arrow
        text = re.sub("([→=]) ", r"\1&nbsp;", text)
    return f"{text}<br><sub>{inline(entry.small)}</sub>" if entry.small else text


def inline(pieces: Iterable[Piece]) -> str:
    """Words as inline Markdown."""
    text = ""
    for part in map(_piece, pieces):
        # Two stretches of code side by side would be read as one.
        text += "<b></b>" * (text.endswith("`") and part.startswith("`")) + part
    return text


def _piece(piece: Piece) -> str:
    match piece.kind:
        case "name":
            return markdown_code(piece.text, NAME)
        case "strong":
            return f"**{markdown_text(piece.text.strip(), TEXT)}**" if piece.text.strip() else ""
        case "link":
            return f"[{markdown_text(piece.text, NAME, in_link=True)}]({piece.url})"
        case "mark":
            return ICONS[piece.text]
        case "text":
            return _spaced(piece.text, markdown_text(piece.text, TEXT))


def _bold(pieces: Words) -> str:
    """Words inside `**…**`, which names do not end."""
    return inline(replace(piece, kind="text") if piece.kind == "strong" else piece for piece in pieces)


def title(pieces: Words) -> str:
    """The words of a `<summary>`, where Markdown is not read."""
    return "".join(
        html_code(piece.text, NAME)
        if piece.kind == "name"
        else _spaced(piece.text, html_text(piece.text, TEXT))
        for piece in pieces
    )


def _spaced(text: str, escaped: str) -> str:
    """Escaped text that keeps the spaces between it and its neighbours."""
    before = " " if text[:1].isspace() else ""
    return f"{before}{escaped}{' ' if text[-1:].isspace() and text.strip() else ''}"

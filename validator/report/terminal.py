"""The report on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from validator.history import HistoryRun
from validator.origin.types import Origin
from validator.report import document
from validator.report.content import Content
from validator.report.figures import trendline
from validator.report.history import history_parts
from validator.report.outline import Detail, Outline, Section, outline
from validator.report.phrases import Words, joined, sentence, words
from validator.report.words import WordsByCheck, registered_words
from validator.report.words import history as trend
from validator.report.words import origin as where
from validator.report.words.run import counted, folded_cells
from validator.text import multiline, plain
from validator.verdict.results import Report, Verdict

LIMIT = 400
WIDE = 120
MOST_ITEMS = 6
MOST_GREEN = 3
MOST_DRAWN, MOST_STEPS = 40, 3
MARKS: dict[str, Text] = {
    "good": Text("✓", "green"),
    "warn": Text("!", "yellow"),
    "bad": Text("✗", "red"),
    "unknown": Text("?", "magenta"),
}
VERDICTS: dict[Verdict, Text] = {
    "pass": Text(" PASS ", "bold reverse green"),
    "warn": Text(" WARN ", "bold reverse yellow"),
    "fail": Text(" FAIL ", "bold reverse red"),
    "inconclusive": Text(" INCONCLUSIVE ", "bold reverse magenta"),
}
_ASCII = str.maketrans(
    {"→": "->", "×": "x", "÷": "/", "–": "-", "—": "-", "…": "...", "·": "|", "✓": "+", "✗": "x", "•": "*",
     "“": '"', "”": '"'}
)  # fmt: skip


def show(
    report: Report, console: Console, *, everything: bool = False, checks: WordsByCheck | None = None
) -> None:
    """Print the table, worst first, the verdict, why and what to do, notes, and commands to copy.

    More than a few cells that hold are counted in a line, unless `everything` is asked for.
    """
    content = Content(report, checks or registered_words())
    green = [row for row in content.rows if row.green]
    folded = not everything and len(green) > MOST_GREEN
    detail = Detail(
        wide=console.width >= WIDE, together=not folded, apart=everything, from_clone=False, items=20
    )
    page = outline(content, detail)
    if isinstance(page.table, document.Table):
        _print(console, _table(page.table, wide=detail.wide))
    if folded:
        _print(console, _line("…", folded_cells(green)))
    _print(console, _verdict(page))
    for paragraph in page.summary:
        _print(console, _line("", paragraph))
    for section in page.sections:
        if section.kind in ("why", "do", "notes", "reproduce", "accept"):
            _section(section, console)


def show_origin(cell: str, origin: Origin, console: Console) -> None:
    """Print where the difference of one cell comes from: a sentence, the diff, and what limits the answer."""
    _print(console, _line("", sentence(where.headline(cell, origin))))
    for block in where.blocks(origin):
        _block(block, console)


def show_history(entries: Sequence[HistoryRun], console: Console) -> None:
    """Print how each model went, by release and run by run, the latest below; with a line for each number."""
    for part in history_parts(entries):
        _print(console, _text(words(*part.title, f", {part.heading}"), "bold"))
        if part.table.hidden:
            _print(console, _line("…", words(f"{part.table.hidden:,} earlier rows")))
        _print(console, _table(part.table, wide=console.width >= WIDE))
        for series in part.series:
            drawn = trendline([point.value for point in series.points], MOST_DRAWN)
            text = joined(trend.notes(series)[:MOST_STEPS], "; ") or words(f"{series.quantity}: no step")
            _print(console, _line("", words(f"{drawn}  ", *text)))
        console.print()


def _block(block: document.Block, console: Console) -> None:
    if isinstance(block, document.Paragraph):
        _print(console, _line("", block.words))
    elif isinstance(block, document.Bullets):
        for item in block.items:
            _print(console, _line("•", sentence(item)))
    elif isinstance(block, document.Code):
        for line in block.text.splitlines():
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            console.print(Text(encoded(f"  {multiline(line, 1000)}", console), style), soft_wrap=True)


def _verdict(page: Outline) -> Text:
    verdict = Text.assemble(VERDICTS[page.content.report.verdict], " ", _text(page.headline, "bold"))
    counts = counted(page.content)
    return verdict.append(f" ({counts})" if counts else "")


def _section(section: Section, console: Console) -> None:
    """Sentences under each other; commands unwrapped, to be copied. The report has the notes left out."""
    _print(console, Text("\n").append_text(_text(section.title, "bold")))
    for block in section.blocks:
        if isinstance(block, document.Bullets):
            for item in block.items[:MOST_ITEMS]:
                _print(console, _line("•", item))
            hidden = block.hidden + max(len(block.items) - MOST_ITEMS, 0)
            if hidden:
                _print(console, _line("…", words(f"{hidden:,} more in report.md")))
        elif isinstance(block, document.Code) and block.language != "yaml":  # commands write that
            for command in block.text.splitlines():
                console.print(Text(encoded(f"  {plain(command, 1000)}", console)), soft_wrap=True)


def _table(block: document.Table, *, wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for head in block.headings:
        if head.numeric:
            table.add_column(head.text, justify="right", overflow="fold", no_wrap=wide)
        elif head.text == "result":
            table.add_column(head.text, overflow="fold", ratio=1, min_width=18)
        else:
            table.add_column(head.text, overflow="fold", min_width=6 if head.text else 1)
    for row in block.rows:
        table.add_row(*(_entry(*each) for each in zip(row, block.headings, strict=True)))
    return table


def _entry(entry: document.Entry, heading: document.Heading) -> Text:
    text = _text(entry.words, strong="bold red" if heading.numeric else "bold")
    return text.append("\n").append_text(_text(entry.small, "dim")) if entry.small else text


def _line(mark: str, pieces: Words) -> Table:
    """A mark with a sentence that wraps beside it, not under it."""
    grid = Table.grid(Column(width=1), Column(overflow="fold"), padding=(0, 1, 0, 0))
    grid.add_row(mark, _text(pieces))
    return grid


def _text(pieces: Words, base: str = "", strong: str = "bold") -> Text:
    text = Text(style=base)
    styles = {"name": "cyan", "strong": strong, "link": "underline", "text": ""}
    for piece in pieces:
        if piece.kind == "mark":
            text.append_text(MARKS[piece.text])
            continue
        before = " " if piece.text[:1].isspace() else ""
        after = " " if piece.text[-1:].isspace() and piece.text.strip() else ""
        url = piece.url.replace("redirect.github.com", "github.com")
        text.append(f"{before}{plain(url or piece.text, LIMIT)}{after}", style=styles[piece.kind])
    return text


def _print(console: Console, renderable: RenderableType) -> None:
    """Print; a terminal that cannot show `→` gets `->`, and never an error."""
    if console.encoding.lower().startswith("utf"):
        console.print(renderable)
        return
    with console.capture() as capture:
        console.print(renderable)
    console.out(encoded(capture.get(), console), end="", highlight=False)


def encoded(text: str, console: Console) -> str:
    """The text as a console can show it: `->` for `→` where it has no UTF-8."""
    if console.encoding.lower().startswith("utf"):
        return text
    return text.translate(_ASCII).encode(console.encoding, "replace").decode(console.encoding)

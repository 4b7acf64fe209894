"""The report on a terminal, and what is going on while a run lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich import box, progress
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from validator.failure import Failure
from validator.origin.types import Origin
from validator.report import document
from validator.report.content import Content
from validator.report.figures import seconds
from validator.report.outline import Detail, Outline, Section, outline
from validator.report.phrases import Words, plural, sentence, words
from validator.report.words import WordsByCheck, registered_words
from validator.report.words import origin as where
from validator.report.words.run import counted
from validator.text import multiline, plain
from validator.verdict.results import Report, Verdict

LIMIT = 400
WIDE = 120
MOST_ITEMS = 6
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


def show(report: Report, console: Console, *, checks: WordsByCheck | None = None) -> None:
    """Print the table, worst first, the verdict, why and what to do, notes, and commands to copy."""
    detail = Detail(wide=console.width >= WIDE, together=True, items=20)
    page = outline(Content(report, checks or registered_words()), detail)
    if isinstance(page.table, document.Table):
        _print(console, _table(page.table, wide=detail.wide))
    _print(console, _verdict(page))
    for paragraph in page.summary:
        _print(console, _line("", paragraph))
    for section in page.sections:
        if section.kind in ("why", "do", "notes", "reproduce"):
            _section(section, console)


def show_origin(cell: str, origin: Origin, console: Console) -> None:
    """Print where the difference of one cell comes from: a sentence, the diff, and what limits the answer."""
    _print(console, _line("", sentence(where.headline(cell, origin))))
    for block in where.blocks(origin):
        _block(block, console)


def _block(block: document.Block, console: Console) -> None:
    if isinstance(block, document.Paragraph):
        _print(console, _line("", block.words))
    elif isinstance(block, document.Bullets):
        for item in block.items:
            _print(console, _line("•", sentence(item)))
    elif isinstance(block, document.Code):
        for line in block.text.splitlines():
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            console.print(Text(_encoded(f"  {multiline(line, 1000)}", console), style), soft_wrap=True)


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
        elif isinstance(block, document.Code):
            for command in block.text.splitlines():
                console.print(Text(_encoded(f"  {plain(command, 1000)}", console)), soft_wrap=True)


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
    console.out(_encoded(capture.get(), console), end="", highlight=False)


def _encoded(text: str, console: Console) -> str:
    if console.encoding.lower().startswith("utf"):
        return text
    return text.translate(_ASCII).encode(console.encoding, "replace").decode(console.encoding)


class Progress:
    """What is going on: a live view on a terminal, plain lines elsewhere. Events may come from any thread.

    Use it as a context manager around the run. `cells` are the ids that count; a run does other jobs as well.
    """

    def __init__(
        self, console: Console, cells: frozenset[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._cells, self._clock = console, cells, clock
        self._running: dict[str, tuple[progress.TaskID, float]] = {}
        self._finished = 0
        self._lock = threading.Lock()
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._view = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._count = self._view.add_task(f"0 of {plural(len(cells), 'cell')}")

    def __enter__(self) -> Progress:
        self._view.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.stop()

    def environment(self, name: str, state: str) -> None:
        """An environment is `resolving`, `installing`, `running`, `ready`, `failed` … ."""
        with self._lock:
            self._end(name)
            if state != "done":
                self._begin(name, f"{plain(name, 40)}: {plain(state, 60)}")
        if not self._live or state == "failed":
            self._print(f"{plain(name, 80)}: {plain(state, 80)}")

    def job_started(self, job: str) -> None:
        """A job runs."""
        with self._lock:
            self._begin(job, plain(job, 60))

    def job_finished(self, job: str, failure: Failure | None) -> None:
        """A job is done, or failed at a stage."""
        total = len(self._cells)
        with self._lock:
            took = self._end(job)
            self._finished += job in self._cells
            done = f"{self._finished} of {plural(total, 'cell')}"
            self._view.update(self._count, description=done)
            count = f"[{self._finished:>{len(str(total))}}/{total}]" if job in self._cells else ""
        state = failure.stage if failure else "done"
        self._print(f"{count:{2 * len(str(total)) + 3}} {plain(job, 160)}  {state}  {seconds(took)}")

    def learnt(self, line: str) -> None:
        """A search goes on."""
        self._print(plain(line, 200))

    def _begin(self, name: str, description: str) -> None:
        self._running[name] = self._view.add_task(description), self._clock()

    def _end(self, name: str) -> float:
        if name not in self._running:
            return 0.0
        task, started = self._running.pop(name)
        self._view.remove_task(task)
        return self._clock() - started

    def _print(self, line: str) -> None:
        self._console.print(Text(_encoded(line, self._console)), soft_wrap=True)

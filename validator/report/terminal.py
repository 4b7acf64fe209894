"""The report on a terminal, and what is going on while a run lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from validator.report import content, story, wording
from validator.report.content import Line, Row, State
from validator.report.wording import Words
from validator.results import Report, Verdict
from validator.text import plain

LIMIT = 400
WIDE = 120
MOST_NOTES = 6
STYLES: dict[State, str] = {"good": "green", "warn": "yellow", "bad": "red", "unknown": "magenta"}
MARKS: dict[State, str] = {"good": "✓", "warn": "!", "bad": "✗", "unknown": "?"}
VERDICTS: dict[Verdict, tuple[str, str]] = {
    "pass": ("PASS", "green"),
    "warn": ("WARN", "yellow"),
    "fail": ("FAIL", "red"),
    "inconclusive": ("INCONCLUSIVE", "magenta"),
}
_ASCII = str.maketrans(
    {"→": "->", "×": "x", "÷": "/", "–": "-", "—": "-", "…": "...", "·": "|", "✓": "+", "✗": "x", "•": "*"}
)


def show(report: Report, console: Console) -> None:
    """Print the table, worst first, the verdict in one line, notes, and the commands that run cells again."""
    rows = content.rows(report)
    if rows:
        _print(console, _table(report, console))
    _print(console, _verdict(report))
    reasons = [] if rows and report.verdict != "inconclusive" else report.reasons[:20]  # else in the table
    for words in (*story.gate(report), *(wording.prose(reason) for reason in reasons)):
        _print(console, _line("•", words))
    shown = {name for row in rows for name in (row.cell.cell, row.cell.environment)}
    for group in content.failures(report)[:20]:
        if shown.issuperset(group.places):
            continue  # the table has said it
        where = wording.listed([wording.name(place) for place in group.places])
        _print(console, _line("✗", (*where, wording.text(" "), *wording.failed(group.failure))))
    for why in content.whys(report):
        _explain(why, console)
    _notes(report, console)
    again = content.commands(report, 20)
    if again:
        _print(console, Text("\nRun again:", style="bold"))
        for command in again:  # unwrapped, to be copied
            console.print(Text(_said(f"  {plain(command, 1000)}", console)), soft_wrap=True)


def _notes(report: Report, console: Console) -> None:
    """The notes that matter most; they are long, and the report has all of them."""
    notes = content.notes(report)
    for note, cells in notes[:MOST_NOTES]:
        where = wording.listed([wording.name(cell) for cell in cells])
        _print(console, _line("•", (*wording.prose(note), wording.text(" ("), *where, wording.text(")"))))
    if len(notes) > MOST_NOTES:
        _print(console, _line("…", (wording.text(f"{len(notes) - MOST_NOTES:,} more in report.md"),)))


def _explain(why: content.Why, console: Console) -> None:
    for cause in why.causes:
        _print(console, _line("•", (wording.name(why.model), wording.text(": "), *wording.prose(cause))))
    if why.ways_out:
        words: Words = (wording.strong("way out"), wording.text(": "))
        for at, way in enumerate(why.ways_out):
            words += ((wording.text(" · "),) if at else ()) + wording.prose(way)
        _print(console, _line(" ", words))


def _verdict(report: Report) -> Text:
    word, style = VERDICTS[report.verdict]
    said = Text.assemble(
        (f" {word} ", f"bold reverse {style}"), " ", (plain(story.headline(report), LIMIT), "bold")
    )
    upgrade = story.upgrade(report)
    if upgrade:
        said.append(": ").append_text(_text(upgrade))
    counted = content.counted(report)
    return said.append(f" ({counted})" if counted else "")


def _table(report: Report, console: Console) -> Table:
    rows = content.rows(report)
    columns = content.number_columns(rows)
    wide = console.width >= WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("")
    table.add_column("model", overflow="fold", min_width=6)
    if wide:
        table.add_column("environment", overflow="fold")
    table.add_column("what happened", overflow="fold", ratio=1, min_width=18)
    numbers = columns if wide else tuple(column for column in columns if column.heading == "accuracy")
    for column in numbers:
        table.add_column(column.heading, justify="right", overflow="fold", no_wrap=wide)
    for line in content.lines(rows):
        table.add_row(*_cells(line, numbers, wide), style=None)
    return table


def _cells(line: Line, numbers: tuple[content.Column, ...], wide: bool) -> list[Text]:
    row = line.row
    models = Text("\n".join(plain(model, LIMIT) for model in line.models), style="bold")
    places = Text("\n".join(plain(place, LIMIT) for place in line.places))
    happened = _text(row.happened)
    if not wide:  # what has no column of its own stands under the words
        models.append("\n").append_text(places)
        measured = wording.measured(row.cell)
        happened.append(f"\n{measured}" if measured else "", style="dim")
    where = [places] if wide else []
    return [_mark(row), models, *where, happened, *(_number(row, column) for column in numbers)]


def _number(row: Row, column: content.Column) -> Text:
    fell = row.metric_fell and column.heading == "accuracy"
    shown = Text(plain(column.show(row), 80), style="bold red" if fell else "")
    below = column.below(row)
    return shown.append(f"\n{plain(below, 80)}", style="not bold dim") if below else shown


def _mark(row: Row) -> Text:
    return Text(MARKS[row.state], style=STYLES[row.state])


def _line(mark: str, words: Words) -> Table:
    """A mark with a sentence that wraps beside it, not under it."""
    grid = Table.grid(Column(width=1), Column(overflow="fold"), padding=(0, 1, 0, 0))
    grid.add_row(mark, _text(words))
    return grid


def _text(words: Words) -> Text:
    text = Text()
    for piece in words:
        before = " " if piece.text[:1].isspace() else ""
        after = " " if piece.text[-1:].isspace() and piece.text.strip() else ""
        style = {"name": "cyan", "strong": "bold", "link": "underline", "text": ""}[piece.kind]
        shown = piece.url.replace("redirect.github.com", "github.com") if piece.kind == "link" else piece.text
        text.append(f"{before}{plain(shown, LIMIT)}{after}", style=style)
    return text


def _print(console: Console, shown: RenderableType) -> None:
    """Print; a terminal that cannot show `→` gets `->`, and never an error."""
    if console.encoding.lower().startswith("utf"):
        console.print(shown)
        return
    with console.capture() as capture:
        console.print(shown)
    console.out(_said(capture.get(), console), end="", highlight=False)


def _said(text: str, console: Console) -> str:
    if console.encoding.lower().startswith("utf"):
        return text
    return text.translate(_ASCII).encode(console.encoding, "replace").decode(console.encoding)


@dataclass
class Progress:
    """What is going on: a live view on a terminal, plain lines elsewhere. Events may come from any thread.

    Use it as a context manager around the run; `total` is how many cells will run.
    """

    console: Console
    total: int
    clock: Callable[[], float] = time.monotonic
    _started: dict[str, float] = field(default_factory=dict, init=False)
    _environments: dict[str, str] = field(default_factory=dict, init=False)
    _finished: int = field(default=0, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _live: Live | None = field(default=None, init=False)

    def __enter__(self) -> Progress:
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._view, console=self.console, refresh_per_second=8, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def environment(self, name: str, state: str) -> None:
        """An environment is `resolving`, `installing`, `running`, `ready`, `failed` … ."""
        with self._lock:
            self._environments[name] = state
        if self._live is None or state == "failed":
            self._say(f"{plain(name, 80)}: {plain(state, 80)}")

    def cell_started(self, cell: str) -> None:
        """A cell runs."""
        with self._lock:
            self._started[cell] = self.clock()

    def cell_finished(self, cell: str, state: str, seconds: float) -> None:
        """A cell is done; `state` is its stage of failure, or `done`."""
        with self._lock:
            self._started.pop(cell, None)
            self._finished += 1
            count = f"[{self._finished:>{len(str(self.total))}}/{self.total}]"
        self._say(f"{count} {plain(cell, 160)}  {plain(state, 80)}  {wording.seconds(seconds)}")

    def _say(self, line: str) -> None:
        self.console.print(Text(_said(line, self.console)), soft_wrap=True)

    def _view(self) -> RenderableType:
        with self._lock:
            states = {name: state for name, state in self._environments.items() if state != "done"}
            running = [(cell, self.clock() - since) for cell, since in self._started.items()]
        lines: list[RenderableType] = [
            Text(f"  {plain(name, 40)}: {plain(state, 60)}", style="dim") for name, state in states.items()
        ]
        lines += [
            Spinner("dots", Text(f"{plain(cell, 60)}  {wording.seconds(took)}")) for cell, took in running
        ]
        return Group(*lines, Text(f"{self._finished} of {wording.plural(self.total, 'cell')}", style="bold"))

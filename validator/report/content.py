"""What a report says, before anyone decides how it looks: rows, differences, failures, reasons, commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Literal

from validator.report import wording
from validator.report.wording import Words
from validator.results import (
    SEVERITY,
    CellResult,
    CellVerdict,
    EnvironmentResult,
    Failure,
    Finding,
    OutputResult,
    Report,
)

State = Literal["good", "warn", "bad", "unknown"]
AS_SAVED = ("", "as-saved")
GREEN: tuple[CellVerdict, ...] = ("identical", "rounding")
#: Kinds of findings that have a place of their own: in `Why`, or in the cell's message.
SHOWN_ELSEWHERE = ("cause", "way-out", "baseline")
KEY_PACKAGES = ("keras", "tf-keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")

_STATES: dict[CellVerdict, State] = {
    "identical": "good",
    "rounding": "good",
    "suspicious": "warn",
    "metric-only": "warn",
    "not-compared": "unknown",
    "changed": "bad",
    "failed": "bad",
}


@dataclass(frozen=True)
class Row:
    """One cell of the table."""

    model: str
    cell: CellResult

    @property
    def state(self) -> State:
        """How the row is marked: what breaks the gate is never green."""
        return "bad" if self.cell.gated else _STATES[self.cell.verdict]

    @property
    def green(self) -> bool:
        """Nothing to look at."""
        return self.state == "good"

    @property
    def variant(self) -> str:
        """The variant, empty when everything is as saved."""
        return "" if self.cell.variant in AS_SAVED else self.cell.variant

    @property
    def place(self) -> str:
        """Environment and variant: `keras-3.5.0 float32`."""
        return f"{self.cell.environment} {self.variant}".rstrip()

    @property
    def happened(self) -> Words:
        """The verdict and what stands behind it, in one line."""
        return wording.happened(self.cell)

    @property
    def largest(self) -> str:
        """The largest difference."""
        return wording.number(wording.largest(self.cell))

    @property
    def ratio(self) -> str:
        """Drift ÷ noise."""
        return wording.ratio(wording.noise_ratio(self.cell))

    @property
    def flips(self) -> str:
        """`87 of 256`."""
        return wording.share(*(wording.flips(self.cell) or (None, None)))

    @property
    def metric(self) -> str:
        """The metric before and after, with its name unless it is the accuracy."""
        one = wording.metric(self.cell)
        if one is None:
            return wording.NONE
        moved = wording.change(one.baseline, one.candidate)
        return moved if one.metric == "accuracy" else f"{one.metric} {moved}"

    @property
    def certainty(self) -> str:
        """How sure it is that this metric is worse; empty where it is not, or did not move."""
        one = wording.metric(self.cell)
        return "" if one is None else wording.certainty(one)

    @property
    def metric_fell(self) -> bool:
        """Whether that metric is worse than the gate allows."""
        one = wording.metric(self.cell)
        return one is not None and one.worse


@dataclass(frozen=True)
class Line:
    """A line of the table: a row, and all models and places that the same failure took."""

    row: Row
    models: tuple[str, ...]
    places: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A column of numbers: its heading, what it says of a row, and what it says below that in small."""

    heading: str
    show: Callable[[Row], str]
    below: Callable[[Row], str] = lambda _: ""


_NUMBERS = (
    Column("largest difference", lambda row: row.largest),
    Column("drift ÷ noise", lambda row: row.ratio),
    Column("flips", lambda row: row.flips),
    Column("accuracy", lambda row: row.metric, lambda row: row.certainty),
)


@dataclass(frozen=True)
class PackageDifference:
    """One package that differs from the baseline's. `old` or `new` is empty where it is absent."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class EnvironmentDifference:
    """What one candidate environment has otherwise than the baseline."""

    name: str
    packages: tuple[PackageDifference, ...]
    total: int
    facts: tuple[PackageDifference, ...]
    same: tuple[str, ...]
    same_more: int


@dataclass(frozen=True)
class FailureGroup:
    """One failure and every cell it took."""

    places: tuple[str, ...]
    failure: Failure


@dataclass(frozen=True)
class Why:
    """What is known about a model's difference: where it starts, since when and why, and the way out."""

    model: str
    causes: tuple[str, ...]
    ways_out: tuple[str, ...]


def rows(report: Report) -> tuple[Row, ...]:
    """Every cell, worst first."""
    every = [Row(model.name, cell) for model in report.models for cell in model.cells]
    return tuple(sorted(every, key=_badness, reverse=True))


def lines(shown: Iterable[Row]) -> tuple[Line, ...]:
    """Rows as lines of a table: a failure that took several models or environments alike is said once."""
    every = tuple(shown)
    places: dict[tuple[object, str], list[Row]] = {}
    for at, row in enumerate(every):
        places.setdefault((_kind(row.cell.failure) or at, row.model), []).append(row)
    models: dict[tuple[object, tuple[str, ...]], list[Row]] = {}
    for (kind, _), alike in places.items():
        models.setdefault((kind, tuple(row.place for row in alike)), []).append(alike[0])
    return tuple(
        Line(alike[0], tuple(row.model for row in alike), where) for (_, where), alike in models.items()
    )


def _kind(failure: Failure | None) -> tuple[str, str] | None:
    """What makes two failures one: not the log, which has times and addresses in it."""
    return (failure.stage, wording.said_by(failure)) if failure else None


def _badness(row: Row) -> tuple[bool, int, float, float]:
    cell = row.cell
    return (
        bool(cell.gated),
        SEVERITY.index(cell.verdict),
        wording.noise_ratio(cell) or 0.0,
        wording.largest(cell) or 0.0,
    )


def number_columns(shown: Iterable[Row], *, with_largest: bool = True) -> tuple[Column, ...]:
    """The columns of numbers that say something about these rows."""
    rows_shown = tuple(shown)
    columns = _NUMBERS if with_largest else _NUMBERS[1:]
    return tuple(column for column in columns if any(column.show(row) != wording.NONE for row in rows_shown))


def outputs(shown: Iterable[Row]) -> tuple[tuple[Row, OutputResult], ...]:
    """Every output of these rows, worst first within a row."""
    return tuple(
        (row, output)
        for row in shown
        for output in sorted(row.cell.outputs, key=lambda one: SEVERITY.index(one.verdict), reverse=True)
    )


def differences(report: Report) -> tuple[EnvironmentDifference, ...]:
    """Package by package, what each candidate environment has otherwise than the baseline.

    Empty when the baseline is not known.
    """
    baseline = next((one for one in report.environments if one.name == report.baseline), None)
    if baseline is None or not baseline.packages:
        return ()
    candidates = [one for one in report.environments if one.name != report.baseline and one.packages]
    return tuple(_difference(baseline, candidate) for candidate in candidates)


def _difference(baseline: EnvironmentResult, candidate: EnvironmentResult) -> EnvironmentDifference:
    before, after = baseline.packages, candidate.packages
    names = sorted(before.keys() | after.keys())
    moved = [one for one in names if before.get(one) != after.get(one)]
    moved.sort(key=lambda one: one not in KEY_PACKAGES)
    other_module = baseline.keras.split(" ")[0] != candidate.keras.split(" ")[0]
    facts = {
        "runs": (baseline.keras, candidate.keras if other_module else baseline.keras),
        "Python": (baseline.python, candidate.python),
        "backend": (baseline.backend, candidate.backend),
        "CPU": (baseline.cpu, candidate.cpu),
    }
    kept = [one for one in KEY_PACKAGES if one in before and before.get(one) == after.get(one)]
    same = [f"Python {baseline.python}"] if baseline.python and baseline.python == candidate.python else []
    same += [f"{one} {before[one]}" for one in kept]
    return EnvironmentDifference(
        name=candidate.name,
        packages=tuple(PackageDifference(one, before.get(one, ""), after.get(one, "")) for one in moved),
        total=len(names),
        facts=tuple(
            PackageDifference(what, *pair) for what, pair in facts.items() if all(pair) and pair[0] != pair[1]
        ),
        same=tuple(same),
        same_more=len(names) - len(moved) - len(kept),
    )


def failures(report: Report) -> tuple[FailureGroup, ...]:
    """Each failure once, with the environments or cells it took."""
    broken = {one.name: one.failure for one in report.environments if one.failure is not None}
    found = list(broken.items())
    for row in rows(report):
        if row.cell.failure is not None and row.cell.environment not in broken:
            found.append((row.cell.cell, row.cell.failure))
    groups: dict[tuple[str, str] | None, list[tuple[str, Failure]]] = {}
    for place, failure in found:
        groups.setdefault(_kind(failure), []).append((place, failure))
    return tuple(FailureGroup(tuple(place for place, _ in alike), alike[0][1]) for alike in groups.values())


def whys(report: Report) -> tuple[Why, ...]:
    """By model, worst first, the findings that explain: causes and ways out, each said once."""
    cells: dict[str, list[CellResult]] = {}
    for row in rows(report):
        cells.setdefault(row.model, []).append(row.cell)
    found = (
        Why(model, _findings(of_it, "cause"), _findings(of_it, "way-out")) for model, of_it in cells.items()
    )
    return tuple(why for why in found if why.causes or why.ways_out)


def _findings(cells: Iterable[CellResult], kind: str) -> tuple[str, ...]:
    messages = [one.message for cell in cells for one in cell.findings if one.kind == kind]
    return tuple(dict.fromkeys(messages))


def notes(report: Report, told: Container[tuple[str, str]] = ()) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """All other findings, the important first: each message once, with the cells it belongs to.

    `told` are those that the report says elsewhere, as cell and message.
    """
    cells: dict[str, list[str]] = {}
    ranks: dict[str, int] = {}
    for row in rows(report):
        for finding in row.cell.findings:
            if finding.kind in SHOWN_ELSEWHERE or (row.cell.cell, finding.message) in told:
                continue
            cells.setdefault(finding.message, []).append(row.cell.cell)
            rank = _rank(finding, row.cell)
            ranks[finding.message] = min(rank, ranks.get(finding.message, rank))
    ordered = sorted(cells, key=lambda message: ranks[message])
    return tuple((message, tuple(dict.fromkeys(cells[message]))) for message in ordered)


def _rank(finding: Finding, cell: CellResult) -> int:
    """Decode first, then what changed in the training, then the rest; last a training that holds."""
    if finding.kind == "decode":
        return 0
    if finding.kind != "training" or cell.training is None:
        return 2
    verdict = next(
        (
            one.verdict
            for one in cell.training.causes
            if one.message and finding.message.endswith(one.message)
        ),
        cell.training.verdict,
    )
    return 3 if verdict in GREEN else 1


def commands(report: Report, most: int) -> tuple[str, ...]:
    """The commands that run the cells again that are not green, worst first."""
    wanted = [row.cell.reproduce for row in rows(report) if not row.green and row.cell.reproduce]
    return tuple(dict.fromkeys(wanted))[:most]


def counts(report: Report) -> tuple[tuple[CellVerdict, int], ...]:
    """How many cells have each verdict, worst first."""
    counted = Counter(cell.verdict for model in report.models for cell in model.cells)
    return tuple((verdict, counted[verdict]) for verdict in reversed(SEVERITY) if counted[verdict])


def counted(report: Report) -> str:
    """`2 changed, 1 failed, 6 identical`."""
    return ", ".join(f"{count:,} {wording.VERDICTS[verdict]}" for verdict, count in counts(report))

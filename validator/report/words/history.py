"""What is said about a history: steps, what may become one, and lines that were not read."""

from __future__ import annotations

from validator.history import LevelStep, Point, Series, Skipped, TrackedModel
from validator.history.series import DRIFT, SECONDS
from validator.report.figures import ratio, scores, seconds
from validator.report.phrases import Words, name, strong, words

COMMIT_CHARACTERS = 7
#: Packages beside Keras that a step names; more would be no reason.
_MOST_PACKAGES = 2


def subject_title(subject: TrackedModel) -> Words:
    """`digits+float32 in head`, with the configuration that the model is in."""
    own = name(subject.model + (f"+{subject.variant}" if subject.variant not in ("", "as-saved") else ""))
    place = words(" in ", name(subject.environment)) if subject.environment else ()
    backend = f" on {subject.backend}" if subject.backend and not subject.environment else ""
    return words(own, *place, backend)


def value(quantity: str, number_of: float) -> str:
    """A number of a series as people read it."""
    if quantity == DRIFT:
        return ratio(number_of)
    return seconds(number_of) if quantity == SECONDS else scores(number_of, number_of)[0]


def step(series: Series, change: LevelStep) -> Words:
    """`accuracy 0.910 → 0.840 since commit abc1234 / keras 3.10.0`."""
    before, since = change.before.value, change.since.value
    if series.quantity in (DRIFT, SECONDS):
        values = value(series.quantity, before), value(series.quantity, since)
    else:
        values = scores(before, since)
    where = " / ".join(_since(series, change))
    return words(f"{series.quantity} {values[0]} → ", strong(values[1]), f" since {where}")


def _since(series: Series, change: LevelStep) -> list[str]:
    """The commit and the packages that are new there; the day where neither is."""
    if series.by_release:
        return [change.since.release]
    parts = []
    if change.since.commit and change.since.commit != change.before.commit:
        parts.append(f"commit {change.since.commit[:COMMIT_CHARACTERS]}")
    if change.since.release != change.before.release:
        parts.append(change.since.release)
    named = {change.since.release.partition(" ")[0], change.before.release.partition(" ")[0]}
    others = [
        f"{package} {pair[1]}"
        for package, pair in change.packages.items()
        if pair[1] and package not in named
    ]
    return [*parts, *others[:_MOST_PACKAGES]] or [day(change.since)]


def pending(series: Series) -> Words:
    """The last runs are outside what was seen before, and not yet a step; empty where they are not."""
    levels = series.levels
    if not levels.pending:
        return ()
    last = "the last run is" if levels.pending == 1 else f"the last {levels.pending} runs are"
    low, high = value(series.quantity, levels.low), value(series.quantity, levels.high)
    seen = low if low == high else f"{low} to {high}"
    latest = value(series.quantity, series.points[-1].value)
    return words(
        f"{series.quantity} {latest}: {last} outside {seen} of the runs before; three in a row are a step"
    )


def notes(series: Series) -> tuple[Words, ...]:
    """Everything there is to say about a series, the latest first."""
    return tuple(filter(None, (pending(series), *(step(series, each) for each in reversed(series.steps)))))


def summary(series: Series) -> str:
    """The series in a sentence, for whoever does not see its picture."""
    first, last = (value(series.quantity, point.value) for point in (series.points[0], series.points[-1]))
    return f"{series.quantity} over {len(series.points):,} {_each(series)}: first {first}, last {last}"


def _each(series: Series) -> str:
    return "releases" if series.by_release else "runs"


def place(series: Series, point: Point) -> str:
    """Where a point stands: its release, or its day and commit."""
    if series.by_release:
        return point.release
    commit = f" {point.commit[:COMMIT_CHARACTERS]}" if point.commit else ""
    return f"{day(point)}{commit} · {point.release}"


def end(series: Series, point: Point) -> str:
    """The same in short, for the ends of an axis."""
    return point.release if series.by_release else f"{day(point)} · {point.release}"


def day(point: Point) -> str:
    """The day of a run."""
    return point.time[:10]


def skipped(path: str, line: Skipped) -> str:
    """A line that was not read."""
    what = {
        "truncated": "the last line was cut off",
        "no-json": "not read",
        "newer": "written by a newer keras-validator",
        "other": "not read",
    }
    return f"{path}, line {line.line}: {what[line.why]}: {line.detail}; it stays in the file"

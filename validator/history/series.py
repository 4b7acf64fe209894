"""Entries → series of numbers: by commit, in the order of time, and by release, in the order of versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from packaging.version import InvalidVersion, Version

from validator.checks.bands import CellVerdict
from validator.history.steps import Levels, find_levels
from validator.history.types import HistoryCell, HistoryRun
from validator.verdict.bands import BANDS, DRIFT_STEP, METRIC_STEP, TIME_STEP, StepBand

DRIFT, SECONDS = "drift ÷ noise", "seconds"


@dataclass(frozen=True)
class Point:
    """A number of one run. `keras`: module and version that ran; `packages`: name → version.

    `verdict`: of its cell; None for a number of the baseline.
    """

    value: float
    time: str
    commit: str | None
    keras: str
    packages: Mapping[str, str] = field(default_factory=dict)
    verdict: CellVerdict | None = None

    @property
    def release(self) -> str:
        """`keras 3.10.0`, `tf-keras 2.17.0`, or `keras-nightly 3.16.0.dev2026102704`."""
        module, _, version = self.keras.partition(" ")
        name = module.replace("_", "-")
        nightly = f"{name}-nightly" in self.packages
        return (
            f"{name}-nightly {self.packages[f'{name}-nightly']}" if nightly else f"{name} {version}".strip()
        )


@dataclass(frozen=True)
class LevelStep:
    """A new level: the last value of the old one, the first of the new one, and what else changed there.

    `packages`: name → versions before and since.
    """

    before: Point
    since: Point
    packages: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class TrackedModel:
    """What a series is about. `configuration` is the validator.yml that the model is in."""

    configuration: str
    model: str
    variant: str = ""
    environment: str = ""
    backend: str = ""


@dataclass(frozen=True)
class Series:
    """One number of a subject, `accuracy` for example, in order."""

    subject: TrackedModel
    quantity: str
    points: tuple[Point, ...]
    by_release: bool = False

    @cached_property
    def levels(self) -> Levels:
        """Its levels (`history.steps`)."""
        values = [_level(self.quantity, point.value) for point in self.points]
        return find_levels(values, _band(self.quantity))

    @property
    def steps(self) -> tuple[LevelStep, ...]:
        """Where it goes to another level."""
        pairs = ((self.points[at - 1], self.points[at]) for at in self.levels.steps)
        return tuple(LevelStep(before, since, _moved(before, since)) for before, since in pairs)


def _band(quantity: str) -> StepBand:
    return {DRIFT: DRIFT_STEP, SECONDS: TIME_STEP}.get(quantity, METRIC_STEP)


def _level(quantity: str, value: float) -> float:
    """Drift inside the band of rounding is all of one level."""
    return max(value, BANDS.outputs.grains["all"].rounding) if quantity == DRIFT else value


def _moved(before: Point, since: Point) -> dict[str, tuple[str, str]]:
    names = sorted(before.packages.keys() | since.packages.keys())
    pairs = {name: (before.packages.get(name, ""), since.packages.get(name, "")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def by_commit(entries: Iterable[HistoryRun]) -> tuple[Series, ...]:
    """Every number of every model in every environment, in the order of time; entries are in that order."""
    points: dict[tuple[TrackedModel, str], list[Point]] = {}
    for entry in entries:
        for cell in entry.cells:
            subject = TrackedModel(entry.configuration, cell.model, cell.variant, cell.environment)
            for quantity, value in _numbers(cell).items():
                points.setdefault((subject, quantity), []).append(_point(entry, cell, value))
    return _series(points, by_release=False)


def by_release(entries: Iterable[HistoryRun]) -> tuple[Series, ...]:
    """Every number of every model by release of Keras, in the order of versions: the latest run of each.

    The baseline's metrics count for its own release. Drift is what its latest baseline leads to.
    """
    latest: dict[tuple[TrackedModel, str], dict[str, Point]] = {}
    entries = list(entries)
    bases = {(entry.configuration, cell.model): cell.baseline for entry in entries for cell in entry.cells}
    for entry in entries:
        for cell in filter(lambda each: each.keras, entry.cells):
            subject = TrackedModel(entry.configuration, cell.model, cell.variant, backend=cell.backend)
            same = cell.baseline == bases[entry.configuration, cell.model]
            for quantity, value in _numbers(cell).items():
                if quantity != DRIFT or same:
                    latest.setdefault((subject, quantity), {})[cell.keras] = _point(entry, cell, value)
            for name, pair in cell.metrics.items():
                if pair.baseline is not None and cell.baseline:
                    point = Point(pair.baseline, entry.time, entry.commit, cell.baseline)
                    latest.setdefault((subject, name), {})[cell.baseline] = point
    points = {
        key: sorted(versions.values(), key=lambda point: version_key(point.release))
        for key, versions in latest.items()
    }
    return _series(points, by_release=True)


def _series(
    points: Mapping[tuple[TrackedModel, str], Sequence[Point]], *, by_release: bool
) -> tuple[Series, ...]:
    return tuple(
        Series(subject, quantity, tuple(each), by_release) for (subject, quantity), each in points.items()
    )


def version_key(release: str) -> tuple[bool, Version, str]:
    """Releases in order: those of tf-keras first, versions as versions, what is none of either before."""
    name, _, version = release.partition(" ")
    try:
        return not name.startswith("tf-"), Version(version), release
    except InvalidVersion:
        return False, Version("0"), release


def _numbers(cell: HistoryCell) -> dict[str, float]:
    own: dict[str, float | None] = {DRIFT: cell.noise if cell.noise is not None else _none_moved(cell)}
    own |= {name: pair.candidate for name, pair in cell.metrics.items()}
    own[SECONDS] = cell.seconds
    return {name: value for name, value in own.items() if value is not None}


def _none_moved(cell: HistoryCell) -> float | None:
    """Of outputs that are bit for bit the same no noise was measured: their drift is none."""
    return 0.0 if cell.verdict == "identical" or cell.max_abs == 0 else None


def _point(entry: HistoryRun, cell: HistoryCell, value: float) -> Point:
    return Point(value, entry.time, entry.commit, cell.keras, cell.packages, cell.verdict)

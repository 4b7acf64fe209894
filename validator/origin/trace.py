"""The whole way of one cell: both ends, releases, nights, lines, within a time budget."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from packaging.version import Version

from validator.environments import Wheel
from validator.failure import Failure
from validator.origin import nights as nightly
from validator.origin.budget import Budget, OutOfTimeError
from validator.origin.case import Case, PhaseProgress, SearchWatcher, Site
from validator.origin.commits import commits
from validator.origin.difference import Difference
from validator.origin.ends import Ends, measure
from validator.origin.lines import Direction, LinesOutcome, find_lines
from validator.origin.mixing import joined
from validator.origin.releases import Sweep, coarse
from validator.origin.results import Results
from validator.origin.steps import Steps
from validator.origin.types import (
    Behaviour,
    ChangedLines,
    Likeness,
    Missing,
    Nights,
    Origin,
    Refusal,
    Releases,
)
from validator.runner import Forks, Place

KERAS = "keras"


def release(version: Version | str) -> Wheel:
    """The wheel of a release."""
    return Wheel(KERAS, str(version))


@dataclass
class Tracing:
    """What is known so far; it is a result at any time."""

    case: Case
    refused: Refusal | None = None
    refused_end: str = ""
    reason: str = ""
    releases: Releases | None = None
    nights: list[Nights] = field(default_factory=list)
    lines: list[ChangedLines] = field(default_factory=list)
    missing: set[Missing] = field(default_factory=set)
    stopped: bool = False

    def origin(self, steps: Steps, command: str) -> Origin:
        """The result."""
        if not steps.results.writable:
            self.missing.add("cache")
        return Origin(
            aspect=self.case.aspect,
            legacy=self.case.candidate is None,
            refused=self.refused,
            refused_end=self.refused_end,
            reason=self.reason,
            releases=self.releases,
            nights=tuple(self.nights),
            lines=tuple(self.lines),
            missing=tuple(sorted(self.missing)),
            stopped=steps.progress.phase if self.stopped else None,
            command=command if self.stopped else "",
            seconds=round(steps.budget.spent, 1),
            runs=steps.runs,
        )


def trace(case: Case, site: Site, budget: Budget, watcher: SearchWatcher, command: str = "") -> Origin:
    """Trace a cell among the releases of Keras. What was found when the time ended is the result.

    `command` goes on where this ended: every run is kept in the site's folder.
    """
    progress = PhaseProgress(case.cell, watcher)
    folder = site.folder / "runs" / str(os.getpid())
    place = Place(site.environment, folder, site.pythonpath, lambda: site.python)
    beside = site.overlays.beside(site.packages)
    results = Results(site.folder / "results" / f"{case.identity}.jsonl")
    outcome = Tracing(case, missing=set() if isinstance(beside, Path) else {"beside"})
    try:
        with Forks(place, site.python, site.bounds, site.lanes) as forks:
            paths = (str(beside.resolve()),) if isinstance(beside, Path) else ()
            steps = Steps(case, site, forks, budget, progress, results, paths)
            Tracer(outcome, steps).search()
    finally:
        site.overlays.close()
        shutil.rmtree(folder, ignore_errors=True)
    return outcome.origin(steps, command)


class Tracer:
    """The phases, each of which leaves what it found in `outcome`."""

    def __init__(self, outcome: Tracing, steps: Steps) -> None:
        self.outcome, self.steps, self.case = outcome, steps, outcome.case
        self.overlays = steps.site.overlays
        self.ends = Ends()

    def search(self) -> None:
        """All phases, or as many as the time allows."""
        try:
            self._phases()
        except OutOfTimeError:
            self.outcome.stopped = True

    def _phases(self) -> None:
        """Each that the result of the one before calls for."""
        listed = self.overlays.releases()
        self._prefetch(listed)
        self.ends = measure(self.steps)
        self.outcome.refused, self.outcome.refused_end = self.ends.refused, self.ends.refused_end
        self.outcome.reason = self.ends.reason
        if self.outcome.refused not in (None, "same"):
            return
        self.steps.progress.enter("releases")
        if isinstance(listed, Failure):
            self.outcome.missing.add("index")
            listed = tuple(filter(None, (self.case.baseline, self.case.candidate)))
        self._sweep(listed)
        pair = self._pair()
        if pair is None:
            return
        versions = tuple(map(str, pair))
        self.steps.progress.enter("nights")
        neighbours = self._nights(*pair) or [(release(versions[0]), release(versions[1]))]
        self.steps.progress.enter("lines")
        for number, (before, after) in enumerate(neighbours):
            self._lines(before, after)
            self._link(number)

    def _prefetch(self, listed: Sequence[Version] | Failure) -> None:
        ends = [end for end in (self.case.baseline, self.case.candidate) if end is not None]
        ahead = coarse(self._stretch(listed), ends) if not isinstance(listed, Failure) else ends
        self.overlays.prefetch(map(release, [*ends, *ahead]))

    def _stretch(self, listed: Sequence[Version]) -> list[Version]:
        """From the older end on: what is gone again lies beyond the newer one."""
        oldest = min(filter(None, (self.case.baseline, self.case.candidate)))
        return [version for version in listed if version >= oldest]

    def likeness(self, behaviour: Behaviour) -> Likeness:
        """How a behaviour stands to the ends."""
        if self.ends.is_candidate(behaviour):
            return "candidate"
        if self.ends.baseline is not None and behaviour.digest == self.ends.baseline.digest:
            return "baseline"
        return "other" if behaviour.ran else "failure"

    def _sweep(self, listed: Sequence[Version]) -> None:
        """All transitions; those between the two ends first, in case the time ends."""
        ends = [end for end in (self.case.baseline, self.case.candidate) if end is not None]
        releases = sorted({*self._stretch(listed), *ends})
        sweep = Sweep(
            releases, lambda versions: self.steps.wheels([*map(release, versions)]), self.steps.forks.lanes
        )
        try:
            if len(ends) == 2:
                within = [version for version in releases if min(ends) <= version <= max(ends)]
                sweep.look(ends)
                sweep.look(coarse(within, ends))
                sweep.refine()
            sweep.look(coarse(releases, ends))
            sweep.refine()
        finally:
            if len(sweep.seen) > 1:
                candidate = self.case.candidate or self._first_alike(sweep)
                self.outcome.releases = sweep.summary(self.likeness, self.case.baseline, candidate)

    def _first_alike(self, sweep: Sweep) -> Version:
        """Where the candidate is tf-keras: the first release that behaves like it, else the baseline."""
        alike = (version for version in sorted(sweep.seen) if self.ends.is_candidate(sweep.seen[version]))
        return next(alike, self.case.baseline)

    def _pair(self) -> tuple[Version, Version] | None:
        """The neighbours between which the candidate's behaviour begins, or ends towards the baseline."""
        releases = self.outcome.releases
        if releases is None or self.outcome.refused == "same":
            return None
        transition = releases.since if releases.traced == "since" else releases.gone
        return (Version(transition.before), Version(transition.after)) if transition else None

    def _nights(self, before: Version, after: Version) -> list[tuple[Wheel, Wheel]]:
        """Pairs of nights, the oldest first; none where there are no nights to be had."""
        listed = self.overlays.nights()
        if isinstance(listed, Failure) or not listed:
            self.outcome.missing.add("nights")
            return []
        good, bad = self.steps.wheels([release(before), release(after)])
        places = [self._place(version, listed) for version in (before, after)]
        if places[0] is None or places[1] is None:
            return []
        search = nightly.NightSearch(listed, self.steps.wheel, good.digest, bad.digest)
        pairs = search.between(places[0], places[1])
        if not pairs:
            self.outcome.missing.add("branch")
        self.outcome.nights = [
            nightly.result(search, low, high).model_copy(update={"like": self.likeness(search.seen[high])})
            for low, high in pairs
        ]
        return [(listed[low], listed[high]) for low, high in pairs]

    def _place(self, version: Version, listed: Sequence[Wheel]) -> int | None:
        """Where a release stands among the nights, by the files that differ."""
        first = Version(f"{version.major}.{version.minor}.0")
        uploads = [self.overlays.uploaded(release(each)) for each in {version, first}]
        moments = [moment for moment in uploads if not isinstance(moment, Failure)]
        places = nightly.candidates(listed, moments)
        folders = [(place, self.overlays.folder(listed[place])) for place in places]
        own = self.overlays.folder(release(version))
        if isinstance(own, Failure):
            return None
        return nightly.nearest(
            own, [(place, folder) for place, folder in folders if isinstance(folder, Path)]
        )

    def _lines(self, before: Wheel, after: Wheel) -> None:
        old, new = self.steps.tree(before), self.steps.tree(after)
        if isinstance(old, Failure) or isinstance(new, Failure):
            self.outcome.missing.add("lines")
            return
        good, bad = self.steps.wheels([before, after])
        search = LinesOutcome()
        directions = []
        for left, other, start, goal in ((old, new, good, bad), (new, old, bad, good)):
            reverse = left is new
            folder = joined(self.steps.site.folder / "mixed", left.folder, other.folder)
            difference = Difference(left, other)
            observe = partial(self.steps.mixture, folder, folder.name)
            directions.append(Direction(difference, observe, start.digest, goal.digest, reverse))
        try:
            find_lines(directions[0], directions[1], (before.version, after.version), search)
            if search.lines is None:
                self.outcome.missing.add("unexplained")
        finally:
            if search.lines is not None:
                self.outcome.lines.append(search.lines.model_copy(update={"smallest": search.complete}))

    def _link(self, number: int) -> None:
        """Narrow the link of a pair of nights to the file that was found, and look for its commits."""
        if number >= len(self.outcome.nights):
            return
        nights = self.outcome.nights[number]
        path = next(
            (lines.units[0].path for lines in self.outcome.lines if lines.before == nights.before), ""
        )
        if not path:
            return
        nights = nightly.with_path(nights, path)
        if self.steps.site.repository is not None:
            known = commits(self.steps.site.repository, path, nights)
            if known is None:
                self.outcome.missing.add("repository")
            nights = nights.model_copy(update={"commits": known or ()})
        self.outcome.nights[number] = nights

"""Which package of an upgrade moves the numbers, and since which of its releases.

Partial upgrades are run, of those that can be installed; then the releases of a package that does it alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import JsonValue

from validator.config.settings import Install
from validator.environments import Uv, prepare
from validator.failure import Failure
from validator.matrix import Environment
from validator.origin.budget import Budget
from validator.origin.case import Case, PhaseProgress, SearchWatcher
from validator.origin.evidence import behaviour
from validator.origin.releases import Sweep
from validator.origin.results import Results, key_of
from validator.origin.standard import NOISE, Standard
from validator.origin.types import PASSING, Behaviour, Likeness, Moved, Packages, Releases
from validator.runner import Bounds, Capture, Place, Pool
from validator.runner import Watcher as Silent
from validator.upgrade import name_of

#: Packages whose upgrade somebody asks for; all others ride along with them.
FRAMEWORKS = frozenset(
    {"keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch", "numpy", "tf-keras"}
)
#: What is pinned to the release of another package, and moves with it.
_TIED = {"jaxlib": "jax"}
_MOST = 4  # packages: sixteen corners

#: The names of upgraded packages → how the cell behaves then; None where these cannot be installed together.
Corner = frozenset[str]
Observe = Callable[[Corner], Behaviour | None]


@dataclass(frozen=True)
class Group:
    """What differs between two environments: `packages` were asked for, `riders` move along."""

    packages: tuple[Moved, ...]
    riders: tuple[Moved, ...] = ()

    @classmethod
    def between(cls, baseline: Mapping[str, str], candidate: Mapping[str, str]) -> Group:
        """From the versions of all packages of both environments."""
        moved = [
            Moved(name=name, before=baseline[name], after=candidate[name])
            for name in sorted(baseline.keys() & candidate.keys())
            if baseline[name] != candidate[name]
        ]
        names = {package.name for package in moved}
        asked = [
            package
            for package in moved
            if package.name in FRAMEWORKS and _TIED.get(package.name) not in names
        ] or moved  # no framework is new: any of the others may do it
        return cls(tuple(asked), tuple(package for package in moved if package not in asked))

    @property
    def is_searched(self) -> bool:
        """Whether there is a suspect beside Keras, and not too many."""
        others = [package for package in self.packages if package.name != "keras"]
        return bool(others) and len(self.packages) <= _MOST


def find_packages(group: Group, observe: Observe) -> Packages:
    """Run every partial upgrade that can be installed, and name the packages that move the numbers.

    Both ends come first. Where they do not differ, nothing else is run.
    """
    names = [package.name for package in group.packages]
    corners = [frozenset(part) for size in range(len(names) + 1) for part in combinations(names, size)]
    seen: dict[Corner, str] = {}
    ends = corners[0], corners[-1]
    for corner in dict.fromkeys((*ends, *corners)):
        if corner not in ends and seen.get(ends[0]) == seen.get(ends[1]):
            break
        outcome = observe(corner)
        if outcome is not None and outcome.error not in PASSING:
            seen[corner] = outcome.digest
    return judged(group, seen, len(corners))


def judged(group: Group, seen: Mapping[Corner, str], corners: int) -> Packages:
    """What behaviours by corner say. Those that cannot be installed are not among them."""
    names = [package.name for package in group.packages]
    alone: list[str] = []
    together: list[tuple[str, ...]] = []
    for corner in _smallest_moving(seen):
        last = [name for name in sorted(corner) if corner - {name} in seen]
        if len(corner) == 1 or len(last) == 1:
            # All but one of them are shown to change nothing: the last one does, on top of the others.
            alone += last or sorted(corner)
        else:
            together.append(tuple(sorted(corner)))
    movers = {*alone, *(name for part in together for name in part)}
    return Packages(
        packages=group.packages,
        alone=tuple(dict.fromkeys(alone)),
        together=tuple(together),
        unmoved=tuple(name for name in names if name not in movers and _leaves_all(name, seen)),
        riders=group.riders,
        impossible=corners - len(seen),
        corners=corners,
        runs=len(seen),
    )


def _smallest_moving(seen: Mapping[Corner, str]) -> list[Corner]:
    """The corners that differ from the baseline, without those that contain another."""
    base = seen.get(frozenset())
    moving = [corner for corner in sorted(seen, key=len) if base is not None and seen[corner] != base]
    return [corner for corner in moving if not any(other < corner for other in moving)]


def _leaves_all(name: str, seen: Mapping[Corner, str]) -> bool:
    """Whether upgrading a package changed nothing wherever that could be tried, once at least."""
    pairs = [(corner - {name}, corner) for corner in seen if name in corner and corner - {name} in seen]
    return bool(pairs) and all(seen[before] == seen[after] for before, after in pairs)


@dataclass
class Corners:
    """Runs a case in environments of partial upgrades. A context manager: it removes what it installed.

    Attributes:
        sides: the baseline's environment and the candidate's.
        root: keeps locks and results; environments while they are used.
    """

    case: Case
    group: Group
    sides: tuple[Environment, Environment]
    install: Install
    root: Path
    pythonpath: tuple[Path, ...]
    bounds: Bounds
    budget: Budget
    watcher: SearchWatcher = field(default_factory=SearchWatcher)
    seen: dict[Corner, Behaviour] = field(default_factory=dict)
    _standard: Standard | None = None

    def __post_init__(self) -> None:
        self._results = Results(self.root / "results" / f"{self.case.identity}.jsonl")
        self._progress = PhaseProgress(self.case.cell, self.watcher, "packages")

    def __enter__(self) -> Corners:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root / "environments", ignore_errors=True)
        shutil.rmtree(self._runs, ignore_errors=True)

    @property
    def _runs(self) -> Path:
        return self.root / "runs" / str(os.getpid())

    def observe(self, corner: Corner) -> Behaviour | None:
        """How the cell behaves where only some packages are new; None where they cannot be installed."""
        new = ", ".join(f"{each.name} {each.after}" for each in self.group.packages if each.name in corner)
        known = self._behaviour(self.environment(corner), new or "the baseline's packages")
        if _is_unavailable(known):
            return None
        self.seen[corner] = known
        ends = [self.seen.get(end) for end in (frozenset[str](), self._whole)]
        if self._standard is None and ends[0] is not None and ends[1] is not None:
            environments = [self.environment(end) for end in (frozenset[str](), self._whole)]
            self._standard = Standard(ends[0], ends[1], self.case.rules, lambda: self._measured(environments))
        return known

    @property
    def broken(self) -> str:
        """Why the two ends cannot be told apart: one does not run though it did before. Empty otherwise."""
        ends = [("baseline", frozenset[str](), False), ("candidate", self._whole, self.case.fails)]
        for side, corner, expected in ends:
            known = self.seen.get(corner)
            if known is None:
                return f"the {side}'s packages cannot be installed together again"
            if not known.ran and not expected:
                return f"with the {side}'s packages installed again, the model fails with {known.error}"
        return ""

    @property
    def _whole(self) -> Corner:
        return frozenset(package.name for package in self.group.packages)

    def releases(self, name: str, available: Sequence[Version]) -> Releases | None:
        """Since which release a package moves the numbers, with the others as they were where it did.

        Args:
            name: of the package.
            available: its releases on the index, oldest first.

        Returns:
            What was found, or None where no partial upgrade shows it apart from others.

        Raises:
            OutOfTimeError: before the two neighbours were found.
        """
        package = next(each for each in self.group.packages if each.name == name)
        others = self._others(name)
        if others is None:
            return None
        before, after = Version(package.before), Version(package.after)
        ends = {before: self.seen[others], after: self.seen[others | {name}]}
        low, high = min(ends), max(ends)

        def run(versions: Sequence[Version]) -> list[Behaviour]:
            return [ends.get(version) or self._release(others, name, version) for version in versions]

        sweep = Sweep([low, *(each for each in available if low < each < high), high], run)
        sweep.look([low, high])
        sweep.refine()

        def likeness(seen: Behaviour) -> Likeness:
            if seen.digest == ends[after].digest:
                return "candidate"
            if seen.digest == ends[before].digest:
                return "baseline"
            return "other" if seen.ran else "failure"

        return sweep.summary(likeness, before, after).model_copy(update={"package": name})

    def _others(self, name: str) -> Corner | None:
        """The smallest partial upgrade to which a package adds the change."""
        for corner in sorted(self.seen, key=len):
            further = self.seen.get(corner | {name})
            if name not in corner and further is not None and further.digest != self.seen[corner].digest:
                return corner
        return None

    def _release(self, others: Corner, name: str, version: Version) -> Behaviour:
        return self._behaviour(self.environment(others, {name: str(version)}), f"{name} {version}")

    def _behaviour(self, environment: Environment, subject: str) -> Behaviour:
        """How the cell behaves in an environment, as it is known or by a run."""
        standard = self._standard.identity if self._standard else ()
        facts = [environment.requirements, environment.overrides, environment.python, environment.variables]
        key = key_of(self.case.identity, self.case.aspect, self.case.metrics, self._batches, standard, facts)
        known = self._results.get(key)
        if known is None:
            self.budget.check()
            result = self._capture(environment)
            known = behaviour(result, self.case.aspect, self.case.metrics)
            if self._standard is not None:
                known = self._standard.classed(known, result)
            if known.error not in PASSING:
                self._results.keep(key, known)
        self._progress.ran(subject, known)
        return known

    def _measured(self, environments: Sequence[Environment]) -> tuple[Capture, Capture] | None:
        """Both ends with their noise."""
        left, right = (self._capture(each, NOISE) for each in environments)
        return (left, right) if isinstance(left, Capture) and isinstance(right, Capture) else None

    @property
    def _batches(self) -> tuple[int, ...]:
        """All of them, unless predictions are judged: then those that moved most are enough."""
        return () if self.case.rules is None or self.case.batch is None else (self.case.batch,)

    def environment(self, corner: Corner, versions: Mapping[str, str] | None = None) -> Environment:
        """The environment of a corner: pinned suspects, the common requirements, everything else free.

        `versions` names other releases of some suspects.
        """
        baseline, candidate = self.sides
        pinned = {
            each.name: each.after if each.name in corner else each.before for each in self.group.packages
        }
        pins = [f"{name}=={version}" for name, version in {**pinned, **(versions or {})}.items()]
        riders = {each.name for each in self.group.riders}
        common = [
            line
            for line in dict.fromkeys((*baseline.requirements, *candidate.requirements))
            if name_of(line) not in self._whole | riders
        ]
        free = _unpinned((*baseline.requirements, *candidate.requirements), riders)
        requirements = (*pins, *_first_by_name(common), *free)
        digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:10]
        return replace(baseline, name=f"origin-{digest}", requirements=requirements, constraints=(), axes=())

    def _capture(
        self, environment: Environment, tasks: Mapping[str, Mapping[str, JsonValue]] | None = None
    ) -> Capture | Failure:
        """What the cell records in an environment, with some tasks in place of its own."""
        uv = replace(Uv.bundled(os.environ, self.install.variables), seconds=600)
        root, locks = self.root / "environments", self.root / "locks"
        built = prepare(environment, self.install, root, locks, uv)
        if isinstance(built, Failure):
            return built
        python = built.python
        folder = self._runs / f"{environment.name}{'-noise' if tasks else ''}"
        place = Place(environment, folder, self.pythonpath, lambda: python)
        job = replace(
            self.case.job,
            id=f"{self.case.cell}/{environment.name}",
            folder=str(folder / "job"),
            environment=environment.name,
            brief=True,
            batches=self._batches,
            overlay=None,
            needs=(),
            budget="",
        )
        if tasks:
            job = replace(job, tasks={name: dict(options) for name, options in tasks.items()})
        with Pool([place], self.bounds, Silent(), 1) as pool:
            return pool.run([job])[job.id]


def _is_unavailable(known: Behaviour) -> bool:
    """Whether an environment could not be installed."""
    return known.stage in ("resolve", "install")


def _unpinned(lines: Iterable[str], names: set[str]) -> list[str]:
    """Requirements by name alone: the resolver chooses what goes with the suspects."""
    outcome = {name_of(line) for line in lines if name_of(line) in names}
    return sorted(canonicalize_name(name) for name in outcome if name)


def _first_by_name(lines: Sequence[str]) -> list[str]:
    kept: dict[str, str] = {}
    for line in lines:
        kept.setdefault(name_of(line) or line, line)
    return list(kept.values())

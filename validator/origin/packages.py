"""Which package of a grouped upgrade moves the numbers: partial upgrades, of those that can be installed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from validator.config.settings import Install
from validator.environments import Uv, prepare
from validator.failure import Failure
from validator.matrix import Environment
from validator.origin.budget import Budget
from validator.origin.case import Case, PhaseProgress, SearchWatcher
from validator.origin.evidence import behaviour, failed
from validator.origin.results import Results, key_of
from validator.origin.types import PASSING, Behaviour, Moved, Packages
from validator.runner import Bounds, Place, Pool
from validator.runner import Watcher as Silent
from validator.upgrade import name_of

#: Packages whose upgrade somebody asks for; all others ride along with them.
FRAMEWORKS = frozenset(
    {"keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch", "numpy", "tf-keras"}
)
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
        asked = [package for package in moved if package.name in FRAMEWORKS]
        return cls(tuple(asked), tuple(package for package in moved if package not in asked))

    @property
    def is_searched(self) -> bool:
        """Whether there is more than one suspect, and not too many."""
        return 1 < len(self.packages) <= _MOST


def find_packages(group: Group, observe: Observe) -> Packages:
    """Run every partial upgrade that can be installed, and name the packages that move the numbers."""
    names = [package.name for package in group.packages]
    corners = [frozenset(part) for size in range(len(names) + 1) for part in combinations(names, size)]
    seen: dict[Corner, str] = {}
    for corner in [corners[0], corners[-1], *corners[1:-1]]:
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
    """Runs a case in environments of partial upgrades.

    Attributes:
        sides: the baseline's environment and the candidate's.
        root: keeps the environments and their locks.
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

    def __post_init__(self) -> None:
        self._results = Results(self.root / "results" / f"{self.case.identity}.jsonl")
        self._progress = PhaseProgress(self.case.cell, self.watcher, "packages")

    def observe(self, corner: Corner) -> Behaviour | None:
        """How the cell behaves where only some packages are new; None where they cannot be installed."""
        environment = self.environment(corner)
        key = key_of(self.case.identity, self.case.aspect, self.case.metrics, self._facts(environment))
        known = self._results.get(key)
        if known is None:
            self.budget.check()
            known = self._run(environment)
            if known.error not in PASSING:
                self._results.keep(key, known)
        new = ", ".join(f"{each.name} {each.after}" for each in self.group.packages if each.name in corner)
        self._progress.ran(new or "the baseline's packages", known)
        return None if known.stage in ("resolve", "install") else known

    def _facts(self, environment: Environment) -> list[object]:
        return [environment.requirements, environment.overrides, environment.python, environment.variables]

    def environment(self, corner: Corner) -> Environment:
        """The environment of a corner: pinned suspects, the common requirements, everything else free."""
        baseline, candidate = self.sides
        pins = [
            f"{each.name}=={each.after if each.name in corner else each.before}"
            for each in self.group.packages
        ]
        riders = {each.name for each in self.group.riders}
        suspects = {each.name for each in self.group.packages}
        common = [
            line
            for line in dict.fromkeys((*baseline.requirements, *candidate.requirements))
            if name_of(line) not in suspects | riders
        ]
        free = _unpinned((*baseline.requirements, *candidate.requirements), riders)
        requirements = (*pins, *_first_by_name(common), *free)
        digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:10]
        return replace(baseline, name=f"origin-{digest}", requirements=requirements, constraints=(), axes=())

    def _run(self, environment: Environment) -> Behaviour:
        built = prepare(
            environment,
            self.install,
            self.root / "environments",
            self.root / "locks",
            replace(Uv.bundled(os.environ), seconds=600),
        )
        if isinstance(built, Failure):
            return failed(built)
        python = built.python
        folder = self.root / "runs" / f"{os.getpid()}-{environment.name}"
        place = Place(environment, folder, self.pythonpath, lambda: python)
        job = replace(
            self.case.job,
            id=f"{self.case.cell}/{environment.name}",
            folder=str(folder / "job"),
            environment=environment.name,
            brief=True,
            overlay=None,
            needs=(),
            budget="",
        )
        with Pool([place], self.bounds, Silent(), 1) as pool:
            result = pool.run([job])[job.id]
            return behaviour(result, self.case.aspect, self.case.metrics)


def _unpinned(lines: Iterable[str], names: set[str]) -> list[str]:
    """Requirements by name alone: the resolver chooses what goes with the suspects."""
    outcome = {name_of(line) for line in lines if name_of(line) in names}
    return sorted(canonicalize_name(name) for name in outcome if name)


def _first_by_name(lines: Sequence[str]) -> list[str]:
    kept: dict[str, str] = {}
    for line in lines:
        kept.setdefault(name_of(line) or line, str(Requirement(line)) if name_of(line) else line)
    return list(kept.values())

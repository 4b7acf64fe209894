"""Where the cells of a run come from: which are traced, by which evidence, and within which time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.version import InvalidVersion, Version

from validator.catalogue.matching import ObservedOrigin
from validator.checks.accuracy.types import AccuracyComparison, MetricOnlyFinding
from validator.checks.outputs.types import OutputsComparison
from validator.environments import Overlays, Uv
from validator.failure import Failure
from validator.matrix import Cell, Environment
from validator.origin import (
    Aspect,
    Behaviour,
    Budget,
    Case,
    Corners,
    Group,
    Origin,
    Packages,
    Releases,
    Rules,
    SearchWatcher,
    Site,
    find_packages,
    trace,
)
from validator.origin.budget import OutOfTimeError
from validator.pipeline.jobs import JobMaker
from validator.pipeline.project import command_of
from validator.report.reproduce import further_search
from validator.report.words.origin import progress
from validator.runner import Bounds, Job, Watcher
from validator.verdict.bands import BANDS
from validator.verdict.gate import check_verdict
from validator.verdict.judge import with_origin
from validator.verdict.results import CellResult, EnvironmentResult

_LANES = 2  # versions that run at a time


@dataclass(frozen=True)
class Installed:
    """The environments of a run as they ran, and the interpreter of each by name."""

    environments: tuple[EnvironmentResult, ...]
    pythons: Mapping[str, Path]

    def packages(self, environment: str) -> dict[str, str]:
        """Name → version; empty where the environment did not run."""
        outcome = (each.packages for each in self.environments if each.name == environment)
        return dict(next(outcome, {}))


@dataclass(frozen=True)
class Ground:
    """What a search stands on: the project, its installed environments, the limits of a worker."""

    maker: JobMaker
    installed: Installed
    bounds: Bounds
    watcher: Watcher = field(default_factory=Watcher)


def aspect_of(cell: CellResult, *, anything: bool = False) -> Aspect | None:
    """Which evidence of a cell is traced; None where nothing changed.

    `anything`: also that it fails, or that its predictions differ in bytes alone.
    """
    if cell.verdict == "changed":
        return "outputs"
    if cell.verdict == "metric-only":
        return "reported"
    asides: tuple[Aspect, ...] = ("training", "decode")
    changed = next((aside for aside in asides if check_verdict(cell, aside) == "changed"), None)
    if changed is None and anything and cell.verdict in ("failed", "suspicious", "rounding"):
        return "outputs"
    return changed


def traced(ground: Ground, results: Sequence[CellResult], seconds: float) -> dict[str, Origin]:
    """Trace every cell that moved, worst first, within a time that they share. Cell id → what was found."""
    cells = {cell.id: cell for cell in ground.maker.project.plan.cells}
    about_packages = (result for result in results if result.effect in (None, "packages"))
    due = [(result, aspect) for result in about_packages if (aspect := aspect_of(result)) is not None]
    budget = Budget(seconds)
    return {result.cell: trace_cell(ground, cells[result.cell], result, budget) for result, _ in due}


def trace_cell(ground: Ground, cell: Cell, result: CellResult, budget: Budget) -> Origin:
    """Trace one cell: packages of a group first, with their releases, then Keras."""
    aspect = aspect_of(result, anything=True)
    if aspect is None:
        raise ValueError(f"{cell.id} did not move")
    spent = budget.spent
    subject = _Subject(ground, cell, result, aspect)
    outcome = (
        _among_packages(subject, budget)
        if subject.group.is_searched and subject.is_alike
        else _PackageSearch()
    )
    packages = outcome.packages
    movers = {*packages.alone, *_flat(packages.together)} if packages else {"keras"}
    if outcome.stopped:
        origin = Origin(aspect=aspect, stopped="packages", command=subject.command)
    elif outcome.reason:
        origin = Origin(aspect=aspect, refused="unsupported", reason=outcome.reason)
    elif packages and "keras" not in movers:
        origin = Origin(aspect=aspect, refused=None if movers else "same")
    elif subject.reason:
        origin = Origin(aspect=aspect, refused="unsupported", reason=subject.reason)
    else:
        origin = _traced(subject, budget)
    update = {"packages": packages, "package_releases": tuple(outcome.releases)}
    return origin.model_copy(update={**update, "seconds": round(budget.spent - spent, 1)})


@dataclass
class _PackageSearch:
    """What the search among packages came to; `stopped` where its time ended before, or why it cannot be."""

    packages: Packages | None = None
    releases: list[Releases] = field(default_factory=list)
    stopped: bool = False
    reason: str = ""


def _among_packages(subject: _Subject, budget: Budget) -> _PackageSearch:
    """Which packages move the numbers and, of those that do it alone, since which release."""
    outcome = _PackageSearch()
    try:
        with subject.corners(budget) as corners:
            packages = find_packages(subject.group, corners.observe)
            if corners.broken:
                return _PackageSearch(reason=corners.broken)
            outcome.packages = packages
            overlays = subject.overlays()
            for name in outcome.packages.alone:
                listed = () if name == "keras" else overlays.releases(name)
                known = corners.releases(name, listed) if listed and not isinstance(listed, Failure) else None
                outcome.releases += [known] if known else []
    except OutOfTimeError:
        outcome.stopped = True
    except OSError as error:  # a full disk costs the search, not the report
        outcome.stopped = outcome.packages is None
        subject.ground.watcher.learnt(f"{error.filename or subject.cell.id}: {error.strerror or error}")
    return outcome


def explained(cell: CellResult, origin: Origin) -> CellResult:
    """A cell with its origin, and the known changes that fit it."""
    seen = observed(origin)
    named = cell if seen is None else with_origin(cell, seen)
    return named.model_copy(update={"origin": origin})


def observed(origin: Origin) -> ObservedOrigin | None:
    """What the catalogue of known changes can tell from an origin; None where no release was found."""
    packages = origin.packages
    if packages is not None and "keras" not in {*packages.alone, *_flat(packages.together)}:
        named = packages.alone or packages.together
        return ObservedOrigin("", "") if named else None
    if origin.refused == "same":  # Keras alone changes nothing; with other packages it may
        return None if packages is not None and packages.together else ObservedOrigin("", "")
    releases = origin.releases
    border = None if releases is None else releases.since if releases.traced == "since" else releases.gone
    if border is None or border.package != "keras":
        return None
    places = (f"{unit.path}:{unit.name}" for lines in origin.lines for unit in lines.units)
    return ObservedOrigin(border.before, border.after, tuple(places))


def _traced(subject: _Subject, budget: Budget) -> Origin:
    """The search among versions of Keras. A folder that cannot be written costs no report."""
    baseline, candidate = subject.versions
    if baseline is None:
        raise ValueError(subject.reason)
    try:
        case = subject.case(candidate, baseline)
        return trace(case, subject.site(), budget, subject.watcher, subject.command)
    except OSError as error:
        reason = f"{error.filename or 'its folder'}: {error.strerror or error}"
        return Origin(aspect=subject.aspect, refused="unsupported", reason=reason)


def _flat(groups: Iterable[Sequence[str]]) -> list[str]:
    return [name for group in groups for name in group]


@dataclass(frozen=True)
class _Subject:
    """One cell as the search needs it."""

    ground: Ground
    cell: Cell
    result: CellResult
    aspect: Aspect

    @property
    def _project_folder(self) -> Path:
        return self.ground.maker.project.folder

    @property
    def _baseline(self) -> Cell:
        return self.ground.maker.project.plan.baseline_of(self.cell)

    def _environment(self, cell: Cell) -> Environment:
        return self.ground.maker.project.plan.environment(cell.environment)

    @property
    def legacy(self) -> bool:
        """Whether the candidate runs tf-keras, which cannot be laid over an environment."""
        return self._environment(self.cell).legacy

    @property
    def is_alike(self) -> bool:
        """Whether packages are all that differs between the two environments."""
        left, right = self._environment(self._baseline), self._environment(self.cell)
        return (left.python, dict(left.variables)) == (right.python, dict(right.variables))

    @property
    def versions(self) -> tuple[Version | None, Version | None]:
        """The releases of Keras of baseline and candidate; None for tf-keras, and where it is unknown."""
        return self._version(self._baseline), None if self.legacy else self._version(self.cell)

    def _version(self, cell: Cell) -> Version | None:
        if self._environment(cell).legacy:
            return None
        try:
            version = Version(self.ground.installed.packages(cell.environment).get("keras", ""))
        except InvalidVersion:
            return None
        return version if version.major >= 3 else None

    @property
    def reason(self) -> str:
        """Why Keras cannot be traced here; empty where it can."""
        baseline, candidate = self.versions
        if baseline is None:
            return "the baseline does not run a release of Keras 3"
        if candidate is None and not (self.legacy and self.aspect == "reported"):
            return "the candidate does not run a release of Keras 3"
        if self.base.environment not in self.ground.installed.pythons:
            return f"the environment {self.base.environment} is not installed"
        if baseline == candidate:
            return "both environments run the same release of Keras"
        return ""

    @property
    def base(self) -> Cell:
        """Over whose environment versions are laid: that of the older release, on which newer ones run."""
        baseline, candidate = self.versions
        older = candidate is None or baseline is None or baseline <= candidate
        return self._baseline if older else self.cell

    @property
    def group(self) -> Group:
        """The packages that differ."""
        installed = self.ground.installed
        sides = [installed.packages(cell.environment) for cell in (self._baseline, self.cell)]
        return Group.between(sides[0], sides[1])

    @property
    def command(self) -> str:
        """What goes on with this search."""
        return further_search(command_of(self.ground.maker.project, self.cell), self.cell.id)

    @property
    def watcher(self) -> SearchWatcher:
        """Progress as lines."""
        learnt = self.ground.watcher.learnt
        return SearchWatcher(
            lambda cell, phase, subject, outcome: learnt(progress(cell, phase, subject, outcome))
        )

    def job(self) -> Job:
        """The job that records the evidence."""
        maker, cell = self.ground.maker, self.base
        tasks = maker.tasks(cell)
        if self.aspect == "training":
            task = tasks["training"]
            lean = {"members": 0, "seeds": 0, "epochs": 0, "reference": False}
            return maker.own(cell, "training", replace(task, options={**task.options, **lean}))
        chosen = {}
        if self.aspect == "decode":
            chosen = {"decode": replace(tasks["decode"], options={**tasks["decode"].options, "noise": 0})}
        return maker.predictions(cell, chosen, evaluate=self.aspect == "reported")

    def case(self, candidate: Version | None, baseline: Version) -> Case:
        """What is traced, between two releases of Keras; None where the candidate's is not one of Keras 3."""
        job = self.job()
        return Case(
            cell=self.cell.id,
            aspect=self.aspect,
            job=job,
            metrics=self._metrics,
            identity=identity(job, self._project_folder),
            baseline=baseline,
            candidate=candidate,
            recorded=self._recorded(),
            fails=self.result.verdict == "failed",
            rules=self.rules,
            batch=self._batch,
        )

    @property
    def rules(self) -> Rules | None:
        """How predictions are judged; None where every byte counts, as where only rounding differs."""
        if self.aspect != "outputs" or self.result.verdict != "changed":
            return None
        return Rules(self.ground.maker.project.model(self.cell.model), BANDS)

    @property
    def _batch(self) -> int | None:
        """The batch whose predictions moved most."""
        comparison = self.result.comparison(OutputsComparison)
        if comparison is None or not comparison.moved:
            return None
        return comparison.moved[0] // self.job().batch_size

    @property
    def _metrics(self) -> tuple[str, ...]:
        outcome = (each for each in self.result.findings if isinstance(each, MetricOnlyFinding))
        return tuple(name for each in outcome for name in (each.reported.name, *each.others))

    def _recorded(self) -> Behaviour | None:
        comparison = self.result.comparison(AccuracyComparison)
        reported = comparison.reported if comparison else ()
        # A metric that moved with the predictions is not what this cell is about.
        values = {each.name: each.candidate for each in reported if each.name in self._metrics}
        return Behaviour(digest="candidate", values=values)

    def site(self) -> Site:
        """Where versions are run."""
        project = self.ground.maker.project
        environment = self._environment(self.base)
        variables = {**dict(environment.variables), **self.job().variables}
        clone = project.settings.origin.repository
        return Site(
            environment=replace(
                environment,
                name=f"origin-{environment.name}",
                requirements=(),  # its own Keras is covered: a worker is not to expect it
                constraints=(),
                variables=tuple(variables.items()),
            ),
            python=self.ground.installed.pythons[self.base.environment],
            packages=self.ground.installed.packages(self.base.environment),
            folder=project.work / "origin",
            pythonpath=(project.folder,),
            bounds=self.ground.bounds,
            overlays=self.overlays(),
            repository=Path(project.resolve(clone)) if clone else None,
            lanes=min(_LANES, len(os.sched_getaffinity(0))),
        )

    def overlays(self) -> Overlays:
        """Wheels of the index that the environment came from."""
        project = self.ground.maker.project
        install = project.install_of(self.base.environment)
        python = self.ground.installed.pythons[self.base.environment]
        uv = Uv.bundled(os.environ, install.variables)
        return Overlays(project.work / "origin" / "overlays", python, install, uv)

    def corners(self, budget: Budget) -> Corners:
        """Environments of partial upgrades."""
        project = self.ground.maker.project
        return Corners(
            case=self.case(None, self.versions[0] or Version("0")),
            group=self.group,
            sides=(self._environment(self._baseline), self._environment(self.cell)),
            install=project.install_of(self.cell.environment),
            root=project.work / "origin",
            pythonpath=(project.folder,),
            bounds=self.ground.bounds,
            budget=budget,
            watcher=self.watcher,
        )


def identity(job: Job, folder: Path) -> str:
    """A digest of everything that decides what a job records, but for the environment: files and settings."""
    total = hashlib.sha256()
    facts = replace(job, id="", folder="", environment="", needs=(), budget="")
    total.update(repr(facts).encode())
    named = [job.artifact, job.weights, *(each for each in (job.inputs, job.labels) if each)]
    named += [str(value) for options in job.tasks.values() for value in options.values()]
    paths = [Path(place) for place in named if place and Path(place).is_absolute()]
    for path in [*paths, *_modules(folder)]:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:24]


def _modules(folder: Path) -> Iterator[Path]:
    """The Python files of the project, any of which a job may import; not those of environments."""
    for place, folders, files in os.walk(folder):
        inner = (name for name in folders if not name.startswith("."))
        folders[:] = sorted(name for name in inner if not Path(place, name, "pyvenv.cfg").is_file())
        yield from (Path(place, name) for name in sorted(files) if name.endswith(".py"))

"""Runs one version of Keras, or a mixture of two, and says how it behaves. Each distinct run happens once."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from validator.environments import Wheel
from validator.failure import Failure
from validator.origin.budget import Budget
from validator.origin.case import Case, PhaseProgress, Site
from validator.origin.difference import Executed, Tree
from validator.origin.evidence import behaviour, failed
from validator.origin.results import Results, key_of
from validator.origin.standard import NOISE, Standard
from validator.origin.types import PASSING, Behaviour
from validator.runner import Capture, Forks, Job, Overlay, write_json

#: A mixture of two versions can hang: it ends after ten seconds, or five times what the baseline took. A
#: whole version is slow when it is run first: its modules are compiled.
_LEAST_SECONDS, _TIMES, _WHOLE_TIMES = 10.0, 5.0, 4.0


@dataclass
class Steps:
    """The runs of one case. `runs` counts those that were not known already."""

    case: Case
    site: Site
    forks: Forks
    budget: Budget
    progress: PhaseProgress
    results: Results
    beside: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    runs: int = 0
    mixtures: int = 0
    _scratch: int = 0
    _common: tuple[object, ...] = ()
    _seconds: float = 0.0
    _standard: Standard | None = None

    def __post_init__(self) -> None:
        packages = {name: version for name, version in self.site.packages.items() if name != "keras"}
        variables = dict(self.site.environment.variables)
        self._seconds = self.site.bounds.job_seconds
        self._common = (self.case.identity, self.case.aspect, self.case.metrics, packages, variables, _cpu())

    def wheel(self, wheel: Wheel) -> Behaviour:
        """How a release or a night behaves."""
        return self.wheels([wheel])[0]

    def wheels(self, wheels: Sequence[Wheel], *, again: int = 0) -> list[Behaviour]:
        """How some do, side by side. `again` counts repetitions: each of them is a run of its own."""
        keys = [self._key(self.site.overlays.digest(wheel), again) for wheel in wheels]
        due = {key: wheel for key, wheel in zip(keys, wheels, strict=True) if self.results.get(key) is None}
        jobs: dict[str, Overlay] = {}
        outcome: dict[str, Behaviour] = {}
        for key, wheel in due.items():
            self.budget.check()
            folder = self.site.overlays.folder(wheel)
            if isinstance(folder, Failure):
                outcome[key] = failed(folder)
            else:
                jobs[key] = Overlay(str(folder.resolve()), self.beside)
        outcome.update(self._run(jobs))
        for key, wheel in zip(keys, wheels, strict=True):
            if key in outcome:
                self.progress.ran(str(wheel), outcome[key])
        return [outcome.get(key) or self._known(key) for key in keys]

    def mixture(self, folder: Path, name: str, sources: Mapping[str, str]) -> Behaviour:
        """How a tree behaves with some texts instead of its files. `name` says which tree it is."""
        key = self._key(name, sorted(sources.items()))
        known = self.results.get(key)
        if known is not None:
            return known
        self.budget.check()
        with self._file("sources") as path:
            write_json(path, dict(sources))
            overlay = Overlay(str(folder.resolve()), self.beside, sources=str(path))
            outcome = self._run({key: overlay}, times=1.0)[key]
        self.mixtures += 1
        self.progress.ran(f"mixture {self.mixtures}", outcome)
        return outcome

    def tree(self, wheel: Wheel) -> Tree | Failure:
        """A version with what the case uses of it."""
        folder = self.site.overlays.folder(wheel)
        if isinstance(folder, Failure):
            return folder
        kept = self.site.folder / "traces" / f"{self._key(self.site.overlays.digest(wheel), 'trace')}.json"
        if not kept.is_file():
            self.budget.check()
            with self._file("trace") as path:
                overlay = Overlay(str(folder.resolve()), self.beside, trace=str(path))
                self._run({self._key(self.site.overlays.digest(wheel), "traced"): overlay})
                if path.is_file():
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, kept)
        return Tree(folder, Executed.read(kept))

    def limit(self, seconds: float) -> None:
        """Give each run so much of what the baseline's took."""
        self._seconds = max(_LEAST_SECONDS, _TIMES * seconds) if seconds else self.site.bounds.job_seconds

    def judge_by(self, ends: Mapping[Wheel, Behaviour]) -> None:
        """From now on, what is like one of the ends counts as that end: the baseline's is the first."""
        baseline, candidate = ends.values()
        self._standard = Standard(baseline, candidate, self.case.rules, lambda: self._measured(list(ends)))
        for wheel, end in ends.items():
            self.results.keep(self._key(self.site.overlays.digest(wheel), 0), end)

    def _measured(self, ends: Sequence[Wheel]) -> tuple[Capture, Capture] | None:
        """Both ends with their noise; their folders stay until the search ends."""
        self.forks.job_seconds = self.site.bounds.job_seconds
        left, right = self.captures(ends, {name: dict(options) for name, options in NOISE.items()})
        return (left, right) if isinstance(left, Capture) and isinstance(right, Capture) else None

    def captures(
        self, wheels: Sequence[Wheel], tasks: Mapping[str, dict[str, JsonValue]] | None = None
    ) -> list[Capture | Failure]:
        """What versions record, side by side; their folders stay until `forget`."""
        self.budget.check()
        folders = [self.site.overlays.folder(wheel) for wheel in wheels]
        failed = next((folder for folder in folders if isinstance(folder, Failure)), None)
        if failed is not None:
            return [failed] * len(wheels)
        jobs = [self._job(Overlay(str(Path(str(each)).resolve()), self.beside)) for each in folders]
        self.runs += len(jobs)
        return self.forks.run([replace(job, tasks=dict(tasks or job.tasks)) for job in jobs])

    def forget(self, result: Capture | Failure) -> None:
        """Remove the files of a capture."""
        if isinstance(result, Capture):
            shutil.rmtree(result.folder, ignore_errors=True)

    def _run(self, overlays: Mapping[str, Overlay], times: float = _WHOLE_TIMES) -> dict[str, Behaviour]:
        self.forks.job_seconds = min(self.site.bounds.job_seconds, times * self._seconds)
        jobs = {key: self._job(overlay) for key, overlay in overlays.items()}
        self.runs += len(jobs)
        captured = self.forks.run(list(jobs.values()))
        outcome = {}
        for key, result in zip(jobs, captured, strict=True):
            seconds = round(self.forks.seconds(jobs[key].id), 3)
            seen = behaviour(result, self.case.aspect, self.case.metrics)
            if self._standard is not None:
                seen = self._standard.classed(seen, result)
            outcome[key] = seen.model_copy(update={"seconds": seconds})
            self.forget(result)
            shutil.rmtree(jobs[key].folder, ignore_errors=True)
            if outcome[key].error not in PASSING:
                self.results.keep(key, outcome[key])
        return outcome

    def _job(self, overlay: Overlay) -> Job:
        self._scratch += 1
        name = f"{self.case.cell}/origin-{self._scratch}"
        folder = self.site.folder / "runs" / str(os.getpid()) / f"{id(self):x}-{self._scratch}"
        return replace(
            self.case.job,
            id=name,
            folder=str(folder),
            needs=(),
            budget="",
            brief=True,
            batches=self.batches,
            overlay=overlay,
            environment=self.site.environment.name,
        )

    @contextlib.contextmanager
    def _file(self, name: str) -> Iterator[Path]:
        self._scratch += 1
        path = self.site.folder / "runs" / str(os.getpid()) / f"{id(self):x}-{self._scratch}-{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _key(self, *parts: object) -> str:
        standard = self._standard.identity if self._standard else ()
        return key_of(*self._common, self.batches, standard, *parts)

    def _known(self, key: str) -> Behaviour:
        known = self.results.get(key)
        if known is None:
            raise AssertionError("unreachable: every run gives a behaviour")
        return known


def _cpu() -> str:
    """What decides the kernels, and with them the bytes: a cache may move to another machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))

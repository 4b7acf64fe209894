"""Runs jobs unless a cache or an interrupted run has what they gave for the same packages, code and inputs.

What was restored is verified by running one batch again where its environment runs anyway, and where a cell
moved, before anything is said about it. What fails, or is random, is never kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from pydantic import JsonValue

from validator import __version__
from validator.errors import ValidatorError
from validator.failure import Failure
from validator.matrix import Environment
from validator.pipeline.bounds import repository_of
from validator.pipeline.places import lock_of
from validator.pipeline.project import Project
from validator.pipeline.run_folder import RunFolder
from validator.remote import digest
from validator.runner import (
    Capture,
    CaptureStore,
    EnvironmentFacts,
    Job,
    KeptCapture,
    Machine,
    Marks,
    Pool,
    Watcher,
    can_spot,
    same_batch,
    sealed,
    stamps,
    worker_digest,
)
from validator.storage import recording
from validator.text import plain, redact
from validator.upgrade import model_files, pinned
from validator.verdict.results import RestoredCapture

#: Variables of the caller that workers see, and that can choose other kernels.
_SEEN = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_SPOT = "/spot"
#: In a lock, a package from a commit of a repository.
_COMMIT = re.compile(r" @ git\+(https|ssh)://\S+@[0-9a-f]{40}(#\S*)?$")
#: Fields of a job that do not decide what it computes, or stand in the key in another way.
_LEFT_OUT = frozenset({"folder", "needs", "budget", "overlay"})


@dataclass
class Restoring:
    """Jobs of one run, restored or run by a pool.

    `marks`: of what ended here, and in an interrupted run. `store`: a cache, where one is asked for.
    """

    pool: Pool
    project: Project
    folder: RunFolder
    marks: Marks
    store: CaptureStore | None = None
    watcher: Watcher = field(default_factory=Watcher)
    kept: dict[str, KeptCapture] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)
    _asked: dict[str, Job] = field(default_factory=dict)
    _budgets: dict[str, float] = field(default_factory=dict)
    _trusted: bool = True

    def run(
        self, jobs: Sequence[Job], budgets: Mapping[str, float] = MappingProxyType({})
    ) -> dict[str, Capture | Failure]:
        """As `Pool.run`. Jobs of which nothing changed are restored, and verified where their worker runs."""
        self._asked |= {job.id: job for job in jobs}
        for job in jobs:
            self._note_state(job)
        restored = {job.id: kept.capture for job in jobs if (kept := self._restored(job)) is not None}
        due = [job for job in jobs if job.id not in restored]
        run = {job.environment for job in due} | set(self.pool.pythons())
        spots = [self._spot(job) for job in self._unverified() if job.environment in run]
        for id_ in restored:
            self.watcher.finished(id_, None)
        for job in due if self.marks.resumes else ():
            _emptied(Path(job.folder))
        self._budgets |= budgets
        results = self.pool.run([*spots, *(self._free(job) for job in due)], budgets, self._keep)
        ran = {job.id: results[job.id] for job in due} | self._rerun(spots, results)
        return {**restored, **ran}

    def verify(self, cells: Iterable[str]) -> dict[str, Capture | Failure]:
        """Run a batch of restored predictions again; where it differs, the whole job, and what that gives."""
        asked = set(cells)
        spots = [self._spot(job) for job in self._unverified() if job.id in asked]
        return self._rerun(spots, self.pool.run(spots, ended=self._keep)) if spots else {}

    def distrust(self) -> None:
        """From now on nothing is restored: everything runs."""
        self._note("that came to light when cells had been judged by it, so all others ran again too")
        self.marks.clear()
        self._trusted = False
        for each in (self.kept, self.verified, self._asked, self._budgets):
            each.clear()

    def _rerun(
        self, spots: Sequence[Job], results: Mapping[str, Capture | Failure]
    ) -> dict[str, Capture | Failure]:
        """Run what batches show to be stale, with all that read it; what that gives."""
        stale = self._verified(spots, results)
        return self.pool.run([self._free(job) for job in stale], self._budgets, self._keep)

    def facts(self, environment: str) -> EnvironmentFacts | None:
        """What a worker of an environment sees, or saw where all that it did was restored."""
        own = self.pool.facts().get(environment)
        kept = (each.facts for id_, each in self.kept.items() if self._asked[id_].environment == environment)
        return own or next(kept, None)

    @property
    def captures(self) -> tuple[RestoredCapture, ...]:
        """The predictions that were restored, for the report."""
        return tuple(
            RestoredCapture(cell=id_, measured=kept.measured.isoformat(), verified=id_ in self.verified)
            for id_, kept in sorted(self.kept.items())
            if self._asked[id_].predict
        )

    def _restored(self, job: Job) -> KeptCapture | None:
        if not self._trusted:
            return None
        place_key = self._place(job) if self.marks.resumes else None
        kept = None if place_key is None else self.marks.restore(place_key, job)
        key = self._keys.get(job.id)
        if self.store is not None and key is not None and not isinstance(kept, KeptCapture):
            self._note(kept)
            kept = self.store.restore(key, job, self.folder.captures(job.environment))
        if not isinstance(kept, KeptCapture):
            self._note(kept)
            return None
        # Workers of this run could write to it as to any other capture.
        capture = kept.capture if kept.capture.seal else sealed(kept.capture, sys.maxsize)
        if isinstance(capture, Failure):
            self._note(f"what was kept of {job.id} is not used: {capture.message}")
            return None
        if job.predict and not can_spot(capture):
            self._note(f"one batch of what {job.id} gives cannot be compared, so all of it runs again")
            return None
        self.kept[job.id] = kept = replace(kept, capture=capture)
        return kept

    def _keep(self, job: Job, result: Capture | Failure) -> None:
        """A job ended: mark it, and write it to the cache. The thread of its environment calls this."""
        if job.id.endswith(_SPOT):
            if isinstance(result, Capture) and not self._is_same(job, result):
                self.marks.clear()  # a run that is interrupted now must not go on from what is stale
            return
        asked, facts = self._asked[job.id], self.pool.facts().get(job.environment)
        if facts is None or not isinstance(result, Capture) or not _is_lasting(result):
            return
        try:
            place_key = self._place(asked)
            if place_key is not None:
                self.marks.keep(place_key, asked, result, facts)
            if self.store is not None and (key := self._keys.get(job.id)) is not None:
                self._note(self.store.keep(key, asked, result, facts))
        except (OSError, ValueError, ValidatorError) as error:  # the run goes on without
            self._note(f"{job.id} is not kept: {plain(str(error) or type(error).__name__, 200)}")

    def _is_same(self, spot: Job, result: Capture) -> bool:
        """Whether one batch of a restored capture is what it was."""
        return same_batch(self.kept[spot.id.removesuffix(_SPOT)].capture, result)

    def _note(self, note: str | None) -> None:
        """A sentence for the report, where somebody asked for what earlier runs left."""
        if note is not None and (self.store is not None or self.marks.resumes):
            self.notes[note] = None

    def _unverified(self) -> list[Job]:
        """Jobs with restored predictions that no batch stands for yet."""
        jobs = (self._asked[id_] for id_ in self.kept if id_ not in self.verified)
        return [job for job in jobs if job.predict]

    def _spot(self, job: Job) -> Job:
        return replace(
            job,
            id=job.id + _SPOT,
            folder=str(Path(job.folder) / "+spot"),
            brief=True,
            batches=(0,),
            evaluate=False,
            tasks={},
            needs=(),
        )

    def _verified(self, spots: Sequence[Job], results: Mapping[str, Capture | Failure]) -> list[Job]:
        """Note which restored predictions hold. Where one does not, all that was restored there is stale."""
        stale: dict[str, Job] = {}
        for spot in spots:
            id_, result = spot.id.removesuffix(_SPOT), results[spot.id]
            if isinstance(result, Failure) and result.stage == "unreached":
                continue  # the time is over, which says nothing about it
            if isinstance(result, Capture) and self._is_same(spot, result):
                self.verified.add(id_)
                continue
            self._trusted = False
            where = spot.environment
            self._note(f"a batch of {id_} differs from what was kept, so {where} ran again")
            stale |= {kept: job for kept in self.kept if (job := self._asked[kept]).environment == where}
        stale |= {id_: job for id_, job in self._asked.items() if stale.keys() & set(job.needs)}
        for id_ in stale:
            self.kept.pop(id_, None)
        return list(stale.values())

    def _free(self, job: Job) -> Job:
        """A job without the need of what was restored, which is there already."""
        return replace(job, needs=tuple(needed for needed in job.needs if needed not in self.kept))

    def key(self, job: Job) -> str | None:
        """A digest of all that decides what a job gives; None where that is not known, so that it runs."""
        needed = [self._asked.get(id_) for id_ in job.needs]
        captures = {each.folder: self.key(each) for each in needed if each is not None}
        if None in (*needed, *captures.values()):
            return None
        files = self._models.get(job.id.partition("@")[0])
        if not isinstance(files, dict):
            self._note(files and f"{job.id.partition('@')[0]} is not restored: {files}")
            return None
        try:
            described = self._described(job, captures, self._digest)
        except OSError as error:
            why = f"{error.filename or 'a file that it names'}: {error.strerror or error}"
            self._note(f"{job.id} is not restored: {why}")
            return None
        return None if described is None else self._installed(job, [files, described])

    def _place(self, job: Job) -> str | None:
        """The same of a run in this very folder: what its files looked like when the job was asked for."""
        captures = [self._place(self._asked[id_]) if id_ in self._asked else None for id_ in job.needs]
        described = self._states.get(job.id)
        if self._tree is None or described is None or None in captures:
            return None
        return self._installed(job, [self._tree, described, *captures])

    def _installed(self, job: Job, files: list[object]) -> str | None:
        """A digest of a job's files and of what runs them; None where no version pins that."""
        environment = self.project.plan.environment(job.environment)
        lock = self._lock(environment)
        if lock is None or environment.base_files:
            return None
        loose = _unpinned(lock)
        if loose:
            why = f"no version or commit pins what {plain(redact(loose), 200)} holds"
            self._note(f"what runs in {job.environment} is not restored: {why}")
            return None
        seen = [os.environ.get(name, "") for name in _SEEN]
        pins = [line for line in lock.splitlines() if not line.startswith("#")]
        whole = [__version__, worker_digest(), pins, *files, seen]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def _described(
        self, job: Job, captures: Mapping[str, object], digest_of: Callable[[str], str]
    ) -> str | None:
        """A job as text, with a digest in place of each path; None where it reads what another job left.

        Of a capture in `captures`, that is its key.
        """
        if job.overlay is not None:
            return None
        environment = self.project.plan.environment(job.environment)
        # When its packages were looked for is not part of it: their versions are.
        install = self.project.install_of(job.environment).model_dump(mode="json", exclude={"exclude_newer"})
        where = [environment.python, environment.legacy, environment.backend, *environment.variables]
        facts = {name: getattr(job, name) for name in job.__dataclass_fields__ if name not in _LEFT_OUT}
        facts |= {"environment": where, "install": install}
        text = json.dumps(_digested(facts, captures, digest_of), sort_keys=True, default=str)
        return None if str(self.folder.root) in text else text

    def _digest(self, path: str) -> str:
        if path not in self._digests:
            self._digests[path] = _recorded(path) or digest(Path(path))
        return self._digests[path]

    _digests: dict[str, str] = field(default_factory=dict)

    def _note_state(self, job: Job) -> None:
        """Note what decides a job before it begins: what its files look like, and its key in the cache."""
        folders = {self._asked[id_].folder: id_ for id_ in job.needs if id_ in self._asked}
        try:
            self._states[job.id] = self._described(
                job, folders, lambda path: stamps(Path(path)) or os.urandom(16).hex()
            )
        except OSError:
            self._states[job.id] = None
        if self.store is not None:
            self._keys[job.id] = self.key(job)

    _states: dict[str, str | None] = field(default_factory=dict)
    _keys: dict[str, str | None] = field(default_factory=dict)

    def _lock(self, environment: Environment) -> str | None:
        if environment.name not in self._locks:
            self._locks[environment.name] = lock_of(self.project, environment)
        return self._locks[environment.name]

    _locks: dict[str, str | None] = field(default_factory=dict)

    @cached_property
    def _models(self) -> dict[str, dict[str, str] | str]:
        """Model → its files; or why they are not known."""
        return {model.name: model_files(self.project.folder, model) for model in self.project.settings.models}

    def __post_init__(self) -> None:
        project = self.project
        files = [project.resolve(place) for model in project.settings.models for place in model.files]
        history = [project.resolve(project.settings.history)] if project.settings.history else []
        written = (self.folder.root, project.work, project.locks, *map(Path, history))
        self._tree = stamps(
            repository_of(project.folder),
            *map(Path, files),
            excluded=[path for path in written if not project.folder.is_relative_to(path)],
        )
        if self._tree is None and self.marks.resumes:
            self._note(
                "nothing is resumed: the repository has over 20,000 files, or not all can be looked at"
            )


def _digested(value: object, captures: Mapping[str, object], digest_of: Callable[[str], str]) -> object:
    """The same with a digest in place of the path of every file and folder."""
    if isinstance(value, dict):
        return {name: _digested(each, captures, digest_of) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_digested(each, captures, digest_of) for each in value]
    if isinstance(value, str) and value in captures:
        return f"capture {captures[value]}"
    if isinstance(value, str) and value.startswith("/") and "\n" not in value and _exists(value):
        return digest_of(value)
    return value


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long, for one
        return False


def _recorded(path: str) -> str | None:
    """The digest of a recording: where it lies, and lay before it was converted, is not part of it."""
    is_recording = Path(path, recording.MANIFEST).is_file()
    return recording.content_digest(Path(path)) if is_recording else None


def _unpinned(lock: str) -> str:
    """The first package of a lock that no version or commit pins: a path, or another address."""
    for line in lock.splitlines():
        text = line.removesuffix("\\").strip()
        is_package = bool(text) and not text.startswith(("#", "--"))
        if is_package and not (pinned(text) or _COMMIT.search(text.partition(" ; ")[0])):
            return text
    return ""


def store_in(folder: Path | None) -> CaptureStore | None:
    """The cache in a folder, for this machine; None where none is asked for."""
    return None if folder is None else CaptureStore(folder.resolve(), Machine.this())


def _emptied(folder: Path) -> None:
    """Remove what an interrupted job left, but for the folders of further jobs; what cannot go stays."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                if not path.name.startswith("+"):
                    shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_lasting(result: Capture | Failure) -> bool:
    """Whether what a job gave is worth keeping: complete, the same each time, and computed on the CPU."""
    if isinstance(result, Failure):
        return False
    response = result.response
    failed = (response.artifact_failure, response.compile_failure, response.reported_failure)
    tasks: Iterable[Mapping[str, JsonValue]] = response.tasks.values()
    return (
        response.deterministic is not False
        and not any(failed)
        and not any(task.get("failure") for task in tasks)
        and response.surroundings.get("device", "CPU") == "CPU"
    )

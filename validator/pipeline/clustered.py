"""`run --executor`: shards of a run on the workers of a cluster, merged as those of a CI's jobs are."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from validator.cluster import (
    Collected,
    DaskFleet,
    Executor,
    Outcome,
    Patience,
    Tool,
    collect,
    connected,
    dispatch,
    history,
    root_of,
    stored,
)
from validator.config import is_remote, named_files
from validator.errors import CannotJudgeError, ConfigurationError, ValidatorError
from validator.matrix import CURRENT, Shard, shards
from validator.pipeline.history import CodePlace
from validator.pipeline.orders import Orders
from validator.pipeline.parts import PlannedRun, read_part
from validator.pipeline.places import locks
from validator.pipeline.project import Project, command_of, display_path
from validator.pipeline.shard_request import ShardRequest
from validator.pipeline.supply import as_reported, fetch_all, supplied
from validator.remote import Fetched, entries_of, files_below
from validator.verdict.parts import Part, PlannedCell, merge
from validator.verdict.results import Report

if TYPE_CHECKING:
    from validator.pipeline.run import Request


@dataclass(frozen=True)
class ClusterRun:
    """A run whose shards are on a cluster. `say`: gets a line whenever something happens."""

    request: Request
    project: Project
    executor: Executor
    say: Callable[[str], None]

    def report(self) -> Report:
        """Run all shards, and merge what they left.

        A shard that no worker could do is missing in the report, which is then inconclusive.

        Raises:
            ConfigurationError: the run cannot be sent to other machines, or the cluster not be used.
            CannotJudgeError: the scheduler was lost, or no shard left anything.
        """
        self._check()
        held = fetch_all(self.project.settings, self.project.work, self.say)
        pins = {address: each.sha256 for address, each in held.items()}
        settings = self.project.settings.model_copy(
            update={"sha256": {**self.project.settings.sha256, **pins}}
        )
        pinned = replace(self.project, settings=settings)
        named = supplied(pinned, self.say)  # what is missing is found before anything is sent
        locks(self.project)  # every shard finds them, and installs the same
        files = self._collected(held)
        with connected(self.executor, self.say) as client:
            if self.executor.store:
                stored(files, self.executor.store, self.say)
            limit = int(self.executor.transfer_gib * 2**30)
            fleet = DaskFleet(client, files, limit, self._folder / "predicted")
            try:
                outcome = self._dispatched(fleet, pins, named)
            finally:
                fleet.end()
        lost = {Shard.read(name).index: why for name, why in outcome.lost.items()}
        parts = [self._part(name) for name in outcome.parts]
        if not parts:
            raise CannotJudgeError(f"no shard left a result: {'; '.join(dict.fromkeys(lost.values()))}")
        self._check_plan(parts)
        try:
            report = merge(parts, lost)
        except ValidatorError:  # parts that contradict each other would do so again
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        if not lost:  # otherwise the next run does what is lost, and no more
            shutil.rmtree(self._folder, ignore_errors=True)
        return self._localised(report.model_copy(update={"fetched": tuple(map(as_reported, held.values()))}))

    def _localised(self, report: Report) -> Report:
        """A report with the paths and commands of this machine, and the commit that it is about."""
        project = self.project
        commands = {cell.id: command_of(project, cell) for cell in project.plan.compared}
        models = tuple(
            model.model_copy(
                update={
                    "cells": tuple(
                        cell.model_copy(update={"reproduce": commands.get(cell.cell, cell.reproduce)})
                        for cell in model.cells
                    )
                }
            )
            for model in report.models
        )
        update: dict[str, object] = {
            "models": models,
            "configuration": project.display_path,
            "acceptance_file": display_path(project.folder / project.settings.acceptances),
        }
        if project.pull_request is not None:
            update["commit"] = project.pull_request.commit
        return report.model_copy(update=update)

    def _check(self) -> None:
        if CURRENT in self.request.selection.environments:
            raise ConfigurationError(
                f"`{CURRENT}` is the Python of this machine, which no worker has: name an environment"
            )
        if self.request.cache is not None:
            raise ConfigurationError("--cache is of this machine alone; leave it out with --executor")

    def _check_plan(self, parts: Sequence[Part]) -> None:
        """Refuse parts of another plan or upgrade: a worker that read others could leave out what these have.

        Raises:
            CannotJudgeError: one is of another.
        """
        project = self.project
        upgrade = project.pull_request.detected.upgrade if project.pull_request else None
        whole = Shard(1, len(parts[0].shards))
        planned = _without_commands(PlannedRun(whole, project.settings, project, CodePlace(None, "")).parts)
        for part in parts:
            if _without_commands(part.shards) != planned or part.report.upgrade != upgrade:
                shutil.rmtree(self._folder, ignore_errors=True)
                raise CannotJudgeError(
                    f"what shard {part.name} ran on its worker is not the plan of this machine; run without "
                    "--executor, and report this"
                )

    @property
    def _folder(self) -> Path:
        """Where parts are kept until all are there."""
        return self.request.folder.root / "cluster"

    def _dispatched(self, fleet: DaskFleet, pins: Mapping[str, str], project: Project) -> Outcome:
        """Run the shards that an earlier run of the same did not finish.

        `project`: the run's, with its files on this machine.
        """
        shard_request = partial(self._request, pins)
        key = key_of(fleet.files, shard_request(Shard(1, 1)).model_dump_json(), self.executor.shards)
        before, _, counted = _text(self._folder / "key").partition(" ")
        if before == key:  # other workers may be there now
            count = int(counted)
        else:
            most = self.executor.shards or max(len(shards(project.plan)), fleet.size(self.executor))
            count = len(shards(project.plan, most))
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            (self._folder / "key").write_text(f"{key} {count}", encoding="utf-8")
        due = [Shard(index, count) for index in range(1, count + 1)]
        kept = {str(shard): "" for shard in due if (self._folder / shard.file).is_file()}
        if kept:
            self.say(f"{len(kept)} of {count} shards are done already")
        orders = Orders(self._folder, self.executor, fleet, shard_request, self.say)
        asked = orders.of([shard for shard in due if str(shard) not in kept], project, self.request.folder)
        patience = Patience(self.executor.retries, self.executor.wait_seconds, self.executor.slow_seconds)
        outcome = dispatch(fleet, asked, patience, orders)
        parts = {name: part for name, part in outcome.parts.items() if name in map(str, due)}
        lost = {name: why for name, why in outcome.lost.items() if name in map(str, due)}
        return Outcome({**kept, **parts}, lost)

    def _part(self, name: str) -> Part:
        path = self._folder / Shard.read(name).file
        try:
            return read_part(path)
        except CannotJudgeError:
            path.unlink(missing_ok=True)  # so that the next run makes it anew
            raise

    def _request(self, pins: Mapping[str, str], shard: Shard) -> ShardRequest:
        request, change = self.request, self.project.pull_request
        revisions = change.detected.revisions if change and not request.moves else None
        return ShardRequest(
            tool=Tool.this().sha256,
            config=os.path.relpath(self.project.path, self._root / self._cwd),
            shard=str(shard),
            only=request.only,
            jobs=request.jobs,
            base=revisions.base if revisions else None,
            head=revisions.head if revisions else None,
            models=request.selection.models,
            baseline=request.selection.baseline,
            against=request.selection.against,
            requirements=request.moves.requirements,
            prereleases=request.moves.prereleases,
            instant=change.instant if change else None,
            pins=dict(pins),
            origin=request.origin,
        )

    @cached_property
    def _root(self) -> Path:
        return root_of(self.project.folder)

    @property
    def _cwd(self) -> str:
        """The current folder from the root of the checkout; the root where it is outside."""
        current = Path.cwd().resolve()
        return current.relative_to(self._root).as_posix() if current.is_relative_to(self._root) else "."

    def _collected(self, held: Mapping[str, Fetched]) -> Collected:
        """The files that shards need: of the checkout, of its commits, and what was fetched and locked."""
        project = self.project
        root = self._root
        named = [project.path]
        if isinstance(project.settings.requirements, str):
            named.append(project.folder / project.settings.requirements)
        for model in project.settings.models:
            places = (*named_files(model).values(), *model.files)
            named += [Path(project.resolve(place)) for place in places if not is_remote(place)]
        named += [Path(place) for place in project.install.find_links if "://" not in place]
        named += [file for each in held.values() for file in files_below(each.path)]
        named += entries_of(project.work / "remote", {each.sha256 for each in held.values()})
        own = [
            project.locks_of(environment.name) / f"{environment.installed_as}.txt"
            for environment in project.plan.environments
            if not environment.interpreter
        ]
        own = [path for path in own if path.is_file() and path.is_relative_to(root)]
        shutil.rmtree(self._history, ignore_errors=True)
        whole = project.pull_request is not None
        further = history(project.folder, self._commits, self._history, whole=whole) if self._commits else {}
        run = self.request.folder.root
        exclude = (f"{run.relative_to(root).as_posix()}/*",) if run.is_relative_to(root) else ()
        files = collect(root, [*named, *own], further, (*self.executor.exclude, *exclude))
        local = tuple(path.relative_to(root).as_posix() for path in own)
        return replace(files, bundle=files.bundle.model_copy(update={"local": local, "folder": self._cwd}))

    @property
    def _history(self) -> Path:
        return self.request.folder.root / "commits"

    @property
    def _commits(self) -> tuple[str, ...]:
        """What shards read through git: HEAD, and both sides of a pull request."""
        commit = CodePlace.of(self.project.path).commit
        change = self.project.pull_request
        sides = (change.detected.revisions.base, change.detected.revisions.head) if change else ()
        return () if commit is None else (commit, *sides)


def key_of(files: Collected, request: str, most: int | None) -> str:
    """A digest of all that decides what shards leave: parts of an earlier run with the same one are theirs.

    `request`: of any shard, as JSON. `most`: how many shards the executor asks for.

    When ranges were resolved is not part of it. The locks that came of it are, but for their first lines,
    which name that moment.
    """
    asked = json.loads(request) | {"instant": None, "shard": None}
    locks = {
        file.path: _text(files.sources[file.sha256]).partition("\n")[2]
        for file in files.bundle.files
        if file.path in files.bundle.local
    }
    others = [(file.path, file.sha256, file.link) for file in files.bundle.files if file.path not in locks]
    whole = json.dumps([Tool.this().sha256, others, locks, asked, most], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _without_commands(parts: Sequence[Sequence[PlannedCell]]) -> list[list[PlannedCell]]:
    """A plan but for its commands, which depend on the current folder."""
    return [[cell.model_copy(update={"reproduce": ""}) for cell in cells] for cells in parts]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""

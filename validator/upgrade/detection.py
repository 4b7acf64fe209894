"""From a trigger to what a pull request changes, and what both environments are built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from validator.failure import Failure
from validator.upgrade import labels, revisions, sides
from validator.upgrade.changes import Move, ProjectSide, moves, project_side, pythons
from validator.upgrade.git import Changes, Repository, Snapshot
from validator.upgrade.manifest import DependencyManifest, name_of, texts
from validator.upgrade.models import ConfiguredSide, ModelComparison, compare_models
from validator.upgrade.reader import Reader
from validator.upgrade.relevant import Relevance
from validator.upgrade.selection import Selection, select
from validator.upgrade.text import join
from validator.upgrade.types import (
    Detected,
    Installer,
    IrrelevantReason,
    Options,
    PackageReason,
    PythonReason,
    Requirements,
    Side,
    Trigger,
    UnresolvedReason,
    Upgrade,
    UpgradeReason,
)
from validator.upgrade.undecided import ReadSides


def detect(repository: Path, trigger: Trigger, options: Options, installer: Installer) -> Detected:
    """Return what changes between base and head, and what the environments of both are built from.

    `repository` is a folder inside the checkout. The installer resolves ranges, where `options.exclude_newer`
    is set, and exports uv's locks. A commit, a manifest or a setting that cannot be used is a
    `ConfigurationError` that says what to do; what was not read is a reason of the upgrade.
    """
    git = Repository(repository)
    commits = revisions.find(git, trigger)
    same: dict[object, DependencyManifest] = {}
    readers = (
        Reader(Snapshot(git, commits.base, "base"), same),
        Reader(Snapshot(git, commits.head, "head"), same),
    )
    changes = git.changes(commits.base, commits.head)
    relevance = Relevance.of(options.relevant)
    selections = select(readers, changes, options, relevance)
    built = [
        sides.build(reader, selection, options, installer)
        for reader, selection in zip(readers, selections, strict=True)
    ]
    compared = _Comparison([side for side, _ in built], installer, options)
    compared.run(readers, selections)
    models = _models(git, readers, changes, options)
    moved = (*compared.reasons(relevance), *models.reasons)
    base, head = compared.sides
    read = ReadSides(readers, selections, (base, head), changes, options, relevance)
    undecided = tuple(read.reasons(relevant=bool(moved)))
    if moved:
        undecided += tuple(dict.fromkeys(mismatch for _, mismatch in built if mismatch is not None))
    reasons = (*undecided, *moved)
    return Detected(
        upgrade=Upgrade(
            changes=tuple(move.change for move in compared.moves),
            relevant=bool(reasons),
            source=labels.source(git.message(commits.tip), trigger.ref),
            reasons=reasons or (_irrelevant(compared.moves),),
        ),
        base=base,
        head=head,
        revisions=commits,
        models=models.base,
    )


class _Comparison:
    """Every project of both sides, compared; `sides` gain what their ranges resolved to, or why not."""

    def __init__(self, built: list[Side], installer: Installer, options: Options) -> None:
        self.sides = built
        self.moves: list[Move] = []
        self._installer = installer
        self._instant = options.exclude_newer
        self._options = options
        self._pythons: list[PythonReason] = []

    def run(self, readers: tuple[Reader, Reader], selections: tuple[Selection, Selection]) -> None:
        """Compare project by project; ranges are resolved only where something was written anew."""
        for folder in sorted({folder for selection in selections for folder in selection.compared}):
            base, head = (
                project_side(self._installed(selection.compared.get(folder, ()), reader, selection))
                for reader, selection in zip(readers, selections, strict=True)
            )
            if self._instant is not None and (base.open or head.open) and base.asks() != head.asks():
                base, head = self._resolve((base, head), self._instant)
            self.moves += moves(base, head)
            self._pythons += pythons(base, head)

    def _installed(
        self, paths: Iterable[str], reader: Reader, selection: Selection
    ) -> list[DependencyManifest]:
        """Return manifests without what is not installed: other extras and groups, other files."""
        manifests = [reader.manifest(path) for path in paths]
        sections = sides.chosen_sections(manifests, self._options)
        return [
            manifest.model_copy(update={"pins": (), "constraints": ()})
            if manifest.path in selection.beside
            else manifest.model_copy(update={"pins": tuple(sides.of_sections(manifest.pins, sections))})
            for manifest in manifests
        ]

    def reasons(self, relevance: Relevance) -> Iterator[UpgradeReason]:
        """Yield why the numbers can move."""
        for change in (move.change for move in self.moves if move.moved):
            if change.name in relevance:
                yield PackageReason(
                    name=change.name, old=change.old, new=change.new, manifest=change.manifest
                )
        yield from dict.fromkeys(self._pythons)
        if any(name_of(text) in relevance for side in self.sides for text in side.requirements):
            for side in self.sides:
                if side.failure is not None:
                    yield UnresolvedReason(side=side.name, failure=side.failure)

    def _resolve(
        self, projects: tuple[ProjectSide, ProjectSide], instant: str
    ) -> tuple[ProjectSide, ProjectSide]:
        resolved = list(projects)
        for number, (project, side) in enumerate(zip(projects, self.sides, strict=True)):
            if not project.open:
                continue
            answer = self._installer.resolve(_requirements(project, side), instant)
            if isinstance(answer, Failure):
                self.sides[number] = side.model_copy(update={"failure": side.failure or answer})
                return projects  # like is compared with like: both sides as they are written
            self.sides[number] = side.model_copy(update={"resolved": {**side.resolved, **answer}})
            resolved[number] = project.model_copy(update={"resolved": dict(answer)})
        return resolved[0], resolved[1]


def _requirements(project: ProjectSide, side: Side) -> Requirements:
    # A direct reference would have to be downloaded and built: it is compared by its text.
    return Requirements(
        requirements=texts(pin for pin in project.asked if not pin.url),
        constraints=texts(pin for pin in project.limits if not pin.url),
        index=project.index,
        python=side.python,
    )


def _models(
    git: Repository, readers: tuple[Reader, Reader], changes: Changes, options: Options
) -> ModelComparison:
    """What changes about the models that the configuration names."""
    base, head = (reader.snapshot for reader in readers)
    if options.configuration is None or options.settings is None:
        return ModelComparison()
    root = git.root if git.commit("HEAD") == head.commit else None
    side = ConfiguredSide(head, join("", options.configuration, "The configuration"), options.settings, root)
    return compare_models(base, side, changes, git)


def _irrelevant(others: list[Move]) -> IrrelevantReason:
    ranges = sum(not move.moved for move in others)
    return IrrelevantReason(packages=len(others) - ranges, ranges=ranges)

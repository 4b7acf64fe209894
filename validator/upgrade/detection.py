"""From an event to what a pull request changes, and what both environments are built from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from validator.base import Frozen
from validator.results import Failure, Upgrade
from validator.upgrade import labels, revisions, sides
from validator.upgrade.changes import Move, Project, moves, project, pythons
from validator.upgrade.discovery import Selection, select
from validator.upgrade.git import Changed, Repository, Snapshot
from validator.upgrade.manifests import Index, Reader
from validator.upgrade.relevant import Relevance
from validator.upgrade.resolver import Resolver
from validator.upgrade.revisions import Event, Revisions
from validator.upgrade.sides import Requirements, Side, Wanted
from validator.upgrade.text import join, show


class Options(Frozen):
    """What the configuration says about the search. Paths are relative to the root of the repository.

    `manifests` lists those to read (None: those that changed); `configuration` and `artifacts` are files and
    folders that move a model's numbers without any package; `relevant` and `relevant_prefixes` add packages
    to the built-in list; `exclude_newer` (RFC 3339) is the instant as of which ranges are resolved.
    """

    manifests: tuple[str, ...] | None = None
    wanted: Wanted = Wanted()
    relevant: tuple[str, ...] = ()
    relevant_prefixes: tuple[str, ...] = ()
    configuration: str | None = None
    artifacts: tuple[str, ...] = ()
    exclude_newer: str | None = None


class Detected(Frozen):
    """What a pull request changes. `reasons` say, a sentence each, why anything runs or why nothing does."""

    upgrade: Upgrade
    base: Side
    head: Side
    reasons: tuple[str, ...]
    revisions: Revisions


def detect(repository: Path, event: Event, options: Options, resolver: Resolver | None = None) -> Detected:
    """Return what changes between base and head, and what the environments of both are built from.

    Args:
        repository: a folder inside the checkout.
        event: what started the run.
        options: what the configuration says.
        resolver: resolves ranges; without one, or without `exclude_newer`, ranges are compared as written.

    Raises:
        ConfigurationError: a commit, a manifest or a setting cannot be used; the sentence says what to do.
    """
    found = revisions.find(repository, event)
    git = Repository(repository)
    base, head = Reader(Snapshot(git, found.base, "base")), Reader(Snapshot(git, found.head, "head"))
    changed = git.changed(found.base, found.head)
    relevance = Relevance(names=frozenset(options.relevant), prefixes=options.relevant_prefixes)
    selections = select(base, head, changed, options.manifests, relevance)
    built = (
        sides.build(base, selections[0].installed, options.wanted),
        sides.build(head, selections[1].installed, options.wanted),
    )
    compared = _Comparison(base, head, selections, built).run(resolver, options.exclude_newer)
    reasons = (*compared.reasons(relevance), *_files(changed, options))
    return Detected(
        upgrade=Upgrade(
            changes=tuple(move.change for move in compared.moves),
            relevant=bool(reasons),
            source=labels.source(git.message(found.tip), event.ref),
        ),
        base=compared.side(built[0]),
        head=compared.side(built[1]),
        reasons=reasons or (_nothing(compared.moves),),
        revisions=found,
    )


class _Comparison:
    """Every project of both sides, compared."""

    def __init__(
        self, base: Reader, head: Reader, selections: tuple[Selection, Selection], built: tuple[Side, Side]
    ) -> None:
        self._readers = (base, head)
        self._selections = selections
        self._built = built
        self._resolved: dict[str, dict[str, str]] = {"base": {}, "head": {}}
        self._failures: dict[str, Failure] = {}
        self._python: list[str] = []
        self.moves: list[Move] = []

    def run(self, resolver: Resolver | None, instant: str | None) -> _Comparison:
        """Compare project by project; ranges are resolved only where something was written anew."""
        paths = [selection.by_project() for selection in self._selections]
        for folder in sorted({*paths[0], *paths[1]}):
            base, head = (
                project(reader, folder, each.get(folder, ()), selection.compared)
                for reader, each, selection in zip(self._readers, paths, self._selections, strict=True)
            )
            if resolver is not None and instant is not None and _rewritten(base, head):
                base, head = self._resolve(base, head, resolver, instant)
            self.moves += moves(base, head)
            self._python += pythons(base, head)
        return self

    def side(self, side: Side) -> Side:
        """Return the side with what its ranges resolved to, or why they did not."""
        return side.model_copy(
            update={"resolved": self._resolved[side.name], "failure": self._failures.get(side.name)}
        )

    def reasons(self, relevance: Relevance) -> Iterable[str]:
        """Yield why the numbers can move."""
        for move in self.moves:
            change = move.change
            if move.moved and change.name in relevance:
                old, new = change.old or "absent", change.new or "absent"
                yield f"{change.name} {old} → {new} in {show(change.manifest)}"
        yield from dict.fromkeys(self._python)
        if any(_name(text) in relevance for side in self._built for text in side.requirements):
            yield from (
                f"the {side} side cannot be resolved: {failure.message}"
                for side, failure in self._failures.items()
            )

    def _resolve(
        self, base: Project, head: Project, resolver: Resolver, instant: str
    ) -> tuple[Project, Project]:
        resolved = []
        for each, side in zip((base, head), self._built, strict=True):
            answer: Mapping[str, str] | Failure | None = None
            if each.open:
                answer = resolver(_requirements(each, side), instant)
                if isinstance(answer, Failure):
                    self._failures.setdefault(side.name, answer)
                    return base, head  # like is compared with like: both sides as they are written
                self._resolved[side.name] |= answer
            resolved.append(
                each.model_copy(update={"resolved": dict(answer)}) if answer is not None else each
            )
        return resolved[0], resolved[1]


def _rewritten(base: Project, head: Project) -> bool:
    """Whether anything that a resolver sees differs."""
    if not (base.open or head.open):
        return False
    texts = [
        (
            sorted(pin.text for pin in each.asked),
            sorted(pin.text for pin in each.limits),
            len(each.locked),
            _indexes(each),
        )
        for each in (base, head)
    ]
    return texts[0] != texts[1]


def _indexes(each: Project) -> Index:
    index = Index()
    for one in each.manifests:
        index += one.index
    return index


def _requirements(each: Project, side: Side) -> Requirements:
    # A direct reference would have to be downloaded and built: it is compared by its text.
    return Requirements(
        requirements=tuple(dict.fromkeys(pin.text for pin in each.asked if not pin.url)),
        constraints=tuple(dict.fromkeys(pin.text for pin in each.limits if not pin.url)),
        index=_indexes(each),
        python=side.python,
    )


def _name(text: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        return canonicalize_name(Requirement(text).name)
    except InvalidRequirement:
        return ""


def _files(changed: Iterable[Changed], options: Options) -> tuple[str, ...]:
    """Return a sentence for each configured file or folder that changed, or whose submodule moved."""
    touched = {path for change in changed for path in (change.old, change.new) if path is not None}
    listed = (*((options.configuration,) if options.configuration else ()), *options.artifacts)
    reasons = []
    for name in dict.fromkeys(join("", each, "The configuration") for each in listed):
        if any(
            path == name or path.startswith(f"{name}/") or name.startswith(f"{path}/") for path in touched
        ):
            reasons.append(f"{show(name)} changed")
    return tuple(reasons)


def _nothing(found: list[Move]) -> str:
    if not found:
        return "No dependency that can move a model's numbers changed"
    ranges = sum(not move.moved for move in found)
    words = (
        [f"{len(found) - ranges} other package{'s' if len(found) - ranges != 1 else ''} moved"]
        if ranges < len(found)
        else []
    )
    words += (
        [f"{ranges} range{'s' if ranges != 1 else ''} changed without moving a version"] if ranges else []
    )
    return f"No dependency that can move a model's numbers changed: {', '.join(words)}"

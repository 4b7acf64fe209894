"""A run that moves packages of the project itself: `--with` and `--pre`, without a commit that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from validator.config.settings import Settings
from validator.environments import Uv, UvInstaller, newest, resolved
from validator.errors import CannotJudgeError, ConfigurationError
from validator.failure import Failure
from validator.matrix import BASE, HEAD, AskedMoves, PackageMove, check_moves, moved_side, read_moves
from validator.pipeline.project import Project, open_project
from validator.pipeline.pull_request import ComparedCommits, PullRequest, find
from validator.text import plain, redact
from validator.upgrade import (
    MovedReason,
    PackageChange,
    Relevance,
    Repository,
    Side,
    Trigger,
    UnmovedReason,
    Upgrade,
    name_of,
    pinned,
)

_NO_SOLUTION = "unsatisfiable"  # in uv's words: no version fits, whatever the network does
_REASON = 600  # characters of uv's message


@dataclass(frozen=True)
class _Lock:
    """What an environment installs: as uv writes it, and name → version, or the address of what has none."""

    text: str
    packages: Mapping[str, str]

    @property
    def pins(self) -> tuple[str, ...]:
        """The exact versions as constraints."""
        lines = (line.partition(" #")[0].strip() for line in self.text.splitlines())
        return tuple(line for line in lines if pinned(line) is not None)


@dataclass(frozen=True)
class Canary:
    """What is asked to move, in which project. `commit` is the one reported on; None for HEAD.

    `instant`: when ranges are resolved, as of `find`.

    uv resolves: nothing is installed, and nothing is run.
    """

    path: Path
    settings: Settings
    asked: AskedMoves
    uv: Uv
    commit: str | None = None
    instant: str | None = None

    def find(self) -> PullRequest:
        """What moves, with HEAD's own requirements as `base`, and the same with what is moved as `head`.

        Raises:
            ConfigurationError: what is asked cannot be read, is not in the project, or has no such version.
            CannotJudgeError: the requirements of a side cannot be resolved.
        """
        moves = read_moves(self.asked)
        before = self._at_head()
        detected = before.detected
        if detected.upgrade.undecided:
            return before
        project = self._project(before)
        locked = self._lock(project, BASE)
        check_moves(moves, {*locked.packages, *map(name_of, project.plan.environment(BASE).requirements)})
        chosen = {move: self._chosen(move, project) for move in moves}
        head = moved_side(detected.head, chosen, locked.packages)
        moving = replace(before, detected=detected.model_copy(update={"head": head}))
        moved = self._lock(self._project(moving), HEAD, locked)
        self._check(chosen, moved)
        update = {
            "base": _held(detected.base, locked),
            "head": _held(head, moved),
            "upgrade": self._upgrade(chosen, locked, moved),
        }
        return replace(before, detected=detected.model_copy(update=update))

    def _at_head(self) -> PullRequest:
        """The project at HEAD on both sides."""
        head = Repository(self.path.parent).commit("HEAD")
        trigger = Trigger(event="merge_group", base_sha=head, head_sha=head)
        installer = UvInstaller(self.uv, index_strategy=self.settings.install.index_strategy)
        return find(self.path, self.settings, ComparedCommits(trigger, self.commit), installer, self.instant)

    def _project(self, change: PullRequest) -> Project:
        project = open_project(self.path, (), change)
        if all(environment.name != HEAD for environment in project.plan.environments):
            raise ConfigurationError(
                "no manifest of the project names keras, tensorflow, jax or torch, so there is nothing that "
                f"{self.asked.option} could move; list the file that does under `upgrade.manifests`"
            )
        return project

    def _lock(self, project: Project, name: str, before: _Lock | None = None) -> _Lock:
        """What an environment installs; versions of `before` stay wherever they can."""
        environment = project.plan.environment(name)
        preferred = before.text if before else ""
        answer = resolved(environment, project.install_of(name), self.uv, preferred)
        if isinstance(answer, Failure):
            what = f" with {self.asked.text}" if before else ""
            raise CannotJudgeError(f"the project's requirements{what} cannot be resolved: {_reason(answer)}")
        lines = (line.partition(" #")[0].strip() for line in answer.splitlines())
        return _Lock(answer, {name_of(line): _version(line) for line in lines if name_of(line)})

    def _chosen(self, move: PackageMove, project: Project) -> str:
        """The newest version that is asked for, as a requirement; an address is taken as it is."""
        if move.requirement.url:
            return move.text
        install = project.install_of(HEAD)
        if self.asked.prereleases:
            install = install.model_copy(update={"prereleases": True})
        answer = newest(move.text, project.plan.environment(HEAD).python, install, self.uv)
        if isinstance(answer, Failure):
            text = f"{plain(redact(move.text), 100)} is not to be had for this project: {_reason(answer)}"
            raise (ConfigurationError if _NO_SOLUTION in answer.message else CannotJudgeError)(text)
        versions = (pinned(line) for line in answer.splitlines() if name_of(line) == move.name)
        return next((move.pinned(version) for version in versions if version), move.text)

    def _check(self, chosen: Mapping[PackageMove, str], moved: _Lock) -> None:
        """What is asked for must be what is installed: validator.yml may say otherwise, and wins."""
        for move, line in chosen.items():
            asked, installed = pinned(line), moved.packages.get(move.name)
            if installed is None or asked not in (None, installed):
                raise ConfigurationError(
                    f"{self.asked.option} moves {plain(redact(line), 100)}, but validator.yml makes it "
                    f"{installed or 'absent'}: change `environments.head` or `install.overrides`"
                )

    def _upgrade(self, chosen: Mapping[PackageMove, str], locked: _Lock, moved: _Lock) -> Upgrade:
        asked = {name for move in chosen for name in move.replaces}
        relevance = Relevance.of(self.settings.upgrade.relevant)
        changes = [
            PackageChange(name=name, old=old, new=new, direct=name in asked, beside=name not in asked)
            for name in sorted(
                {*locked.packages, *moved.packages}, key=lambda each: (each not in asked, each)
            )
            if (old := locked.packages.get(name)) != (new := moved.packages.get(name))
        ]
        replaced = {
            move.name: f"{name} {locked.packages[name]}"
            for move in chosen
            for name in sorted(move.replaces - {move.name})
            if name in locked.packages
        }
        reasons = tuple(
            MovedReason(
                name=each.name,
                old=each.old,
                new=each.new,
                beside=each.beside,
                instead=replaced.get(each.name, ""),
            )
            for each in changes
            if (each.name in relevance if each.beside else each.name in moved.packages)
        )
        same = tuple(f"{move.name} {moved.packages[move.name]}" for move in chosen)
        return Upgrade(
            changes=tuple(changes),
            relevant=bool(reasons),
            reasons=reasons or (UnmovedReason(packages=same),),
            asked=tuple(redact(line) for line in chosen.values()),
        )


def _held(side: Side, lock: _Lock) -> Side:
    """A side that installs exactly these versions, whatever is released meanwhile."""
    return side.model_copy(update={"constraints": tuple(dict.fromkeys((*side.constraints, *lock.pins)))})


def _version(line: str) -> str:
    return pinned(line) or plain(redact(line.partition(" @ ")[2] or line), 200)


def _reason(failure: Failure) -> str:
    return plain(failure.message.removeprefix("No solution found when resolving dependencies: "), _REASON)

"""What `--with` and `--pre` move: the project's own requirements with other versions of a few packages."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.matrix.requirements import KERAS_NIGHTLIES, TENSORFLOW_NIGHTLIES, TENSORFLOWS
from validator.text import plain, redact
from validator.upgrade import Side, name_of

#: Distributions of which an environment has one: they install the same files.
_FAMILIES = (
    *(frozenset(pair) for pair in KERAS_NIGHTLIES.items()),
    frozenset((*TENSORFLOWS, *TENSORFLOW_NIGHTLIES)),
)
_NIGHTLIES = frozenset((*KERAS_NIGHTLIES.values(), *TENSORFLOW_NIGHTLIES))


@dataclass(frozen=True)
class AskedMoves:
    """What a command asks for: the requirements of `--with`, and whether `--pre`, which alone moves keras."""

    requirements: tuple[str, ...] = ()
    prereleases: bool = False

    def __bool__(self) -> bool:
        return bool(self.requirements or self.prereleases)

    @property
    def text(self) -> str:
        """What is asked for, for messages."""
        return ", ".join(map(_visible, self.requirements)) or "keras"

    @property
    def option(self) -> str:
        """The option that asks, for messages."""
        return "--with" if self.requirements else "--pre"


@dataclass(frozen=True)
class PackageMove:
    """One package that is moved: what is asked for, as it is written and as a requirement."""

    text: str
    requirement: Requirement

    @property
    def name(self) -> str:
        """The normalised name of the distribution."""
        return canonicalize_name(self.requirement.name)

    @property
    def family(self) -> frozenset[str]:
        """The distributions that install the same files."""
        return next((each for each in _FAMILIES if self.name in each), frozenset({self.name}))

    @property
    def replaces(self) -> frozenset[str]:
        """The distributions that go: a nightly build replaces whichever release is there, and the reverse."""
        if self.name in _NIGHTLIES:
            return self.family
        return frozenset({self.name}) | (self.family & _NIGHTLIES)

    def pinned(self, version: str) -> str:
        """The requirement of exactly this version."""
        extras = f"[{','.join(sorted(self.requirement.extras))}]" if self.requirement.extras else ""
        return f"{self.requirement.name}{extras}=={version}"


def read_moves(asked: AskedMoves) -> tuple[PackageMove, ...]:
    """The packages that are moved.

    Raises:
        ConfigurationError: a requirement cannot be read, or two of them are for the same files.
    """
    moves: list[PackageMove] = []
    for text in asked.requirements or ("keras",):
        move = PackageMove(text, _requirement(text))
        rival = next((each for each in moves if each.replaces & move.replaces), None)
        if rival is not None:
            raise ConfigurationError(
                f"--with {_visible(text)} and --with {_visible(rival.text)} are for one package; drop either"
            )
        moves.append(move)
    return tuple(moves)


def _requirement(text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(
            f"--with {_visible(text)} cannot be read: {_visible(reason)}; write it as `keras==3.13.0`"
        ) from None
    if requirement.marker is not None:
        raise ConfigurationError(f"--with {_visible(text)}: write it without what stands behind `;`")
    return requirement


def _visible(text: str) -> str:
    return plain(redact(text), 200)


def check_moves(moves: Sequence[PackageMove], present: Collection[str]) -> None:
    """Refuse to move what the project does not have. `present`: the names of its packages.

    Raises:
        ConfigurationError: it has no such package; the sentence names the distribution that it has instead.
    """
    for move in moves:
        if move.replaces.isdisjoint(present):
            instead = sorted(move.family & set(present))
            has = f"it has {instead[0]}, so name that" if instead else "a run moves only what it installs"
            raise ConfigurationError(
                f"the project does not install {move.name}, which is asked to move: {has}"
            )


def moved_side(side: Side, moves: Mapping[PackageMove, str], locked: Mapping[str, str]) -> Side:
    """A side with other requirements for some packages, and room for the resolver to move others beside them.

    Args:
        side: the project's own requirements.
        moves: each package that is moved → its new requirement.
        locked: the versions that the project installs now.

    Returns:
        The side, in which an exact version of any other package is no condition: whoever resolves it is given
        these versions as preferred ones. Ranges stay, also those that a lock was made from.
    """
    gone = frozenset(name for move in moves for name in move.replaces)
    kept = [_relaxed(line) for line in side.requirements if name_of(line) not in gone]
    named = {name_of(line) for line in kept} | {move.name for move in moves}
    limits = [*side.constraints, *side.ranges]
    return side.model_copy(
        update={
            "requirements": tuple(dict.fromkeys((*moves.values(), *kept, *_held(moves, named, locked)))),
            "constraints": tuple(dict.fromkeys(_limits(limits, gone))),
            "resolved": {},
        }
    )


def _held(
    moves: Mapping[PackageMove, str], named: Collection[str], locked: Mapping[str, str]
) -> Iterator[str]:
    """The Keras that TensorFlow brought: its nightly builds and release candidates bring keras-nightly."""
    if any("tensorflow" in move.family for move in moves):
        for release, night in KERAS_NIGHTLIES.items():
            if release in locked and not {release, night} & set(named):
                yield release


def _relaxed(line: str) -> str:
    """A requirement without its exact version; any other as it is."""
    requirement = _parsed(line)
    if requirement is None or requirement.url or not _is_exact(requirement):
        return line
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras}{marker}"


def _limits(lines: Sequence[str], gone: Collection[str]) -> Iterator[str]:
    """Ranges as constraints, which carry no extras; of packages that do not move."""
    for line in lines:
        requirement = _parsed(line)
        if requirement is None or name_of(line) in gone or _is_exact(requirement):
            continue
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        if requirement.url:
            yield line
        elif requirement.specifier:
            yield f"{requirement.name}{requirement.specifier}{marker}"


def _is_exact(requirement: Requirement) -> bool:
    return any(
        each.operator in ("==", "===") and not each.version.endswith(".*") for each in requirement.specifier
    )


def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:  # a path or an address
        return None

"""Files that install packages and cannot be read without running them: which of them matter to an upgrade."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from posixpath import basename

from packaging.requirements import InvalidRequirement, Requirement

from validator.errors import ConfigurationError
from validator.upgrade.git import Changes, Snapshot
from validator.upgrade.manifest import name_of, pinned
from validator.upgrade.mentions import Mention, mentions
from validator.upgrade.places import lies_aside, upwards
from validator.upgrade.text import show
from validator.upgrade.types import Side, UnreadReason

_FILES = re.compile(
    r"(^|/)(setup\.py|(Docker|Container)file([._-][^/]*)?|[^/]*\.dockerfile|[^/]*compose[^/]*\.ya?ml"
    r"|\.github/(workflows|actions)/.*\.ya?ml|[^/]*\.gitlab-ci\.ya?ml|\.gitlab/.*\.ya?ml|\.circleci/[^/]*\.ya?ml"
    r"|[^/]*azure-pipelines?[^/]*\.ya?ml|bitbucket-pipelines\.ya?ml|\.travis\.ya?ml|\.?appveyor\.ya?ml"
    r"|cloudbuild[^/]*\.(ya?ml|json)|buildspec[^/]*\.ya?ml|\.buildkite/.*\.ya?ml|jenkinsfile[^/]*"
    r"|(gnu)?makefile|[^/]*\.mk|\.?justfile|taskfile\.ya?ml|[^/]*\.(sh|bash|zsh|ps1|bat)"
    r"|\.?devcontainer[^/]*\.json|conda-lock\.ya?ml|[^/]*\.conda-lock\.ya?ml|pixi\.(toml|lock)|hatch\.toml"
    r"|meta\.ya?ml|recipe\.ya?ml|cog\.ya?ml|bentofile\.ya?ml|(flake|shell|default)\.nix)$",
    re.IGNORECASE,
)
#: Files of tests, which stand in for nothing, and are named where no manifest is.
_TESTS = re.compile(r"(^|/)(tox\.ini|noxfile\.py)$")
_MOST_SCANNED = 200
Counts = Callable[[str], bool]
_MOST_WRITTEN = 3


def changed(
    snapshots: tuple[Snapshot, Snapshot],
    changes: Changes,
    sides: tuple[Side, Side],
    counts: Counts,
) -> Iterator[UnreadReason]:
    """Yield each file that counts and names other frameworks than before.

    What agrees with the versions that were read is no news: a Dockerfile with the pins of requirements.txt.
    """
    before = {new: old for old, new in changes.renamed.items()}
    known = tuple(_versions(side) for side in sides)
    for path in sorted(changes.touched - changes.renamed.keys()):
        if not _FILES.search(path) or not counts(path):
            continue
        old = _mentions(snapshots[0], before.get(path, path))
        new = _mentions(snapshots[1], path)
        gone, came = old - new, new - old
        if (gone or came) and not (_agree(gone, known[0]) and _agree(came, known[1])):
            yield UnreadReason(path=show(path), old=_written(gone), new=_written(came))


def naming(snapshot: Snapshot, counts: Counts) -> str | None:
    """Return a file that names a framework and cannot be read; those of tests come last."""
    candidates = [path for path in snapshot.entries if _FILES.search(path) or _TESTS.search(path)]
    candidates = [path for path in candidates if counts(path)]
    candidates.sort(key=lambda path: (_TESTS.search(path) is not None, path.count("/"), path))
    return next((path for path in candidates[:_MOST_SCANNED] if _mentions(snapshot, path)), None)


def counting(start: str, folder: str | None, homes: Iterable[str], ignored: Iterable[str]) -> Counts:
    """Return whether a file belongs to the deciding project, and not to its documentation."""
    others = frozenset(homes)
    patterns = tuple(ignored)

    def counts(path: str) -> bool:
        if any(fnmatchcase(path, each) or fnmatchcase(basename(path), each) for each in patterns):
            return False
        own = path.rpartition("/")[0]
        if lies_aside(path, start) and not own.startswith(
            (".github", ".gitlab", ".circleci", ".devcontainer")
        ):
            return False
        if folder is None:
            return True
        return next((each for each in upwards(own) if each in others), None) == folder

    return counts


def _mentions(snapshot: Snapshot, path: str) -> frozenset[Mention]:
    try:
        data = snapshot.read(path) if snapshot.exists(path) else b""
    except ConfigurationError:  # too large, a link to nowhere, a submodule
        return frozenset()
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = data.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n")
    return mentions(text, path.lower())


def _versions(side: Side) -> dict[str, str]:
    """Return package → the version that was read; a variant of TensorFlow is TensorFlow."""
    lines = (*side.constraints, *side.requirements)
    versions = {name_of(line): version for line in lines if (version := pinned(line)) and _holds(line)}
    versions |= side.resolved
    variant = next((name for name in ("tensorflow-cpu", "tensorflow-gpu") if name in versions), None)
    return {"tensorflow": versions[variant], **versions} if variant else versions


def _holds(line: str) -> bool:
    try:
        marker = Requirement(line).marker
    except InvalidRequirement:
        return False
    return marker is None or marker.evaluate()


def _agree(written: Iterable[Mention], versions: Mapping[str, str]) -> bool:
    return all(each.name in versions and each.allows(versions[each.name]) for each in written)


def _written(mentioned: Iterable[Mention]) -> str | None:
    texts = sorted({show(str(each)) for each in mentioned})
    more = f" and {len(texts) - _MOST_WRITTEN} more" if len(texts) > _MOST_WRITTEN else ""
    return ", ".join(texts[:_MOST_WRITTEN]) + more if texts else None

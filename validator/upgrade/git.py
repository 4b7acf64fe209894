"""A repository read through git: commits, trees and blobs. Nothing is ever checked out."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cached_property
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from validator.errors import ConfigurationError
from validator.upgrade.manifest import Source
from validator.upgrade.text import MAX_BYTES, decode, join, show
from validator.upgrade.types import SideName

_LINK, _SUBMODULE = "120000", "160000"
_SHA = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")
_SECONDS = 60.0  # wall time of one call; a fetch has ten times as much
_SMALL = 1_000_000  # bytes of a blob that is read ahead
_PREFETCHED = 64_000_000  # bytes that are read ahead in all
_LINKS = 8  # symbolic links followed one after the other, as a file system would limit them

# A manifest of a pull request must not run anything: no hook, external diff, pager or helper protocol.
_SAFE = (
    "--no-replace-objects",
    "--literal-pathspecs",
    *("-c", "core.quotepath=off"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.pager=cat"),
    *("-c", "protocol.ext.allow=never"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "advice.detachedHead=false"),
)
# What git needs to find its programs, the user's safe.directory and a private origin; never GIT_DIR.
_PASSED = re.compile(
    r"^(PATH|HOME|USER|LOGNAME|TMPDIR|TEMP|TMP|SYSTEMROOT|USERPROFILE|XDG_CONFIG_HOME|SSH_AUTH_SOCK"
    r"|SSL_CERT_(FILE|DIR)|(HTTPS?|ALL|NO)_PROXY)$",
    re.IGNORECASE,
)


class TreeEntry(NamedTuple):
    """One path of a tree."""

    mode: str
    oid: str

    @property
    def link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode == _LINK

    @property
    def submodule(self) -> bool:
        """Whether it is another repository."""
        return self.mode == _SUBMODULE


class Changes(NamedTuple):
    """What differs between two commits: every path of either, and old → new name of those renamed."""

    touched: set[str]
    renamed: dict[str, str]


class GitError(Exception):
    """Git refused, in its own words."""


class Repository:
    """A git repository, bare or not, at or above `folder`; one that git refuses is a `ConfigurationError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs: dict[str, bytes] = {}
        if not folder.is_dir():
            raise ConfigurationError(
                f"{show(str(folder))} is not a folder; name the checkout of the repository."
            )
        try:
            self.run("rev-parse", "--git-dir")
        except GitError as error:
            raise ConfigurationError(
                f"{show(str(folder))} is not a git repository that can be read: {error}. "
                "Run in a checkout (actions/checkout before this step)."
            ) from None

    def run(
        self,
        *arguments: str,
        seconds: float = _SECONDS,
        lines: bytes = b"",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Return what git prints, `lines` being its standard input; a failure or timeout is a `GitError`."""
        try:
            done = subprocess.run(
                ["git", "-C", str(self._folder), *_SAFE, *arguments],
                check=False,
                capture_output=True,
                input=lines,
                env={**_environment(os.environ), **variables},
                timeout=seconds,
            )
        except FileNotFoundError:
            raise ConfigurationError("git is not installed; install git 2.29 or newer.") from None
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git {arguments[0]} took longer than {error.timeout:g} s") from None
        if done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = reason or [f"git {arguments[0]} ended with {done.returncode}"]
            raise GitError(show(reason[-1]))
        return done.stdout

    def _answer(self, *arguments: str) -> bytes:
        """Return what git prints, and nothing where it refuses."""
        try:
            return self.run(*arguments)
        except GitError:
            return b""

    def commit(self, revision: str) -> str | None:
        """Return the id of the commit that `revision` names, or None. Options in disguise are refused."""
        if not revision or revision.startswith("-") or re.search(r"[\s\x00-\x1f\x7f]", revision):
            raise ConfigurationError(f"{show(revision)!r} is not the name of a revision.")
        answer = self._answer(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
        sha = answer.decode("ascii", "replace").strip()
        return sha if _SHA.match(sha) else None

    def parents(self, sha: str) -> tuple[str, ...]:
        """Return the parents as the commit names them, also those that a shallow clone cut off."""
        header = self.run("cat-file", "commit", sha).split(b"\n\n", 1)[0]
        lines = header.decode("ascii", "replace").splitlines()
        return tuple(line[len("parent ") :] for line in lines if line.startswith("parent "))

    def message(self, sha: str) -> str:
        """Return the commit's message, or nothing where the commit is not here."""
        raw = self._answer("cat-file", "commit", sha)
        return raw.partition(b"\n\n")[2][:MAX_BYTES].decode("utf-8", "replace")

    def log(self, path: str, window: tuple[str, str], most: int) -> list[str]:
        """The commits that touch a path between two moments (ISO 8601), newest first: id and subject."""
        options = (
            "log",
            f"--max-count={most}",
            "--format=%H %s",
            f"--since={window[0]}",
            f"--until={window[1]}",
        )
        return self.run(*options, "--", path).decode("utf-8", "replace").splitlines()

    def merge_base(self, base: str, head: str) -> str | None:
        """Return the best common ancestor, or None where the history at hand has none."""
        return self._answer("merge-base", base, head).decode("ascii").partition("\n")[0] or None

    @property
    def root(self) -> Path:
        """The folder of the work tree."""
        raw = self.run("rev-parse", "--show-toplevel")
        return Path(raw.decode("utf-8", "surrogateescape").rstrip("\n")).resolve()

    @property
    def common(self) -> Path:
        """The folder that git keeps its objects in, that of the first where there are several work trees."""
        raw = self.run("rev-parse", "--git-common-dir")
        return Path(self._folder, raw.decode("utf-8", "surrogateescape").rstrip("\n")).resolve()

    @property
    def shallow(self) -> bool:
        """Whether history is cut off."""
        return self.run("rev-parse", "--is-shallow-repository").strip() == b"true"

    def fetch(self, *arguments: str) -> bool:
        """Fetch from origin without tags, hooks or submodules; return whether it worked."""
        try:
            if b"origin" not in self.run("remote").split():
                return False
            options = ("--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--quiet")
            self.run("fetch", *options, *arguments, seconds=10 * _SECONDS)
        except GitError:
            return False
        return True

    def prefetch(self, oids: Iterable[str]) -> None:
        """Read blobs that will be asked for, all by one process; large ones are left to be asked for."""
        # Sizes are asked of these alone: in a clone without blobs each other one would have to be fetched.
        small: list[str] = []
        total = 0
        for line in self._batch("--batch-check", dict.fromkeys(oids)).decode("ascii").splitlines():
            oid, kind, *size = line.split()
            if kind == "blob" and int(size[0]) <= min(_SMALL, _PREFETCHED - total):
                small.append(oid)
                total += int(size[0])
        stream = BytesIO(self._batch("--batch", small))
        for oid in small:
            self._blobs[oid] = stream.read(int(stream.readline().split()[2]))
            stream.read(1)  # the line end behind each blob

    def _batch(self, option: str, oids: Iterable[str]) -> bytes:
        return self.run("cat-file", option, lines="".join(f"{oid}\n" for oid in oids).encode("ascii"))

    def blob(self, oid: str) -> bytes | None:
        """Return a blob, or None if it is larger than `MAX_BYTES`."""
        if oid not in self._blobs and int(self.run("cat-file", "-s", oid)) > MAX_BYTES:
            return None
        return self._blobs.get(oid) or self.run("cat-file", "blob", oid)

    def edited(self) -> set[str]:
        """Return the paths that the work tree has otherwise than HEAD; untracked files are not among them."""
        options = ("--name-only", "-z", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")
        return {path(name) for name in self._answer("diff", *options, "HEAD").split(b"\0") if name}

    def changes(self, base: str, head: str) -> Changes:
        """Return the paths that differ, renames found by content (`-M`)."""
        options = ("-r", "-M", "-z", "--name-status", "--no-ext-diff", "--no-textconv")
        fields = iter(path(field) for field in self.run("diff-tree", *options, base, head).split(b"\0"))
        changes = Changes(set(), {})
        for status in filter(None, fields):
            old = new = next(fields)
            if status.startswith("R"):
                new = changes.renamed[old] = next(fields)
            changes.touched.update((old, new))
        return changes


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    passed = {name: value for name, value in variables.items() if _PASSED.match(name)}
    return {**passed, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def path(raw: bytes) -> str:
    """Return git's path as text; bytes that are not UTF-8 are written out, so that paths stay distinct."""
    return raw.decode("utf-8", "backslashreplace")


class Snapshot:
    """The files of one commit, read from git's objects. Paths are relative to the repository's root."""

    def __init__(self, repository: Repository, commit: str, side: SideName) -> None:
        self.side = side
        self.commit = commit
        self._repository = repository

    @cached_property
    def entries(self) -> Mapping[str, TreeEntry]:
        """Every path of the tree."""
        entries = {}
        for line in self._repository.run("ls-tree", "-r", "-z", "--full-tree", self.commit).split(b"\0"):
            fields, _, name = line.partition(b"\t")
            if name:
                mode, _kind, oid = fields.decode("ascii").split()
                entries[path(name)] = TreeEntry(mode, oid)
        return entries

    def where(self, name: str) -> str:
        """Return how a message names a file of this side."""
        return f"{show(name)}@{self.side}"

    def prefetch(self, names: Iterable[str]) -> None:
        """Read files that will be asked for, all by one process."""
        self._repository.prefetch(self.entries[name].oid for name in names if name in self.entries)

    def exists(self, name: str) -> bool:
        """Whether the path is a file, also through symbolic links."""
        return self._follow(name) is not None

    def real(self, name: str) -> str:
        """Return the path of the file that a path leads to; itself where it leads nowhere."""
        try:
            return self._follow(name) or name
        except ConfigurationError:
            return name

    def source(self, name: str) -> Source:
        """Return a file's text."""
        return Source(path=name, text=decode(self.read(name), self.where(name)), where=self.where(name))

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; symbolic links are followed inside the repository and nowhere else."""
        real = self._follow(name)
        if real is None:
            raise ConfigurationError(f"{self.where(name)} does not exist.")
        data = self._repository.blob(self.entries[real].oid)
        if data is None:
            raise ConfigurationError(
                f"{self.where(name)} is too large; a manifest may have {MAX_BYTES:,} bytes."
            )
        return data

    def below(self, path: str) -> list[str]:
        """Return the files in a folder, or the file itself; no symbolic link, no submodule."""
        plain = (name for name, entry in self.entries.items() if entry.mode not in {_LINK, _SUBMODULE})
        return [name for name in plain if name == path or name.startswith(f"{path}/")]

    def content(self, name: str) -> bytes:
        """Return the bytes of a file of any size; a `GitError` where git lacks them."""
        return self._repository.run("cat-file", "blob", self.entries[name].oid)

    def _follow(self, name: str) -> str | None:
        """Return the path of the file behind every symbolic link, or None where there is none."""
        target = self.target(name)
        return target if target in self.entries else None

    def target(self, name: str) -> str:
        """Return the path behind every symbolic link, whether something lies there or not."""
        current = name
        for _ in range(_LINKS):
            link = self._first_link(name, current)
            if link is None:
                return current
            target = path(self._repository.blob(self.entries[link].oid) or b"")
            rest = current[len(link) :]
            current = join(posixpath.dirname(link), target + rest, f"The symbolic link {self.where(link)}")
        raise ConfigurationError(f"{self.where(name)} is a symbolic link that leads round in a circle.")

    def _first_link(self, name: str, current: str) -> str | None:
        """Return the first part of a path that is a symbolic link."""
        for prefix in accumulate(current.split("/"), posixpath.join):
            entry = self.entries.get(prefix)
            if entry is not None and entry.submodule:
                raise ConfigurationError(
                    f"{self.where(name)} lies in the submodule {show(prefix)}; "
                    "list manifests of this repository only."
                )
            if entry is not None and entry.mode == _LINK:
                return prefix
        return None

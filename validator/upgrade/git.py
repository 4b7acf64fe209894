"""A repository read through git: commits, trees and blobs. Nothing is ever checked out."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.text import MAX_BYTES, join, printable, show

_LINK, _SUBMODULE = "120000", "160000"
SideName = Literal["base", "head"]
_SHA = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")
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


class Entry(Frozen):
    """One path of a tree."""

    mode: str
    oid: str


class Changed(Frozen):
    """One path that differs between two commits; `old` or `new` is null where it is absent."""

    old: str | None
    new: str | None


class GitError(Exception):
    """Git said no, in its own words."""


class Repository:
    """A git repository, bare or not, at or above `folder`.

    Raises:
        ConfigurationError: there is no repository, no git, or the repository belongs to somebody else.
    """

    def __init__(self, folder: Path, *, seconds: float = 60) -> None:
        self._folder = folder
        self._seconds = seconds
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

    def run(self, *arguments: str, seconds: float | None = None, lines: bytes = b"") -> bytes:
        """Return what git prints, `lines` being its standard input.

        Raises:
            GitError: git failed or took longer than its limit.
        """
        try:
            done = subprocess.run(
                ["git", "-C", str(self._folder), *_SAFE, *arguments],
                check=False,
                capture_output=True,
                input=lines,
                env=_environment(os.environ),
                timeout=seconds or self._seconds,
            )
        except FileNotFoundError:
            raise ConfigurationError("git is not installed; install git 2.29 or newer.") from None
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git {arguments[0]} took longer than {error.timeout:g} s") from None
        if done.returncode != 0:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise GitError(show(words[-1]) if words else f"git {arguments[0]} ended with {done.returncode}")
        return done.stdout

    def commit(self, revision: str) -> str | None:
        """Return the id of the commit that `revision` names, or None. Options in disguise are refused."""
        if not revision or revision.startswith("-") or re.search(r"[\s\x00-\x1f\x7f]", revision):
            raise ConfigurationError(f"{show(revision)!r} is not the name of a revision.")
        try:
            found = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except GitError:
            return None
        sha = found.decode("ascii", "replace").strip()
        return sha if _SHA.match(sha) else None

    def parents(self, sha: str) -> tuple[str, ...]:
        """Return the parents as the commit names them, also those that a shallow clone cut off."""
        header = self.run("cat-file", "commit", sha).split(b"\n\n", 1)[0]
        lines = header.decode("ascii", "replace").splitlines()
        return tuple(line[len("parent ") :] for line in lines if line.startswith("parent "))

    def message(self, sha: str) -> str:
        """Return the commit's message, or nothing where the commit is not here."""
        try:
            raw = self.run("cat-file", "commit", sha)
        except GitError:
            return ""
        return raw.partition(b"\n\n")[2][:MAX_BYTES].decode("utf-8", "replace")

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or None where the history at hand has none."""
        try:
            return self.run("merge-base", one, other).decode("ascii").split("\n")[0] or None
        except GitError:
            return None

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
            self.run("fetch", *options, *arguments, seconds=10 * self._seconds)
        except GitError:
            return False
        return True

    def prefetch(self, oids: Iterable[str]) -> None:
        """Read blobs that will be asked for, all by one process; large ones are left to be asked for."""
        asked = [oid for oid in dict.fromkeys(oids) if oid not in self._blobs]
        small: list[str] = []
        total = 0
        for line in self.run("cat-file", "--batch-check", lines=_lines(asked)).decode("ascii").splitlines():
            oid, kind, *size = line.split()
            if kind == "blob" and int(size[0]) <= _SMALL and total + int(size[0]) <= _PREFETCHED:
                small.append(oid)
                total += int(size[0])
        read = self.run("cat-file", "--batch", lines=_lines(small)) if small else b""
        position = 0
        for oid in small:
            header, _, _ = read[position : position + 200].partition(b"\n")
            start = position + len(header) + 1
            position = start + int(header.split()[2])
            self._blobs[oid] = read[start:position]
            position += 1

    def blob(self, oid: str) -> bytes | None:
        """Return a blob, or None if it is larger than `MAX_BYTES`."""
        if oid not in self._blobs:
            if int(self.run("cat-file", "-s", oid)) > MAX_BYTES:
                return None
            return self.run("cat-file", "blob", oid)
        return self._blobs[oid]

    def changed(self, base: str, head: str) -> tuple[Changed, ...]:
        """Return the paths that differ, renames found by content (`-M`)."""
        options = ("-r", "-M", "-z", "--raw", "--no-abbrev", "--no-ext-diff", "--no-textconv")
        fields = [path(field) for field in self.run("diff-tree", *options, base, head).split(b"\0")]
        changes = []
        position = 0
        while position < len(fields) - 1:
            status = fields[position].rsplit(" ", 1)[-1][:1]
            first = fields[position + 1]
            position += 2
            if status in "RC":
                second = fields[position]
                position += 1
                changes.append(Changed(old=first if status == "R" else None, new=second))
            else:
                changes.append(
                    Changed(old=None if status == "A" else first, new=None if status == "D" else first)
                )
        return tuple(changes)


def _lines(oids: Iterable[str]) -> bytes:
    return "".join(f"{oid}\n" for oid in oids).encode("ascii")


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
    def entries(self) -> Mapping[str, Entry]:
        """Every path of the tree."""
        listing = self._repository.run("ls-tree", "-r", "-z", "--full-tree", self.commit)
        entries = {}
        for line in listing.split(b"\0"):
            fields, _, name = line.partition(b"\t")
            if name:
                mode, _kind, oid = fields.decode("ascii").split()
                entries[path(name)] = Entry(mode=mode, oid=oid)
        return entries

    def where(self, name: str) -> str:
        """Return how a message names a file of this side."""
        return f"{printable(name)}@{self.side}"

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

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; symbolic links are followed inside the repository and nowhere else.

        Raises:
            ConfigurationError: no such file, a submodule's, over `MAX_BYTES`, or a link that leads out.
        """
        real = self._follow(name)
        if real is None:
            raise ConfigurationError(f"{self.where(name)} does not exist.")
        data = self._repository.blob(self.entries[real].oid)
        if data is None:
            raise ConfigurationError(
                f"{self.where(name)} is too large; a manifest may have {MAX_BYTES:,} bytes."
            )
        return data

    def _follow(self, name: str) -> str | None:
        """Return the path of the file behind every symbolic link, or None where there is none."""
        current = name
        for _ in range(_LINKS):
            entry = self.entries.get(current)
            if entry is not None and entry.mode not in {_LINK, _SUBMODULE}:
                return current
            link = self._first_link(name, current)
            if link is None:
                return None
            target = path(self._repository.blob(self.entries[link].oid) or b"")
            rest = current[len(link) :]
            current = join(posixpath.dirname(link), target + rest, f"The symbolic link {self.where(link)}")
        raise ConfigurationError(f"{self.where(name)} is a symbolic link that leads round in a circle.")

    def _first_link(self, name: str, current: str) -> str | None:
        """Return the first part of a path that is a symbolic link."""
        parts = current.split("/")
        for count in range(1, len(parts) + 1):
            prefix = "/".join(parts[:count])
            mode = self.entries[prefix].mode if prefix in self.entries else ""
            if mode == _SUBMODULE:
                raise ConfigurationError(
                    f"{self.where(name)} lies in the submodule {printable(prefix)}; "
                    "list manifests of this repository only."
                )
            if mode == _LINK:
                return prefix
        return None

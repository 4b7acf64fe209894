"""The files of a commit beside the work tree, so that a model can be run as it was. Nothing runs here."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from validator.documents import file_digest
from validator.errors import ConfigurationError
from validator.upgrade.git import GitError, Repository, Snapshot
from validator.upgrade.text import show

MAX_TOTAL = 32 << 30  # bytes of all files of a commit
_SECONDS = 900.0
_POINTER = 1024  # bytes: no pointer of Git LFS is larger
_OID = re.compile(rb"^version https://git-lfs\.github\.com/spec/.*?^oid sha256:([0-9a-f]{64})$", re.S | re.M)
#: Git LFS would ask its server for every file; what this clone has of them is copied instead.
_UNFILTERED = (
    *("-c", "filter.lfs.process="),
    *("-c", "filter.lfs.smudge="),
    *("-c", "filter.lfs.required=false"),
    *("-c", "core.sparseCheckout=false"),
)
_SKIPPED = frozenset({".git", ".keras-validator", "__pycache__"})


@dataclass
class Checkout:
    """The files of a commit in a folder; `missing` says of those that are not there why, and what to do."""

    folder: Path
    missing: dict[str, str] = field(default_factory=dict)

    def why_missing(self, path: str) -> str:
        """Why a file, or one in a folder, or around it, is missing; empty where none is."""
        for name, why in self.missing.items():
            if f"{path}/".startswith(f"{name}/") or name.startswith(f"{path}/"):
                return why
        return ""


def check_out(folder: Path, commit: str, target: Path) -> Checkout:
    """Write the files of a commit into `target`, which is replaced; untracked files are linked beside them.

    `folder` lies in the repository. Pointers of Git LFS are filled from this clone, submodules from theirs;
    symbolic links that lead out of the repository are not written.

    Raises:
        ConfigurationError: git cannot read the commit, or it is too large; the sentence says what to do.
    """
    repository = Repository(Repository(folder).root)  # from a folder below, git would write that one alone
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    done = Checkout(target)
    try:
        _write(repository, commit, done, "")
        _link_untracked(repository, target)
    except GitError as error:
        raise ConfigurationError(
            f"The files of the base commit {commit[:12]} cannot be read: {error}; "
            "give actions/checkout `with: fetch-depth: 0`."
        ) from None
    return done


def _write(repository: Repository, commit: str, done: Checkout, below: str) -> None:
    """Write one repository, itself or a submodule, into the folder `below`."""
    snapshot = Snapshot(repository, commit, "base")
    _check_size(repository, commit)
    place = done.folder / below
    place.mkdir(parents=True, exist_ok=True)
    index = {"GIT_INDEX_FILE": f"{done.folder}.index"}
    try:
        repository.run("read-tree", commit, variables=index)
        options = ("checkout-index", "--all", "--force", "--ignore-skip-worktree-bits", f"--prefix={place}/")
        repository.run(*_UNFILTERED, *options, seconds=_SECONDS, variables=index)
    finally:
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
    for name, entry in snapshot.entries.items():
        path = below + name
        if entry.submodule:
            _write_submodule(repository, entry.oid, done, path)
        elif entry.mode == "120000":
            _check_link(done, path)
        else:
            _fill_pointer(repository, commit, done, (path, name))


def _check_size(repository: Repository, commit: str) -> None:
    lines = repository.run("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0")
    sizes = (line.partition(b"\t")[0].split()[-1] for line in lines if line)
    total = sum(int(size) for size in sizes if size.isdigit())
    if total > MAX_TOTAL:
        raise ConfigurationError(
            f"The base commit {commit[:12]} has {total / 2**30:.0f} GiB of files, more than are checked out "
            f"({MAX_TOTAL >> 30} GiB); keep models and data in Git LFS."
        )


def _write_submodule(repository: Repository, commit: str, done: Checkout, path: str) -> None:
    """Write a submodule from its own clone in the work tree, where that has the commit."""
    inner = repository.root / path
    try:
        clone = Repository(inner)
        known = clone.root == inner.resolve() and clone.commit(commit)
    except (ConfigurationError, GitError):
        known = None
    if known:
        _write(Repository(inner), commit, done, f"{path}/")
        return
    done.missing[path] = (
        f"{show(path)} of the base commit is a submodule, and its commit {commit[:12]} is not in this clone; "
        f"run `git submodule update --init` and `git -C {show(path)} fetch origin {commit[:12]}` before"
    )


def _check_link(done: Checkout, path: str) -> None:
    """Remove a symbolic link that leads out of the checkout."""
    link = done.folder / path
    if not link.resolve().is_relative_to(done.folder.resolve()):
        link.unlink()
        done.missing[path] = (
            f"{show(path)} of the base commit is a symbolic link that leads out of the repository, "
            "which is not followed; commit the file itself"
        )


def _fill_pointer(repository: Repository, commit: str, done: Checkout, names: tuple[str, str]) -> None:
    """Put the content in the place of a pointer of Git LFS: from LFS' own store, or from the work tree."""
    path, name = names
    file = done.folder / path
    if file.is_symlink() or file.stat().st_size > _POINTER:
        return
    pointer = _OID.match(file.read_bytes())
    if pointer is None:
        return
    oid = pointer[1].decode("ascii")
    for source in (repository.common / "lfs" / "objects" / oid[:2] / oid[2:4] / oid, repository.root / name):
        if source.is_file() and file_digest(source) == oid:
            file.unlink()
            shutil.copyfile(source, file)
            return
    done.missing[path] = (
        f"{show(path)} of the base commit is a Git LFS pointer, and its content is not in this clone; "
        f"run `git lfs fetch origin {commit[:12]}` before (`git lfs pull` brings the files of the head alone)"
    )


def _link_untracked(repository: Repository, target: Path) -> None:
    """Link what git does not know, such as downloaded weights: it is the same on both sides."""
    root = repository.root
    listed = repository.run("-C", str(root), "ls-files", "--others", "--directory", "-z").split(b"\0")
    for raw in filter(None, listed):
        name = os.fsdecode(raw).rstrip("/")
        place, link = root / name, target / name
        if _SKIPPED & set(Path(name).parts) or (place / "pyvenv.cfg").exists() or _holds(place, target):
            continue
        if not os.path.lexists(link) and all(not parent.is_symlink() for parent in _parents(link, target)):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place)


def _holds(place: Path, target: Path) -> bool:
    return target.resolve().is_relative_to(place.resolve())


def _parents(link: Path, target: Path) -> Iterator[Path]:
    return (parent for parent in link.parents if parent != target and parent.is_relative_to(target))

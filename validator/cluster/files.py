"""The files of a checkout that shards need, by content: what is sent to a host that has none of them."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath

from validator.base import Frozen
from validator.documents import file_digest
from validator.errors import ConfigurationError
from validator.upgrade import GitError, Repository

#: Folders that are never sent: they hold credentials, or are made anew where a shard runs.
_OWN = frozenset({".git", ".keras-validator", "__pycache__", ".venv", ".nox", "node_modules"})


class BundledFile(Frozen):
    """A file of the checkout. `path` is from its root; `link`: where a symbolic link points instead."""

    path: str
    sha256: str = ""
    size: int = 0
    executable: bool = False
    link: str = ""


class Bundle(Frozen):
    """A checkout as a list of files, and the folder in it where the command line was called.

    `local`: paths of files that are right on the client's kind of machine alone, as its locks are.
    """

    files: tuple[BundledFile, ...]
    folder: str = "."
    local: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A name for it: a digest of all names and contents."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def contents(self) -> dict[str, int]:
        """Digest → bytes, of every content once."""
        return {file.sha256: file.size for file in self.files if not file.link}


@dataclass(frozen=True)
class Collected:
    """A bundle, and where each of its contents lies on this machine. `sources`: digest → file."""

    bundle: Bundle
    sources: Mapping[str, Path]


def root_of(folder: Path) -> Path:
    """The root of the checkout that a folder is in; the folder itself where there is no repository."""
    try:
        root = Repository(folder).root
    except (ConfigurationError, GitError):
        return folder
    return root if folder.is_relative_to(root) else folder


def collect(
    root: Path, named: Iterable[Path], further: Mapping[str, Path], exclude: Sequence[str]
) -> Collected:
    """The files that git tracks or would track below a root, those that are named, and further ones.

    Args:
        root: of the checkout, absolute; without a repository, everything below it counts.
        named: files and folders that are needed whether git ignores them or not.
        further: path in the checkout → a file that lies elsewhere.
        exclude: patterns of paths that are left out, unless they are named.

    Raises:
        ConfigurationError: a named file lies outside the checkout, or one cannot be read.
    """
    paths: dict[str, Path] = {}
    for path in _listed(root):
        place = path.relative_to(root).as_posix()
        # A link to elsewhere may lead to anything of this user's.
        if _leads_into(root, path) and not any(fnmatch.fnmatchcase(place, pattern) for pattern in exclude):
            paths[place] = path
    for path in named:
        absolute = Path(os.path.normpath(path))
        if not (absolute.is_relative_to(root) and _leads_into(root, path)):
            raise ConfigurationError(
                f"{path} lies outside {root}, so no other machine has it; move it into the checkout, or name "
                "it by an address such as s3://bucket/model.keras"
            )
        below = (each for each in _below(absolute) if _leads_into(root, each))
        paths |= {each.relative_to(root).as_posix(): each for each in below}
    paths |= further
    files: list[BundledFile] = []
    sources: dict[str, Path] = {}
    for place, path in sorted(paths.items()):
        try:
            file = _bundled(place, path, root)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from None
        if file is not None:
            files.append(file)
            if not file.link:
                sources[file.sha256] = path
    return Collected(Bundle(files=tuple(files)), sources)


def history(folder: Path, commits: Sequence[str], target: Path, *, whole: bool) -> dict[str, Path]:
    """A repository of some commits alone, for shards that read both sides of a pull request through git.

    Nothing of this repository's settings is in it: they may hold credentials.

    Args:
        folder: in the checkout.
        commits: their ids; the first is what is checked out.
        target: an empty folder for the files.
        whole: whether their files are in it, and the index; otherwise their names and messages alone.

    Returns:
        Path in the checkout → file, as `collect` takes it.

    Raises:
        ConfigurationError: git cannot read a commit.
    """
    repository = Repository(folder)
    commits = tuple(dict.fromkeys(commits))
    target.mkdir(parents=True, exist_ok=True)
    objects = ["--objects"] if whole else []
    try:
        listed = repository.run("rev-list", "--no-walk", *objects, *commits)
        repository.run("pack-objects", "--quiet", str(target / "pack"), lines=listed, seconds=600.0)
        if whole:  # without an index, git takes every file for a new one
            index = {"GIT_INDEX_FILE": str(target / "index")}
            repository.run("read-tree", commits[0], variables=index, seconds=600.0)
    except GitError as error:
        raise ConfigurationError(f"the commits of this run cannot be packed: {error}") from None
    sha256 = len(commits[0]) == 64
    texts = {
        "HEAD": f"{commits[0]}\n",
        "config": "[core]\n\trepositoryformatversion = 1\n\tbare = false\n"
        + ("[extensions]\n\tobjectFormat = sha256\n" if sha256 else ""),
        "shallow": "".join(f"{commit}\n" for commit in commits),
        "refs/heads/shard": f"{commits[0]}\n",
    }
    files: dict[str, Path] = {}
    for name, text in texts.items():
        path = target / name.replace("/", "-")
        path.write_text(text, encoding="utf-8")
        files[f".git/{name}"] = path
    if whole:
        files[".git/index"] = target / "index"
    packs = (path for path in target.iterdir() if path.suffix in (".pack", ".idx"))
    return files | {f".git/objects/pack/{path.name}": path for path in packs}


def _listed(root: Path) -> Iterator[Path]:
    """Files that git tracks, and those that it does not ignore; everything where there is no repository."""
    try:
        repository = Repository(root)
        if repository.root != root:
            raise GitError("another repository")
        raw = repository.run("ls-files", "-z", "--cached", "--others", "--exclude-standard", seconds=600.0)
    except (ConfigurationError, GitError):
        yield from (path for path in _below(root) if not _is_hidden(path.relative_to(root)))
        return
    tracked = set(repository.run("ls-files", "-z", "--cached", seconds=600.0).split(b"\0"))
    for name in filter(None, raw.split(b"\0")):
        place = PurePosixPath(os.fsdecode(name))
        if name in tracked or not _is_hidden(place):  # of what is like .env, only what is tracked travels
            yield from _inside(root / place, root)


def _inside(path: Path, root: Path) -> Iterator[Path]:
    """A file that git lists; of a repository in this one, which git does not open, what is not hidden."""
    if path.is_dir() and not path.is_symlink():
        yield from (each for each in _below(path) if not _is_hidden(each.relative_to(root)))
    else:
        yield from _below(path)


def _leads_into(root: Path, path: Path) -> bool:
    """Whether a path is below a root once links are followed, and has a name that can be written as text."""
    place = os.path.realpath(path)  # of a link that leads to itself, that link
    return Path(place).is_relative_to(root) and place.isprintable() and str(path).isprintable()


def _is_hidden(place: PurePath) -> bool:
    return any(part.startswith(".") for part in place.parts)


def _below(path: Path) -> Iterator[Path]:
    """A file itself, or every file below a folder; nothing where there is none."""
    if path.is_symlink() or path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - _OWN)
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in (*sorted(names), *links))


def _bundled(place: str, path: Path, root: Path) -> BundledFile | None:
    """The entry of a file; of a link inside the checkout, the link. None for what is neither."""
    if path.is_symlink():
        target = os.readlink(path)
        aim = Path(os.path.normpath(path.parent / target))
        if not os.path.isabs(target) and aim.is_relative_to(root):
            return BundledFile(path=place, link=target)
    if not path.is_file():
        return None
    status = path.stat()
    return BundledFile(
        path=place, sha256=file_digest(path), size=status.st_size, executable=bool(status.st_mode & 0o100)
    )

"""The files of one side by path: folders, links and submodules, and modules as Python would find them."""

from __future__ import annotations

import io
import posixpath
import sys
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from validator.errors import ConfigurationError
from validator.upgrade.git import GitError, Snapshot
from validator.upgrade.models.imports import ImportedModule
from validator.upgrade.text import MAX_BYTES, join

_EXTENSIONS = (".so", ".pyd")


class SourceTree:
    """One side's files as a model's code sees them.

    `folder` is that of validator.yml, relative to the root of the repository. With a `root`, a work tree of
    the same commit, files are read from there, as they are run.
    """

    def __init__(self, snapshot: Snapshot, folder: str, root: Path | None = None) -> None:
        self.snapshot = snapshot
        self.folder = folder
        self._root = root

    @cached_property
    def folders(self) -> frozenset[str]:
        """Every folder of the tree."""
        parents = {posixpath.dirname(name) for name in self.snapshot.entries}
        return frozenset(
            folder for parent in parents for folder in accumulate(parent.split("/"), posixpath.join)
        )

    def path(self, name: str) -> str | None:
        """Return a path of the settings relative to the root; None where it lies outside the repository."""
        try:
            return join(self.folder, name, "The configuration")
        except ConfigurationError:
            return None

    def files(self, name: str) -> Iterator[str]:
        """Yield the entries that a path of the tree stands for: a file, what is in a folder, and links to it.

        Of what lies in a submodule, the submodule.
        """
        submodule = self._submodule(name)
        if submodule is not None:
            yield submodule
            return
        if name in self.snapshot.entries:
            yield name
        target = self._target(name)
        if target != name:
            prefixes = accumulate(name.split("/"), posixpath.join)
            yield from (link for link in prefixes if link in self.snapshot.entries)
        if target in self.snapshot.entries:
            yield target
        elif target in self.folders or not target:
            yield from (path for path in self.snapshot.entries if path.startswith(f"{target}/") or not target)

    def exists(self, name: str) -> bool:
        """Whether a path is a file, a folder, or in a submodule, also through symbolic links."""
        return next(self.files(name), None) is not None

    def read(self, name: str) -> str:
        """Return the text of a Python file; nothing of one that is too large or no text."""
        with self.opened(name) as file:
            data = file.read(MAX_BYTES + 1)
        return "" if len(data) > MAX_BYTES else data.decode("utf-8-sig", "replace")

    def opened(self, name: str) -> BinaryIO:
        """Open a file of the tree; what cannot be read is empty."""
        try:
            place = self._root and Path(self._root, name).resolve()
            if self._root and place and place.is_relative_to(self._root) and place.is_file():
                return place.open("rb")
            return io.BytesIO(self.snapshot.read(name))
        except (ConfigurationError, GitError, OSError, ValueError):
            return io.BytesIO()

    def modules(self, imported: ImportedModule, importer: str) -> Iterator[str]:
        """Yield the files that an import reads: the packages on its way, the module, and modules taken."""
        parts = imported.module.split(".") if imported.module else []
        for root in self._roots(imported, importer):
            places = [*accumulate(parts, posixpath.join, initial=root)]
            chosen = [path for place in places[not imported.level :] for path in self._module(place)]
            for name in imported.names:
                taken = posixpath.join(places[-1], name)
                chosen += self._module(taken) if name != "*" else self._every(places[-1])
            if chosen:
                yield from chosen
                return

    def anywhere(self, imported: ImportedModule) -> Iterator[str]:
        """Yield the modules that an import may mean where code puts folders of its own on the path."""
        top = imported.module.partition(".")[0]
        if imported.level or not top or top in sys.stdlib_module_names:
            return
        for path in (*self._ends.get(f"{top}.py", ()), *self._ends.get("__init__.py", ())):
            place = path.removesuffix("/__init__.py").removesuffix(".py")
            if posixpath.basename(place) == top:
                yield path
                yield from self.python(place) if path.endswith("/__init__.py") else ()

    def below(self, start: ImportedModule, importer: str) -> Iterator[str]:
        """Yield the Python files of a package of which any module may be imported."""
        package, dot, _ = start.module.rpartition(".")
        for root in self._roots(start, importer):
            folder = posixpath.join(root, *package.split(".")) if dot else root
            if dot and folder in self.folders:
                yield from self.python(folder)
                return
        if not dot:
            yield from self.python(posixpath.dirname(importer))

    def python(self, folder: str) -> Iterator[str]:
        """Yield every Python file below a folder."""
        yield from (path for path in self.files(folder) if path.endswith((".py", *_EXTENSIONS)))

    def named(self, text: str, importer: str) -> Iterator[str]:
        """Yield the files that a text in a module names: from its folder, validator.yml's, or by the end."""
        if text in (".", "..") or "\\" in text or "\0" in text:
            return
        for folder in dict.fromkeys((posixpath.dirname(importer), self.folder)):
            place = posixpath.normpath(posixpath.join(folder, text)).lstrip("/")
            if place in self.snapshot.entries or self._is_data(place):
                yield from self.files(place)
                return
        if "." in text.rpartition("/")[2][1:-1] and " " not in text.strip():
            end = f"/{text.lstrip('./')}"
            inside = f"{self.folder}/" if self.folder else ""
            alike = self._ends.get(end.rpartition("/")[2], ())
            yield from (path for path in alike if f"/{path}".endswith(end) and path.startswith(inside))

    def _is_data(self, folder: str) -> bool:
        """Whether a path is a folder without code, which a text may name by chance."""
        return folder in self.folders - {""} and not any(path.endswith(".py") for path in self.files(folder))

    @cached_property
    def _ends(self) -> dict[str, list[str]]:
        """Paths by the name of the file."""
        names: dict[str, list[str]] = {}
        for path in self.snapshot.entries:
            names.setdefault(posixpath.basename(path), []).append(path)
        return names

    def _roots(self, imported: ImportedModule, importer: str) -> Iterator[str]:
        """Where an import starts. The worker's path has validator.yml's folder; code may add the others."""
        above = posixpath.dirname(importer)
        if imported.level:
            for _ in range(imported.level - 1):
                above = posixpath.dirname(above)
            yield above
            return
        sources = posixpath.join(self.folder, "src")
        yield from dict.fromkeys((self.folder, sources, "", "src", above, posixpath.dirname(above)))

    def _module(self, place: str) -> list[str]:
        """A module by its path without an ending: a file, or a package's `__init__`."""
        submodule = self._submodule(place)
        if submodule is not None:
            return [submodule]
        names = [f"{place}.py", posixpath.join(place, "__init__.py"), *self._compiled.get(place, ())]
        return [path for name in names if name not in self.folders for path in self.files(name)]

    @cached_property
    def _compiled(self) -> dict[str, list[str]]:
        """Extension modules by their path without ending: `ops` → `ops.cpython-311-x86_64-linux-gnu.so`."""
        modules: dict[str, list[str]] = {}
        for path in self.snapshot.entries:
            if path.endswith(_EXTENSIONS):
                folder, name = posixpath.split(path)
                modules.setdefault(posixpath.join(folder, name.partition(".")[0]), []).append(path)
        return modules

    def _every(self, package: str) -> list[str]:
        """What `from package import *` may read."""
        depth = package.count("/") + 1 if package else 0
        return [path for path in self.python(package) if path.count("/") == depth]

    def _submodule(self, name: str) -> str | None:
        """Return the submodule that a path is, or lies in."""
        for prefix in accumulate(name.split("/"), posixpath.join):
            entry = self.snapshot.entries.get(prefix)
            if entry is not None and entry.submodule:
                return prefix
        return None

    def _target(self, name: str) -> str:
        """Return where a path leads; itself where it leads out of the repository or round in a circle."""
        try:
            return self.snapshot.target(name)
        except ConfigurationError:
            return name

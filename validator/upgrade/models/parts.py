"""Which files a model is made of, and by which it is compared, on one side."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from validator.config.checks import Arguments
from validator.config.references import is_function
from validator.config.settings import ModelSettings
from validator.upgrade.models.imports import ImportedModule, read_module
from validator.upgrade.models.tree import SourceTree
from validator.upgrade.types import PartKind

_ARCHIVE_BYTES = 16 << 20  # of the configuration inside an archive
_MODULE = re.compile(r'"module":\s*"([A-Za-z_][\w.]*)"')
_MOST_MODULES = 5000


@dataclass(frozen=True)
class FilePart:
    """What a file is to a model, and the path that names it: a folder's, where the settings name a folder."""

    part: PartKind
    named: str


@dataclass
class ModelParts:
    """The files of one model in one tree: path → what it is. What the model is made of comes first."""

    tree: SourceTree
    files: dict[str, FilePart] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ModelSettings, tree: SourceTree) -> ModelParts:
        """Return the files of a model: those that its settings name, and what they import and read."""
        parts = cls(tree)
        parts._add_named("artifact", model.artifact)
        parts._add_named("weights", model.weights)
        parts._add_code("builder", _module_of(model.builder), whole=True)
        for module in (*model.custom_objects, *parts._archived(model.artifact)):
            parts._add_code("custom objects", module, whole=True)
        parts._add_code("code", _module_of(model.training.function if model.training else None))
        for reference in _decoding(model):
            parts._add_code("code", _module_of(reference))
        for name in (*model.files, *_paths_in(model)):
            parts._add_named("file", name)
        parts._add_data("inputs", model.inputs)
        parts._add_data("labels", model.labels)
        if model.training:
            parts._add_data("inputs", model.training.inputs)
            parts._add_data("labels", model.training.labels)
        if model.decode:
            parts._add_data("inputs", model.decode.prompts)
        for metric in model.metrics:
            parts._add_code("metric", _module_of(metric))
        return parts

    @property
    def complete(self) -> bool:
        """Whether the tree has what the settings name first: an artifact, or the module of a builder."""
        return any(each.part in ("artifact", "builder") for each in self.files.values())

    def _add(self, part: PartKind, paths: Iterable[str], named: str = "") -> None:
        for path in paths:
            self.files.setdefault(path, FilePart(part, named or path))

    def _add_named(self, part: PartKind, name: str | None) -> None:
        path = self.tree.path(name) if name else None
        if path is not None:
            self._add(part, self.tree.files(path), path)

    def _add_data(self, part: PartKind, name: str | None) -> None:
        if name and is_function(name):
            self._add_code(part, _module_of(name))
        else:
            self._add_named(part, name)

    def _add_code(self, part: PartKind, module: str, *, whole: bool = False) -> None:
        """Add a module with everything that it imports; `whole`: and its package with what lies in it."""
        if not module:
            return
        own = [*self.tree.modules(ImportedModule(0, module), posixpath.join(self.tree.folder, "_"))]
        measures = part in ("inputs", "labels", "metric")
        self._add(part, own)
        reached = dict.fromkeys(own)
        self._follow(reached, part if measures else "code")
        if whole and own:
            folder = posixpath.dirname(own[-1])
            if folder != self.tree.folder and folder:
                self._add("file", self.tree.files(folder))

    def _follow(self, reached: dict[str, None], part: PartKind) -> None:
        """Add what modules import, and what those import, and the files that any of them names."""
        queue = list(reached)
        while queue and len(reached) < _MOST_MODULES:
            importer = queue.pop()
            if not importer.endswith(".py"):
                continue
            source = read_module(self.tree.read(importer))
            imports = sorted(source.imports)
            paths: list[str] = []
            for each in imports:
                modules = list(self.tree.modules(each, importer))
                paths += modules or (self.tree.anywhere(each) if source.moves_path else ())
            for start in sorted(source.starts):
                paths += self.tree.below(start, importer)
            if source.open:
                paths += self.tree.python(posixpath.dirname(importer))
            self._add(part, paths)
            queue += [path for path in dict.fromkeys(paths) if path not in reached]
            reached.update(dict.fromkeys(paths))
            kind: PartKind = "file" if part == "code" else part
            for text in sorted(source.texts):
                self._add(kind, self.tree.named(text, importer))

    def _archived(self, artifact: str | None) -> Iterator[str]:
        """Yield the modules that a .keras archive names: Keras 3 imports them when it loads the archive."""
        path = self.tree.path(artifact) if artifact else None
        if path is None or not path.endswith(".keras"):
            return
        try:
            with self.tree.opened(path) as file, zipfile.ZipFile(file) as archive:
                if archive.getinfo("config.json").file_size > _ARCHIVE_BYTES:
                    return
                text = archive.read("config.json").decode("utf-8", "replace")
        except (zipfile.BadZipFile, KeyError, OSError, RuntimeError, ValueError):
            return  # a pointer of Git LFS, a large archive of the base, or none at all
        modules = set(_MODULE.findall(text)) - {"builtins"}
        yield from sorted(module for module in modules if module.partition(".")[0] != "keras")


def _module_of(reference: str | None) -> str:
    return (reference or "").partition(":")[0]


def _decoding(model: ModelSettings) -> Iterator[str | None]:
    if model.decode is not None:
        yield model.decode.protocol
        yield model.decode.detokenise


def _paths_in(model: ModelSettings) -> Iterator[str]:
    """Texts among the arguments of functions: one that names a file is a file that the function reads."""
    arguments: list[Arguments] = [model.builder_arguments]
    arguments += [setting.builder_arguments for setting in model.settings.values()]
    arguments += [model.training.arguments] if model.training else []
    for given in arguments:
        yield from (value for value in given.values() if isinstance(value, str) and value.strip("./"))

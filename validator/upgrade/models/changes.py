"""What a pull request changes about models: files, settings, and models that come or go."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from validator.config.load import parse
from validator.config.references import is_remote, named_files
from validator.config.settings import ModelSettings, Settings
from validator.errors import ConfigurationError
from validator.upgrade.git import Changes, Repository, Snapshot
from validator.upgrade.models.parts import ModelParts
from validator.upgrade.models.tree import SourceTree
from validator.upgrade.text import show
from validator.upgrade.types import MEASURES, BaseModels, FileReason, ModelPart, ModelReason

#: Settings that decide which model it is. All others say how it is compared: the head's count on both sides.
OWN_SETTINGS = (
    "artifact",
    "builder",
    "builder_arguments",
    "weights",
    "custom_objects",
    "safe_mode",
    "compile",
    "signature",
)


@dataclass(frozen=True)
class ModelComparison:
    """Why models run, and those of the base that the head has otherwise."""

    reasons: tuple[FileReason | ModelReason, ...] = ()
    base: BaseModels = field(default_factory=BaseModels)


@dataclass(frozen=True)
class ConfiguredSide:
    """One side: its commit, its validator.yml by path, and what that says; None where there is none."""

    snapshot: Snapshot
    path: str
    settings: Settings | None
    root: Path | None = None

    @property
    def exists(self) -> bool:
        """Whether the commit has that validator.yml."""
        return self.snapshot.exists(self.path)

    @property
    def pins(self) -> dict[str, str]:
        """The digest of each address that has one."""
        return dict(self.settings.sha256) if self.settings else {}

    def tree(self) -> SourceTree:
        """The side's files as its models see them."""
        return SourceTree(self.snapshot, posixpath.dirname(self.path), self.root)


def compare_models(
    base: Snapshot, head: ConfiguredSide, changes: Changes, repository: Repository
) -> ModelComparison:
    """Return what both sides have otherwise of the models that the head's validator.yml names.

    Where the head is checked out, what was edited since the commit counts as changed by it.
    """
    if head.settings is None:
        return ModelComparison()
    if head.root is not None:
        changes = Changes(changes.touched | repository.edited(), changes.renamed)
    before = _base_side(base, head, changes)
    sides = _Sides(before, head, changes)
    reasons = tuple(sides.reasons())
    changed = [each.model for each in reasons if isinstance(each, ModelReason) and each.state == "changed"]
    models = BaseModels(
        folder=posixpath.dirname(before.path),
        models={name: sides.pairs[name] for name in changed},
        files={name: sides.files[name] for name in changed},
        pins=before.pins,
    )
    return ModelComparison(reasons, models)


def _base_side(base: Snapshot, head: ConfiguredSide, changes: Changes) -> ConfiguredSide:
    """The base's validator.yml: where the head has it, or from where it was moved."""
    path = head.path
    if not base.exists(path):
        gone = [name for name in sorted(changes.touched & base.entries.keys()) if name not in changes.renamed]
        alike = [name for name in gone if posixpath.basename(name) == posixpath.basename(path)]
        moved = [was for was, now in changes.renamed.items() if now == path] or alike
        if len(moved) != 1:
            return ConfiguredSide(base, path, _as_on_head(base, head))
        path = moved[0]
    try:
        return ConfiguredSide(base, path, parse(base.source(path).text, base.where(path)))
    except ConfigurationError:  # what the head says is the best that is known
        return ConfiguredSide(base, path, head.settings)


def _as_on_head(base: Snapshot, head: ConfiguredSide) -> Settings | None:
    """The head's settings, with the models that the base has too: it lacks a validator.yml and no more.

    Whoever adds the validator.yml compares models that were there before. None where there are none.
    """
    tree = SourceTree(base, posixpath.dirname(head.path))
    models = tuple(model for model in (head.settings.models if head.settings else ()) if _is_in(model, tree))
    return head.settings.model_copy(update={"models": models}) if head.settings and models else None


def _is_in(model: ModelSettings, tree: SourceTree) -> bool:
    """Whether a tree has what a model is loaded from, or that lies elsewhere."""
    if model.artifact and is_remote(model.artifact):
        return True
    parts = {file.part for file in ModelParts.of(model, tree).files.values()}
    return ("artifact" if model.artifact else "builder") in parts


class _Sides:
    """Both sides, and the base's settings of each model by its name in the head; `files` as `BaseModels`."""

    def __init__(self, base: ConfiguredSide, head: ConfiguredSide, changes: Changes) -> None:
        self._base, self._head, self._changes = base, head, changes
        self._before = {now: was for was, now in changes.renamed.items()}
        self._trees = base.tree(), head.tree()
        self.files: dict[str, tuple[str, ...]] = {}
        old = {model.name: model for model in (base.settings.models if base.settings else ())}
        new = {model.name: model for model in (head.settings.models if head.settings else ())}
        self.pairs = {name: old[name] for name in new if name in old}
        self._removed = [name for name in old if name not in new]
        for name in [name for name in new if name not in old]:
            again = [was for was in self._removed if _renamed(old[was], new[name])]
            if len(again) == 1:
                self.pairs[name] = old[again[0]]
                self._removed.remove(again[0])

    def reasons(self) -> Iterator[FileReason | ModelReason]:
        """Yield what changed, model by model; then models that are gone, and other settings."""
        for model in self._head.settings.models if self._head.settings else ():
            base = self.pairs.get(model.name)
            if base is None:
                yield ModelReason(model=model.name, state="added")
                continue
            parts = (*self._settings(base, model), *self._files(base, model))
            if parts:
                yield ModelReason(model=model.name, state="changed", parts=parts)
        for name in self._removed:
            yield ModelReason(model=name, state="removed")
        if self._others_differ():
            yield FileReason(path=show(self._head.path))

    def _others_differ(self) -> bool:
        """Whether anything else in validator.yml changed: the matrix, the gate, limits …"""
        base, head = self._base.settings, self._head.settings
        if self._head.path not in self._changes.touched or head is None:
            return False
        if base is None or base is head or not self._base.exists:  # there was none, or it cannot be read
            return True
        # A pin is a part of the models that name its address; acceptances move no number.
        alike = {name: getattr(head, name) for name in ("models", "sha256", "acceptances")}
        return base.model_copy(update=alike) != head

    def _settings(self, base: ModelSettings, head: ModelSettings) -> Iterator[ModelPart]:
        fields = [name for name in ModelSettings.model_fields if name not in ("name", "files")]
        differ = [name for name in fields if getattr(base, name) != getattr(head, name)]
        own = tuple(name for name in differ if name in OWN_SETTINGS)
        compared = tuple(name for name in differ if name not in OWN_SETTINGS)
        pins = list(self._repinned(head))
        own += tuple(f"sha256 of {name}" for name in pins if name in OWN_SETTINGS)
        compared += tuple(f"sha256 of {name}" for name in pins if name not in OWN_SETTINGS)
        path = show(self._head.path)
        if own:
            yield ModelPart(part="settings", path=path, names=own)
        if compared:
            yield ModelPart(part="comparison", path=path, names=compared)

    def _repinned(self, head: ModelSettings) -> Iterator[str]:
        """Yield the settings whose address stays, and is to hold something else."""
        old, new = self._base.pins, self._head.pins
        for setting, place in named_files(head).items():
            if is_remote(place) and place in old and old[place] != new.get(place):
                yield setting

    def _files(self, base: ModelSettings, head: ModelSettings) -> Iterator[ModelPart]:
        """Yield each file that changed, or the folder that the settings name; a renamed one once."""
        old, new = (
            ModelParts.of(model, tree).files for model, tree in zip((base, head), self._trees, strict=True)
        )
        self.files[head.name] = tuple(path for path, file in old.items() if file.part not in MEASURES)
        yielded: set[tuple[str, str]] = set()
        for path, file in (*new.items(), *old.items()):
            moved_to = self._changes.renamed.get(path)
            if path not in self._changes.touched or (path not in new and moved_to in new):
                continue
            if (file.part, file.named) not in yielded:
                yielded.add((file.part, file.named))
                was = self._before.get(path, "") if file.named == path else ""
                yield ModelPart(part=file.part, path=show(file.named), old=show(was))


def _renamed(base: ModelSettings, head: ModelSettings) -> bool:
    """Whether two models differ in their name alone."""
    return base.model_copy(update={"name": head.name}) == head

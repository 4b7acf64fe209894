"""What a pull request changes, what both sides are built from, and what is asked of an installer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from pydantic import Field

from validator.base import Frozen
from validator.config.settings import ModelSettings, Settings, UpgradeSettings
from validator.failure import Failure

SideName = Literal["base", "head"]


class PackageChange(Frozen):
    """One package that moved between base and head. `old` or `new` is null where it is absent."""

    name: str
    old: str | None
    new: str | None
    direct: bool = True
    manifest: str = ""
    line: int | None = None
    beside: bool = Field(
        default=False, description="With `asked`: it was not asked for, and the resolver moved it."
    )


class PackageReason(Frozen):
    """A package that can move a model's numbers has another version, or a range that allows another one."""

    kind: Literal["package"] = "package"
    name: str
    old: str | None
    new: str | None
    manifest: str


class MovedReason(Frozen):
    """A package that `--with` or `--pre` moves, or that the resolver moves `beside` it.

    `instead`: the distribution of the same module whose place it takes, `keras 3.3.3`.
    """

    kind: Literal["moved"] = "moved"
    name: str
    old: str | None
    new: str | None
    beside: bool = False
    instead: str = ""


class UnmovedReason(Frozen):
    """The project already has what `--with` or `--pre` asks for: `keras 3.15.1`."""

    kind: Literal["unmoved"] = "unmoved"
    packages: tuple[str, ...]


class PythonReason(Frozen):
    """A manifest asks for another Python. `old` or `new` is null where it asks for none."""

    kind: Literal["python"] = "python"
    old: str | None
    new: str | None
    manifest: str


class FileReason(Frozen):
    """Settings of validator.yml changed that are of no single model, such as the matrix."""

    kind: Literal["file"] = "file"
    path: str


PartKind = Literal[
    "artifact",
    "weights",
    "builder",
    "custom objects",
    "code",
    "file",
    "settings",
    "inputs",
    "labels",
    "metric",
    "comparison",
]
#: What a model is compared by. Everything else is what it is made of.
MEASURES: frozenset[PartKind] = frozenset({"inputs", "labels", "metric", "comparison"})


class ModelPart(Frozen):
    """A file or folder that changed, or settings of a model in validator.yml."""

    part: PartKind = Field(description="`code` is an imported module; `comparison` are settings of checks.")
    path: str
    old: str = Field(default="", description="Its path before it was renamed; empty if it was not.")
    names: tuple[str, ...] = Field(default=(), description="Of `settings` and `comparison`: which.")


class ModelReason(Frozen):
    """The pull request changes a model itself, or what it is compared by; or adds or removes a model."""

    kind: Literal["model"] = "model"
    model: str
    state: Literal["changed", "added", "removed"]
    parts: tuple[ModelPart, ...] = ()

    @property
    def own(self) -> tuple[ModelPart, ...]:
        """What the model is made of, as far as it changed."""
        return tuple(part for part in self.parts if part.part not in MEASURES)

    @property
    def measures(self) -> tuple[ModelPart, ...]:
        """What the model is compared by, as far as it changed."""
        return tuple(part for part in self.parts if part.part in MEASURES)


class UnresolvedReason(Frozen):
    """The ranges of a side with relevant packages cannot be resolved."""

    kind: Literal["unresolved"] = "unresolved"
    side: SideName
    failure: Failure


class IrrelevantReason(Frozen):
    """Nothing that can move a model's numbers changed; `packages` and `ranges` count what else did."""

    kind: Literal["irrelevant"] = "irrelevant"
    packages: int = Field(default=0, description="Packages with another version, none of them relevant.")
    ranges: int = Field(default=0, description="Ranges that were rewritten without moving a version.")


class UnreadReason(Frozen):
    """A file that installs packages, and cannot be read without running it, names others than before.

    `old` and `new` are what it names, as it is written; null where the side names none.
    """

    kind: Literal["unread"] = "unread"
    path: str
    old: str | None
    new: str | None


class StaleLockReason(Frozen):
    """A lock of the head does not satisfy its manifest; `locked` is null where it lacks the package."""

    kind: Literal["stale-lock"] = "stale-lock"
    package: str
    asked: str
    locked: str | None
    manifest: str
    lock: str
    command: str = Field(description="What brings the lock up to date.")


class NoFrameworkReason(Frozen):
    """No manifest names keras, tensorflow, jax or torch on one side, or on both (`side` is null).

    `path` is a file that does and cannot be read without running it; null if there is none.
    """

    kind: Literal["no-framework"] = "no-framework"
    side: SideName | None
    path: str | None


class AmbiguousReason(Frozen):
    """Several manifests name a framework and are as near to validator.yml, and one of them changed."""

    kind: Literal["ambiguous"] = "ambiguous"
    manifests: tuple[str, ...]


class PythonMismatchReason(Frozen):
    """The project does not allow the Python that validator.yml sets."""

    kind: Literal["python-mismatch"] = "python-mismatch"
    python: str
    required: str
    manifest: str


#: Why nothing can be said about an upgrade: it was not read, or not all of it.
UndecidedReason = UnreadReason | StaleLockReason | NoFrameworkReason | AmbiguousReason | PythonMismatchReason
UpgradeReason = Annotated[
    PackageReason
    | MovedReason
    | UnmovedReason
    | PythonReason
    | FileReason
    | ModelReason
    | UnresolvedReason
    | IrrelevantReason
    | UndecidedReason,
    Field(discriminator="kind"),
]


class Upgrade(Frozen):
    """What a pull request changes."""

    changes: tuple[PackageChange, ...]
    relevant: bool = Field(description="False: nothing that can move a model's numbers changed.")
    source: str = Field(
        default="", description="dependabot, renovate, or empty. A label, trusted for nothing."
    )
    reasons: tuple[UpgradeReason, ...] = Field(default=(), description="Why models run, or why none does.")
    asked: tuple[str, ...] = Field(
        default=(),
        description="What `--with` and `--pre` put in the place of the project's own requirements; `base` "
        "and `head` are then of one commit.",
    )

    @property
    def undecided(self) -> tuple[UndecidedReason, ...]:
        """Why nothing can be said about it; empty where it was read."""
        return tuple(reason for reason in self.reasons if isinstance(reason, UndecidedReason))


class Index(Frozen):
    """Where packages come from: the options of an installer, in uv's and pip's words."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    prereleases: bool = False
    best_match: bool = Field(default=False, description="The best version of all indexes counts, as for pip.")

    def __add__(self, other: Index) -> Index:
        """Return both: this one's index URL wins, lists are joined without repeats."""
        return Index(
            index_url=self.index_url or other.index_url,
            extra_index_urls=tuple(dict.fromkeys((*self.extra_index_urls, *other.extra_index_urls))),
            find_links=tuple(dict.fromkeys((*self.find_links, *other.find_links))),
            no_index=self.no_index or other.no_index,
            prereleases=self.prereleases or other.prereleases,
            best_match=self.best_match or other.best_match,
        )


class Requirements(Frozen):
    """What an installer is asked for. Every string is one line of a requirements file and never an option."""

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    index: Index = Index()
    python: str | None = None


class Side(Requirements):
    """One side of the upgrade.

    `hashes` has those of the files that may be installed, by `name==version`, or by name for a reference.
    `local` leads from requirements that are paths to these, from the root of the repository. `ranges` are
    what its locks were made from. `resolved` is what its ranges resolved to where that was asked (name →
    version); `failure` says, in uv's words, why they did not.
    """

    name: SideName
    hashes: dict[str, tuple[str, ...]] = {}
    local: dict[str, str] = {}
    ranges: tuple[str, ...] = ()
    resolved: dict[str, str] = {}
    failure: Failure | None = None


class Trigger(Frozen):
    """What started the run. All of it arrives as arguments, and none of it is trusted.

    `event` is GitHub's pull_request, merge_group, push or anything else; `base_sha` and `head_sha` are the
    event's (for a push: before and after); `ref` is the head branch, used for the label only; `base_ref` is
    the branch or revision to compare with where the event names no commits (default: origin's own).
    """

    event: str = ""
    base_sha: str | None = None
    head_sha: str | None = None
    ref: str = ""
    base_ref: str | None = None


class Revisions(Frozen):
    """The two commits, and the `tip` that a person or bot wrote."""

    base: str
    head: str
    tip: str


class Options(UpgradeSettings):
    """What the configuration says about the search, by paths relative to the root of the repository.

    `python` is what the configuration sets and counts where no manifest names one, `default_python` where the
    project allows it. `named` are the sides whose frameworks the configuration itself names.
    `configuration` is the path of the validator.yml and `settings` what it says, for what models are made of.
    `exclude_newer` (RFC 3339) is the instant as of which ranges are resolved (None: they are compared as
    written).
    """

    python: str | None = None
    default_python: str | None = None
    named: tuple[SideName, ...] = ()
    configuration: str | None = None
    settings: Settings | None = None
    exclude_newer: str | None = None


class BaseModels(Frozen):
    """Models that the head has otherwise, as the base's validator.yml describes them, by the head's names.

    `folder` is that of the base's validator.yml and `files` are what each model is made of, relative to the
    root of the repository. `pins` are the digests of addresses.
    """

    folder: str = ""
    models: dict[str, ModelSettings] = {}
    pins: dict[str, str] = {}
    files: dict[str, tuple[str, ...]] = {}


class Detected(Frozen):
    """What a pull request changes, and what both sides' environments and models are made from."""

    upgrade: Upgrade
    base: Side
    head: Side
    revisions: Revisions
    models: BaseModels = BaseModels()

    @property
    def reasons(self) -> tuple[ModelReason, ...]:
        """What the pull request changes about models."""
        return tuple(each for each in self.upgrade.reasons if isinstance(each, ModelReason))

    @property
    def only_models(self) -> bool:
        """Whether models are all that changes: neither packages nor other settings."""
        return all(isinstance(each, ModelReason) for each in self.upgrade.reasons)


class Installer(Protocol):
    """What is asked of uv. Neither call runs anything of the pull request or of a package."""

    def resolve(self, requirements: Requirements, exclude_newer: str) -> Mapping[str, str] | Failure:
        """Return the version of every package that would be installed as of an instant (RFC 3339)."""

    def export(
        self, project: Mapping[str, str], extras: tuple[str, ...], groups: tuple[str, ...]
    ) -> str | Failure:
        """Return what a locked project installs as a requirements text, with the markers of its lock.

        `project` maps relative paths to texts: `uv.lock`, the pyproject.toml of the root and each member.
        """

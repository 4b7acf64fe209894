"""The known changes as data: what a file of `changes/` may hold, and all of them, checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from packaging.version import Version
from pydantic import AfterValidator, Field, model_validator

from validator.base import Frozen

#: How a change shows. `structure`: in what layers get before any number does; `rounding`: in last bits alone.
Shows = Literal["predictions", "metric", "training", "failure", "structure", "rounding"]
Area = Literal[
    "activations", "attention", "convolution", "distribution", "dtypes", "initializers", "inputs", "loading",
    "losses", "masks", "metrics", "normalization", "operations", "optimizers", "preprocessing", "random",
    "recurrent", "training",
]  # fmt: skip
#: What a model must have, beside layers of a class, for a change to reach it.
Feature = Literal[
    "compiled", "explicit-mask", "h5", "half", "integer-input", "list-input", "lora", "loss", "loss-weights",
    "losses-by-name", "mask", "metrics", "mixed-policies", "nested-model", "not-functional", "replicas",
    "several-inputs", "several-masks", "several-outputs", "unsorted-inputs", "unsorted-outputs",
]  # fmt: skip
#: What recorded inputs must hold for a change to show.
InputNeed = Literal[
    "padded", "masked-row", "large-id", "wide-id", "large", "tiny", "negative", "nan", "smaller-batch",
    "empty-text", "flat-labels",
]  # fmt: skip
Backend = Literal["tensorflow", "jax", "torch"]
#: The release that stands for Keras 2.
LEGACY = "tf-keras"


def _release(text: str) -> str:
    if text != LEGACY:
        Version(text)
    return text


Release = Annotated[str, AfterValidator(_release)]


class Fingerprint(Frozen):
    """Which models a change can reach: all of what is given must hold."""

    layers: tuple[str, ...] = Field(default=(), description="A layer of one of these classes.")
    any_layer: bool = Field(default=False, description="A layer of any class, which `where` narrows.")
    custom: bool = Field(default=False, description="A layer of the model's own code.")
    where: dict[str, str] = Field(
        default={},
        description="Settings of it: a value, `set`, `true`, `> 0`, `not -1`, `several`, `negative`.",
    )
    any_setting: tuple[str, ...] = Field(default=(), description="One of these strings as a setting.")
    features: tuple[Feature, ...] = ()
    losses: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    optimizer: dict[str, str] = Field(default={}, description="Settings of the optimizer, as in `where`.")
    code: tuple[str, ...] = Field(default=(), description="The model's source calls one of these functions.")


class Remedy(Frozen):
    """What to do about a change, in a sentence and as code."""

    text: str
    code: str


class Proof(Frozen):
    """A function of `bench/catalogue/proofs` that shows the change, and by how much at least.

    Attributes:
        run: `module:function`.
        saved: the release whose file is loaded; `<function>_save` writes it.
        size: the smallest difference at each border of the change; None where what is seen is a text.
        control: how far what must not change may move.
    """

    run: str
    saved: Release | None = None
    size: float | None = None
    control: float = 2e-5


class CatalogueEntry(Frozen):
    """One known change of a package.

    Attributes:
        before: the last release without it; None where it is not known, or there was no such thing.
        since, until: the first and last release that behave so; no `until` for the newest.
        fixed: the first release after it.
        aspects: what differs first at a layer, as the check `layers` names it.
        training: kinds of findings about training that fit; empty for any.
        differences: kinds of differences that fit, as the check `structure` names them; empty for any.
        errors: patterns of errors that fit, `Class: message`.
        reported: pattern of what the framework reports otherwise; empty for anything.
        evidence: findings that must be there for it to be named.
        lines: files or folders below `keras/src` whose code changed; a search for the origin that ended in
            others rules the change out. Empty where that is not known.
    """

    id: str = Field(pattern=r"^K\d{2,3}$")
    package: Literal["keras"] = "keras"
    area: Area
    title: str
    before: Release | None = None
    since: Release
    until: Release | None = None
    fixed: Release | None = None
    backends: tuple[Backend, ...] = ()
    seen: str
    shows: tuple[Shows, ...] = Field(min_length=1)
    fingerprint: Fingerprint
    aspects: tuple[Literal["value", "dtype", "mask", "structure", "weights"], ...] = ()
    training: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    reported: str = ""
    evidence: tuple[str, ...] = ()
    inputs: tuple[InputNeed, ...] = ()
    lines: tuple[str, ...] = ()
    workaround: Remedy
    links: tuple[str, ...] = Field(min_length=1)
    proof: Proof

    @model_validator(mode="after")
    def _consistent(self) -> CatalogueEntry:
        if (self.until is None) != (self.fixed is None):
            raise ValueError("`until` and `fixed` go together")
        if self.before is None and self.fixed is None:
            raise ValueError("neither `before` nor `fixed`: nothing to compare with")
        order = [self.before, self.since, self.until, self.fixed]
        known = [number(release) for release in order if release is not None]
        if known != sorted(known):
            raise ValueError("releases are not in order")
        for early, late in ((self.before, self.since), (self.until, self.fixed)):
            if early not in (None, LEGACY) and late is not None and next_release(str(early)) != late:
                raise ValueError(f"{late} is not the release after {early}")
        return self

    @property
    def link(self) -> str:
        """Where it is best described."""
        return self.links[0]

    def behaves(self, release: str) -> bool:
        """Whether a release of Keras behaves so."""
        at = number(release)
        return at >= number(self.since) and (self.fixed is None or at < number(self.fixed))

    def between(self, baseline: str, candidate: str) -> bool:
        """Whether one of two releases behaves so, and the other does not."""
        if self.behaves(baseline) == self.behaves(candidate):
            return False
        other = number(baseline if self.behaves(candidate) else candidate)
        if other > number(self.since):
            return True
        # Before it, only what was proven: Keras 2, or releases of Keras 3.
        return self.before is not None and (other == number(LEGACY)) == (self.before == LEGACY)


def number(release: str) -> Version:
    """A release for comparing; tf-keras stands before every Keras 3."""
    version = Version("2") if release == LEGACY else Version(release)
    return Version("2") if version.major < 3 else version


@cache
def releases() -> tuple[str, ...]:
    """Every release of Keras 3, oldest first."""
    return tuple(str(release) for release in _yaml("releases.yml"))


def next_release(release: str) -> str | None:
    """The release after another."""
    every = releases()
    if release not in every:
        return None
    at = every.index(release) + 1
    return every[at] if at < len(every) else None


def newest() -> str:
    """The newest release that the catalogue knows."""
    return releases()[-1]


@cache
def changes() -> tuple[CatalogueEntry, ...]:
    """Every shipped change, by its number."""
    folder = files("validator.catalogue").joinpath("changes")
    names = sorted(place.name for place in folder.iterdir() if place.name.endswith(".yml"))
    return parsed(entry for name in names for entry in _yaml(f"changes/{name}"))


def parsed(entries: Iterable[object]) -> tuple[CatalogueEntry, ...]:
    """Entries of files as changes.

    Raises:
        ValueError: an entry does not fit the schema, or two have one number.
    """
    made = [CatalogueEntry.model_validate(entry) for entry in entries]
    ids = [change.id for change in made]
    if len(set(ids)) < len(ids):
        raise ValueError(f"two entries of one number: {sorted(each for each in ids if ids.count(each) > 1)}")
    return tuple(sorted(made, key=lambda change: int(change.id[1:])))


def change(identity: str) -> CatalogueEntry | None:
    """A change by its number."""
    return next((each for each in changes() if each.id == identity), None)


def _yaml(name: str) -> list[object]:
    text = files("validator.catalogue").joinpath(name).read_text(encoding="utf-8")
    # libyaml reads the catalogue in a tenth of the time
    loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders
    return list(loaded)

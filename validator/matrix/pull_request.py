"""The environments `base` and `head` of a pull request: the project's own requirements on either side."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from validator.config.settings import EnvironmentSettings, Install, Settings
from validator.matrix.environment import Environment
from validator.matrix.requirements import (
    KERAS_NIGHTLIES,
    TENSORFLOW_NIGHTLIES,
    TENSORFLOWS,
    keras_overrides,
    tensorflow_overrides,
)
from validator.upgrade import FRAMEWORKS, Detected, Index, Side, name_of

BASE, HEAD = "base", "head"
#: The packages of the baseline, with models as the base commit has them.
BASE_FILES = "base-files"
_BACKENDS = {
    "tensorflow": frozenset((*TENSORFLOWS, *TENSORFLOW_NIGHTLIES)),
    "jax": frozenset({"jax"}),
    "torch": frozenset({"torch"}),
}


def environments(settings: Settings, detected: Detected) -> tuple[Environment, Environment] | None:
    """Both sides as environments; None where no manifest of either names a framework.

    Each is what its manifests ask for. Common requirements that validator.yml lists are added where a side
    does not name the package itself; `environments.base` and `environments.head` win over both.
    """
    lines = (*detected.base.requirements, *detected.head.requirements)
    if not FRAMEWORKS & {name_of(line) for line in lines}:
        return None
    return _environment(settings, detected.base), _environment(settings, detected.head)


@dataclass(frozen=True)
class ModelChanges:
    """The models that a pull request changes: each also runs as the base commit has it.

    `alone`: packages and everything else are the same on both sides, so that one environment stands for both.
    """

    names: frozenset[str] = frozenset()
    alone: bool = False

    def of(self, settings: Settings) -> ModelChanges:
        """The same for the models of these settings, which may be fewer."""
        return replace(self, names=self.names & {model.name for model in settings.models})


def model_changes(detected: Detected, sides: tuple[Environment, Environment] | None) -> ModelChanges:
    """Which models run from both commits; `sides` are the environments of both, if there are any."""
    alike = sides is None or replace(sides[0], name=HEAD) == sides[1]
    alone = alike and detected.only_models and detected.base.index == detected.head.index
    reasons = [each for each in detected.reasons if each.state == "changed"]
    return ModelChanges(frozenset(each.model for each in reasons if each.own or alone), alone)


def install_with(install: Install, index: Index) -> Install:
    """How packages are installed: as validator.yml says, and from the indexes that manifests name."""
    merged = Index.model_validate(install, from_attributes=True) + index
    strategy = install.index_strategy or ("unsafe-best-match" if merged.best_match else None)
    options = {key: value for key, value in dict(merged).items() if key in Install.model_fields}
    return install.model_copy(update={**options, "index_strategy": strategy})


def install_of(install: Install, side: Side, instant: str) -> Install:
    """How a side is installed: as validator.yml says, and from the indexes its own manifests name.

    Without an index of its own a side is resolved as of `instant` (RFC 3339), so that both see the same
    releases. Other indexes seldom say when a file was uploaded, and would seem empty.
    """
    # A path of the pull request exists at one commit only.
    links = tuple(place for place in side.index.find_links if "://" in place)
    merged = install_with(install, side.index.model_copy(update={"find_links": links}))
    elsewhere = merged.index_url or merged.extra_index_urls or merged.find_links or merged.no_index
    return (
        merged if merged.exclude_newer or elsewhere else merged.model_copy(update={"exclude_newer": instant})
    )


def _environment(settings: Settings, side: Side) -> Environment:
    own = settings.environments.get(side.name) or EnvironmentSettings()
    requirements = _requirements(settings, side, own)
    names = {name_of(line) for line in requirements} | side.resolved.keys()
    backend = _backend(settings, names)
    variables = {"KERAS_BACKEND": backend, **own.variables}
    # What was resolved holds for what was asked then; with anything added it could contradict it.
    same = set(requirements) == set(side.requirements)
    resolved = [f"{name}=={version}" for name, version in sorted(side.resolved.items()) if same]
    return Environment(
        name=side.name,
        python=own.python or side.python or settings.python,
        requirements=requirements,
        overrides=(*tensorflow_overrides(names), *keras_overrides(names), *settings.install.overrides),
        variables=tuple(variables.items()),
        legacy=variables.get("TF_USE_LEGACY_KERAS", "").lower() in {"1", "true"},
        backend=variables["KERAS_BACKEND"],
        constraints=_joined(side.constraints, resolved),
        hashes=tuple(sorted(side.hashes.items())),
    )


def _requirements(settings: Settings, side: Side, own: EnvironmentSettings) -> tuple[str, ...]:
    # A file is a manifest like any other: it has been read on both sides, or counts for the matrix alone.
    common = settings.requirements if not isinstance(settings.requirements, str) else ()
    replaced = {name_of(line) for line in own.requirements} - {""}
    asked = [line for line in side.requirements if name_of(line) not in replaced]
    named = {name_of(line) for line in (*asked, *own.requirements)} | side.resolved.keys()
    if named & {*TENSORFLOWS, *TENSORFLOW_NIGHTLIES}:
        named |= set(TENSORFLOWS)
    named |= {release for release, night in KERAS_NIGHTLIES.items() if night in named}
    added = [line for line in common if name_of(line) not in named]
    return _joined(asked, added, own.requirements)


def _backend(settings: Settings, names: AbstractSet[str]) -> str:
    present = (backend for backend, packages in _BACKENDS.items() if packages & names)
    return [*settings.matrix.backend, *present, "tensorflow"][0]


def _joined(*parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))

"""The environments `base` and `head` of a pull request: the project's own requirements on either side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.config.settings import EnvironmentSettings, Install, Settings
from validator.matrix import Environment
from validator.matrix.requirements import TENSORFLOWS
from validator.upgrade import Detected, Side
from validator.upgrade.relevant import FRAMEWORKS

BASE, HEAD = "base", "head"
_BACKENDS = {"tensorflow": frozenset(TENSORFLOWS), "jax": frozenset({"jax"}), "torch": frozenset({"torch"})}


def environments(settings: Settings, detected: Detected) -> tuple[Environment, Environment] | None:
    """Both sides as environments; None where no manifest of either names a framework.

    Each is what its manifests ask for. Common requirements that validator.yml lists are added where a side
    does not speak of the package itself; `environments.base` and `environments.head` have the last word.
    """
    spoken = (*detected.base.requirements, *detected.head.requirements)
    if not FRAMEWORKS & {package(line) for line in spoken}:
        return None
    return _environment(settings, detected.base), _environment(settings, detected.head)


def install_of(install: Install, side: Side, instant: str) -> Install:
    """How a side is installed: as validator.yml says, and from the indexes its own manifests name.

    Without an index of its own a side is resolved as of `instant`, so that both see the same releases. Other
    indexes seldom tell when a file was uploaded, and would seem empty.
    """
    index = side.index
    links = tuple(place for place in index.find_links if "://" in place)
    merged = install.model_copy(
        update={
            "index_url": install.index_url or index.index_url,
            "extra_index_urls": _joined(install.extra_index_urls, index.extra_index_urls),
            "find_links": _joined(install.find_links, links),
            "no_index": install.no_index or index.no_index,
            "prereleases": install.prereleases or index.prereleases,
        }
    )
    elsewhere = merged.index_url or merged.extra_index_urls or merged.find_links or merged.no_index
    if merged.exclude_newer is None and not elsewhere:
        merged = merged.model_copy(update={"exclude_newer": instant})
    return merged


def _environment(settings: Settings, side: Side) -> Environment:
    own = settings.environments.get(side.name) or EnvironmentSettings()
    requirements = _requirements(settings, side, own)
    names = {name for line in requirements if (name := package(line))} | side.resolved.keys()
    backend = _backend(settings, names)
    variables = {"KERAS_BACKEND": backend, **own.variables}
    # tf-keras and keras-nlp depend on `tensorflow`; beside tensorflow-cpu that is the same files once more
    other = bool(names & set(TENSORFLOWS)) and "tensorflow" not in names
    overrides = ("tensorflow ; sys_platform == 'never'",) if other else ()
    # What was resolved holds for what was asked then; with anything added it could contradict it.
    same = set(requirements) == set(side.requirements)
    resolved = [f"{name}=={version}" for name, version in sorted(side.resolved.items()) if same]
    return Environment(
        name=side.name,
        python=own.python or side.python or settings.python,
        requirements=requirements,
        overrides=(*overrides, *settings.install.overrides),
        variables=tuple(variables.items()),
        legacy=variables.get("TF_USE_LEGACY_KERAS", "").lower() in {"1", "true"},
        backend=variables["KERAS_BACKEND"],
        constraints=_joined(side.constraints, resolved),
    )


def _requirements(settings: Settings, side: Side, own: EnvironmentSettings) -> tuple[str, ...]:
    # A file is a manifest like any other: it has been read on both sides, or has nothing to say here.
    common = settings.requirements if not isinstance(settings.requirements, str) else ()
    replaced = {package(line) for line in own.requirements}
    asked = [line for line in side.requirements if package(line) not in replaced or not package(line)]
    named = {package(line) for line in (*asked, *own.requirements)} | side.resolved.keys()
    if named & set(TENSORFLOWS):
        named |= set(TENSORFLOWS)
    added = [line for line in common if package(line) not in named]
    return _joined(asked, added, own.requirements)


def _backend(settings: Settings, names: Iterable[str]) -> str:
    if settings.matrix.backend:
        return settings.matrix.backend[0]
    present = set(names)
    return next((backend for backend, packages in _BACKENDS.items() if packages & present), "tensorflow")


def package(line: str) -> str:
    """The normalised name of a requirement; empty for a bare URL."""
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        return ""


def _joined(*parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part))

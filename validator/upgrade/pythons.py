"""Which Python an environment gets: the one a project names, or one within the range that it requires."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from validator.upgrade.manifest import DependencyManifest
from validator.upgrade.types import Options, PythonMismatchReason

_MINORS = range(8, 20)
_PATCHES = range(40)


def python_of(
    manifests: Iterable[DependencyManifest], options: Options
) -> tuple[str | None, PythonMismatchReason | None]:
    """Return the Python of a side, and how the configuration's own contradicts the project.

    A manifest's plain version comes first, then the configuration's, then the default if the project allows
    it, else the nearest that it does.
    """
    manifests = list(manifests)
    named = _named(manifests)
    if named is not None:
        return named, None
    ranges = {each.requires_python: each.path for each in manifests if each.requires_python}
    python = options.python or options.default_python
    if python is None:
        return None, None
    refusing = [(text, path) for text, path in ranges.items() if python not in _allowed(text, python)]
    if not refusing:
        return python, None
    if options.python is not None:
        text, path = refusing[0]
        return python, PythonMismatchReason(python=python, required=text, manifest=path)
    return _nearest(ranges, python), None


def _named(manifests: Iterable[DependencyManifest]) -> str | None:
    # .python-version says it most plainly, and the manifest nearest to the requirements wins.
    asking = [manifest for manifest in manifests if manifest.python is not None]
    asking.sort(key=lambda manifest: (manifest.kind != "python-version", -manifest.path.count("/")))
    return asking[0].python if asking else None


def _nearest(ranges: Iterable[str], default: str) -> str:
    """Return the first minor version above the default that every range allows, else the last one below."""
    own = int(default.split(".")[1])
    minors = [f"3.{minor}" for minor in (*range(own, _MINORS.stop), *reversed(range(_MINORS.start, own)))]
    allowed = [set(_allowed(text, *minors)) for text in ranges]
    return next((minor for minor in minors if all(minor in each for each in allowed)), default)


def _allowed(text: str, *pythons: str) -> list[str]:
    """Return those that a range allows; a minor version if it allows any of its releases."""
    contains = _range(text)
    return [
        python
        for python in pythons
        if any(
            map(contains, [python] if python.count(".") > 1 else [f"{python}.{patch}" for patch in _PATCHES])
        )
    ]


def _range(text: str) -> Callable[[str], bool]:
    """Return what a range allows: of PEP 440, or in Poetry's spelling; everything where it is neither."""
    try:
        return partial(SpecifierSet(text).contains, prereleases=True)
    except InvalidSpecifier:
        pass
    from poetry.core.constraints.version import Version, parse_constraint

    try:
        constraint = parse_constraint(text)
    except ValueError:
        return lambda _: True
    return lambda python: constraint.allows(Version.parse(python))

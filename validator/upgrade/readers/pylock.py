"""pylock.toml (PEP 751), read by packaging's own reader."""

from __future__ import annotations

from packaging.pylock import Package, Pylock, PylockUnsupportedVersionError, PylockValidationError
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Source
from validator.upgrade.readers.locked import locked, other_indexes
from validator.upgrade.text import Lines, parse_toml, show


def read(source: Source, _files: Files) -> DependencyManifest:
    """Return a pylock.toml."""
    try:
        lock = Pylock.from_dict(parse_toml(source.text, source.where))
    except (PylockValidationError, PylockUnsupportedVersionError) as error:
        raise ConfigurationError(f"{source.where} is not a valid pylock.toml: {show(str(error))}.") from None
    # Only a lock that records who needs whom can tell what nobody else needs.
    needed = {
        canonicalize_name(str(each.get("name", "")))
        for package in lock.packages
        for each in package.dependencies or ()
    }
    lines = Lines(source.text).blocks("[[packages]]", len(lock.packages))
    pins = []
    for package, line in zip(lock.packages, lines, strict=True):
        version, marker = (str(each or "") for each in (package.version, package.marker))
        pin = locked(source, package.name, version, _address(package), marker)
        facts = {"line": line, "direct": package.name not in needed, "hashes": _hashes(package)}
        pins.append(pin.model_copy(update=facts))
    return DependencyManifest(
        path=source.path,
        kind="pylock",
        pins=tuple(pins),
        index=other_indexes(package.index for package in lock.packages),
        requires_python=str(lock.requires_python or ""),
    )


def _hashes(package: Package) -> tuple[str, ...]:
    files = [*(each.hashes for each in package.wheels or ())]
    files += [each.hashes for each in (package.sdist, package.archive) if each is not None]
    pairs = (pair for hashes in files for pair in hashes.items())
    return tuple(dict.fromkeys(f"{algorithm}:{digest}" for algorithm, digest in pairs))


def _address(package: Package) -> str:
    """Return where a package comes from that comes from no index."""
    if package.vcs is not None:
        vcs = package.vcs
        folder = f"#subdirectory={vcs.subdirectory}" if vcs.subdirectory else ""
        return f"{vcs.type}+{vcs.url or vcs.path}@{vcs.commit_id}{folder}"
    if package.archive is not None:
        return package.archive.url or str(package.archive.path)
    return package.directory.path if package.directory is not None else ""

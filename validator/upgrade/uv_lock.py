"""uv.lock: every version it holds, and the way from the project to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.manifests import Files, Index, Manifest, Pin, Source, holds, normal
from validator.upgrade.text import Lines, parse_toml, sequence, show, string, table

_PYPI = "https://pypi.org/simple"
_OWN = ("editable", "virtual", "directory")  # sources that are folders: the project and its workspace
_KNOWN_REVISION = 1


class Edge(Frozen):
    """One package needing another. `version` is set where the lock holds several of that name."""

    name: str
    version: str | None
    marker: str
    extras: tuple[str, ...]


class Locked(Frozen):
    """One package of the lock. `needs` maps "", `extra:NAME` and `group:NAME` to what that needs."""

    pin: Pin
    own: bool
    needs: dict[str, tuple[Edge, ...]]


def parse(source: Source, _files: Files) -> Manifest:
    """Return the lock's packages without the project's own. `direct` is what the project itself names."""
    document = parse_toml(source.text, source.where)
    if document.get("version") != _KNOWN_REVISION:
        raise ConfigurationError(
            f"{source.where} has the lock version {show(str(document.get('version')))}; 1 is known."
        )
    packages = _packages(source, document)
    direct = {edge.name for each in packages if each.own for edges in each.needs.values() for edge in edges}
    pins = [
        each.pin.model_copy(update={"direct": each.pin.name in direct}) for each in packages if not each.own
    ]
    own = sorted(each.pin.name for each in packages if each.own)
    return Manifest(
        path=source.path,
        kind="uv-lock",
        pins=tuple(pins),
        index=_index(source, document),
        requires_python=string(document.get("requires-python"), source.where, "requires-python"),
        notes=(f"{show(source.path)}: the project's own code is not installed: {show(', '.join(own))}",)
        if own
        else (),
    )


def installed(
    source: Source, sections: frozenset[str], environment: Mapping[str, str]
) -> frozenset[tuple[str, str]]:
    """Return name and version of what the lock installs on one machine.

    Args:
        source: the lock.
        sections: `extra:NAME` and `group:NAME` of the project that are wanted beside its dependencies.
        environment: PEP 508 variables of the machine and Python.
    """
    packages = _packages(source, parse_toml(source.text, source.where))
    if not any(each.own for each in packages):  # a script's lock, or a workspace without a project: all of it
        return frozenset((each.pin.name, each.pin.version or "") for each in packages)
    by_name: dict[str, list[Locked]] = {}
    for each in packages:
        by_name.setdefault(each.pin.name, []).append(each)
    waiting = [(each, section) for each in packages if each.own for section in ("", *sections)]
    seen: set[tuple[str, str, str]] = set()
    while waiting:
        package, section = waiting.pop()
        key = (package.pin.name, package.pin.version or "", section)
        if key in seen:
            continue
        seen.add(key)
        for edge in package.needs.get(section, ()):
            if not holds(edge.marker, environment):
                continue
            for target in by_name.get(edge.name, ()):
                if edge.version is None or edge.version == target.pin.version:
                    waiting += [(target, ""), *((target, f"extra:{extra}") for extra in edge.extras)]
    return frozenset((name, version) for name, version, _ in seen)


def sections(source: Source) -> dict[str, frozenset[str]]:
    """Return the extras and groups of the project, each with the names that it asks for."""
    found: dict[str, frozenset[str]] = {}
    for each in _packages(source, parse_toml(source.text, source.where)):
        for section, edges in each.needs.items() if each.own else ():
            if section:
                found[section] = found.get(section, frozenset()) | {edge.name for edge in edges}
    return found


def _packages(source: Source, document: Mapping[str, object]) -> list[Locked]:
    where = source.where
    lines = Lines(source.text)
    listed = sequence(document.get("package"), where, "package")
    headers = lines.headers("[[package]]")
    if len(headers) != len(listed):  # a header inside a multi-line string: then nobody knows the lines
        headers = ()
    packages = []
    for position, item in enumerate(listed):
        header = headers[position] if headers else None
        line = lines.starting("version = ", header) if header is not None else None
        packages.append(_package(table(item, where, "package"), source, line or header))
    return packages


def _package(item: Mapping[str, object], source: Source, line: int | None) -> Locked:
    where = source.where
    name = canonicalize_name(string(item.get("name"), where, "package.name"))
    version = string(item.get("version"), where, f"{name}.version") or None
    origin = table(item.get("source"), where, f"{name}.source")
    text, url, local = _installable(name, version, origin, where)
    markers = tuple(
        string(each, where, f"{name}.resolution-markers")
        for each in sequence(item.get("resolution-markers"), where, f"{name}.resolution-markers")
    )
    marker = _either(markers, where)
    pin = Pin(
        name=name,
        text=f"{text} ; {marker}" if marker else text,
        manifest=source.path,
        version=None if url else version,
        specifier=f"=={version}" if version and not url else "",
        marker=marker,
        line=line,
        url=url,
        local=local,
    )
    return Locked(pin=pin, own=local, needs=dict(_needs(item, where, name)))


def _installable(
    name: str, version: str | None, origin: Mapping[str, object], where: str
) -> tuple[str, bool, bool]:
    """Return the text for an installer, whether it is a direct reference, and whether it is a folder."""
    for key in _OWN:
        if key in origin:
            return string(origin[key], where, name), True, True
    if "git" in origin:
        # https://host/owner/name?rev=main#<commit>: the commit is what is locked
        address, _, commit = string(origin["git"], where, name).partition("#")
        address, _, query = address.partition("?")
        folders = [part for part in query.split("&") if part.startswith("subdirectory=")]
        return f"{name} @ git+{address}@{commit}" + (f"#{folders[0]}" if folders else ""), True, False
    if "url" in origin:
        return f"{name} @ {string(origin['url'], where, name)}", True, False
    if "path" in origin:
        return string(origin["path"], where, name), True, True
    if version is None:
        raise ConfigurationError(f"{where}: the package {show(name)} has no version.")
    return f"{name}=={normal(version)}", False, False


def _needs(item: Mapping[str, object], where: str, name: str) -> Iterator[tuple[str, tuple[Edge, ...]]]:
    yield "", _edges(item.get("dependencies"), where, name)
    for key, kind in (("optional-dependencies", "extra"), ("dev-dependencies", "group")):
        for section, edges in table(item.get(key), where, f"{name}.{key}").items():
            yield f"{kind}:{canonicalize_name(section)}", _edges(edges, where, name)


def _edges(value: object, where: str, name: str) -> tuple[Edge, ...]:
    edges = []
    for each in sequence(value, where, f"{name}.dependencies"):
        edge = table(each, where, f"{name}.dependencies")
        edges.append(
            Edge(
                name=canonicalize_name(string(edge.get("name"), where, f"{name}.dependencies")),
                version=string(edge.get("version"), where, f"{name}.dependencies") or None,
                marker=_either((string(edge.get("marker"), where, f"{name}.dependencies"),), where),
                extras=tuple(
                    canonicalize_name(string(extra, where, name))
                    for extra in sequence(edge.get("extra"), where, name)
                ),
            )
        )
    return tuple(edges)


def _either(markers: tuple[str, ...], where: str) -> str:
    """Return one marker that holds where any of `markers` does."""
    try:
        checked = [str(Marker(marker)) for marker in markers if marker]
    except InvalidMarker as error:
        raise ConfigurationError(f"{where}: {show(str(error).splitlines()[0])}.") from None
    return checked[0] if len(checked) == 1 else " or ".join(f"({marker})" for marker in checked)


def _index(source: Source, document: Mapping[str, object]) -> Index:
    urls: dict[str, None] = {}
    for each in sequence(document.get("package"), source.where, "package"):
        origin = table(table(each, source.where, "package").get("source"), source.where, "source")
        registry = string(origin.get("registry"), source.where, "registry")
        if registry and "://" in registry and registry != _PYPI:
            urls[registry] = None
    return Index(extra_index_urls=tuple(urls))

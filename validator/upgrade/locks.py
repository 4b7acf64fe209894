"""pylock.toml, poetry.lock and Pipfile.lock: exact versions that another tool has settled."""

from __future__ import annotations

import re
from collections.abc import Mapping

from packaging.markers import InvalidMarker, Marker
from packaging.pylock import Package, Pylock, PylockUnsupportedVersionError, PylockValidationError
from packaging.utils import canonicalize_name

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.manifests import Files, Index, Manifest, Pin, Source, normal
from validator.upgrade.pyproject import sources_index
from validator.upgrade.text import Lines, parse_json, parse_toml, sequence, show, string, table

_PYPI = frozenset({"https://pypi.org/simple", "https://pypi.python.org/simple"})
#: The section of a package that some extra asks for.
ANY_EXTRA = "extra:*"
_PYTHON = re.compile(r"^\d+\.\d+(\.\d+)?$")


def parse_pylock(source: Source, _files: Files) -> Manifest:
    """Return a pylock.toml (PEP 751), read by packaging's own reader."""
    document = parse_toml(source.text, source.where)
    try:
        lock = Pylock.from_dict(document)
    except (PylockValidationError, PylockUnsupportedVersionError) as error:
        raise ConfigurationError(f"{source.where} is not a valid pylock.toml: {show(str(error))}.") from None
    lines = _Blocks(source.text, "[[packages]]", len(lock.packages))
    # Only a lock that records who needs whom can tell what nobody else needs.
    needed = {
        canonicalize_name(str(each.get("name", "")))
        for package in lock.packages
        for each in package.dependencies or ()
    }
    pins = [
        _pylock_pin(package, source, lines.line(position)).model_copy(
            update={"direct": package.name not in needed}
        )
        for position, package in enumerate(lock.packages)
    ]
    urls = dict.fromkeys(
        package.index for package in lock.packages if package.index and package.index not in _PYPI
    )
    return Manifest(
        path=source.path,
        kind="pylock",
        pins=tuple(pins),
        index=Index(extra_index_urls=tuple(url for url in urls if url)),
        requires_python=str(lock.requires_python or ""),
    )


def _pylock_pin(package: Package, source: Source, line: int | None) -> Pin:
    marker = str(package.marker) if package.marker else ""
    text, local = "", False
    if package.vcs is not None:
        address = package.vcs.url or package.vcs.path
        text = f"{package.name} @ {package.vcs.type}+{address}@{package.vcs.commit_id}"
        text += f"#subdirectory={package.vcs.subdirectory}" if package.vcs.subdirectory else ""
    elif package.archive is not None:
        local = not package.archive.url
        text = str(package.archive.path) if local else f"{package.name} @ {package.archive.url}"
    elif package.directory is not None:
        text, local = package.directory.path, True
    version = str(package.version) if package.version is not None and not text else None
    if not text and version is None:
        raise ConfigurationError(f"{source.where}: the package {package.name} has no version.")
    found = _Locked(name=package.name, version=version, marker=marker, line=line, text=text, local=local)
    return found.pin(source)


def parse_poetry(source: Source, _files: Files) -> Manifest:
    """Return a poetry.lock. Before Poetry 2 it names no groups: then every package belongs to the project."""
    document = parse_toml(source.text, source.where)
    where = source.where
    listed = [table(each, where, "package") for each in sequence(document.get("package"), where, "package")]
    needed = {
        canonicalize_name(name)
        for item in listed
        for name in table(item.get("dependencies"), where, "dependencies")
    }
    lines = _Blocks(source.text, "[[package]]", len(listed))
    pins: list[Pin] = []
    urls: dict[str, None] = {}
    for position, item in enumerate(listed):
        pin = _poetry_pin(item, source, lines.line(position))
        origin = table(item.get("source"), where, "source")
        if origin.get("type") == "legacy" and origin.get("url") not in _PYPI:
            urls[string(origin.get("url"), where, "source.url")] = None
        pins.append(
            pin.model_copy(
                update={"direct": pin.name not in needed, "sections": _poetry_sections(item, where)}
            )
        )
    metadata = table(document.get("metadata"), where, "metadata")
    return Manifest(
        path=source.path,
        kind="poetry-lock",
        pins=tuple(pins),
        index=Index(extra_index_urls=tuple(urls)),
        requires_python=string(metadata.get("python-versions"), where, "metadata.python-versions"),
    )


def _poetry_pin(item: Mapping[str, object], source: Source, line: int | None) -> Pin:
    where = source.where
    name = string(item.get("name"), where, "package.name")
    version = string(item.get("version"), where, f"{name}.version")
    # Poetry 2 writes one marker, or one for each group; which groups count is decided later, so any may hold.
    marker = item.get("markers")
    if isinstance(marker, dict):
        marker = " or ".join(f"({each})" for each in marker.values())
    origin = table(item.get("source"), where, f"{name}.source")
    kind, url = origin.get("type"), string(origin.get("url"), where, f"{name}.source.url")
    text, local = "", False
    if kind == "git":
        commit = string(origin.get("resolved_reference") or origin.get("reference"), where, name)
        text = f"{name} @ git+{url}@{commit}"
    elif kind == "url":
        text = f"{name} @ {url}"
    elif kind in {"directory", "file"}:
        text, local = url, True
    checked = _marker(string(marker, where, f"{name}.markers"), where)
    found = _Locked(name=name, version=version, marker=checked, line=line, text=text, local=local)
    return found.pin(source)


def _poetry_sections(item: Mapping[str, object], where: str) -> tuple[str, ...]:
    groups = [string(group, where, "groups") for group in sequence(item.get("groups"), where, "groups")]
    if groups and "main" not in groups:
        return tuple(f"group:{canonicalize_name(group)}" for group in groups)
    # The lock does not say on the package which extra asks for it.
    return (ANY_EXTRA,) if item.get("optional") is True else ()


def parse_pipfile(source: Source, _files: Files) -> Manifest:
    """Return a Pipfile.lock. It does not tell who needs whom: all is direct until a Pipfile speaks."""
    where = source.where
    document = parse_json(source.text, where)
    meta = table(document.get("_meta"), where, "_meta")
    requires = table(meta.get("requires"), where, "_meta.requires")
    python = string(
        requires.get("python_full_version") or requires.get("python_version"), where, "_meta.requires"
    )
    lines = Lines(source.text)
    pins: list[Pin] = []
    for category, packages in document.items():
        if category == "_meta":
            continue
        group = _GROUPS.get(category, canonicalize_name(category))
        sections = () if category == "default" else (f"group:{group}",)
        for name, item in table(packages, where, category).items():
            pin = _pipfile_pin(name, table(item, where, name), source, lines)
            pins.append(pin.model_copy(update={"sections": sections}))
    return Manifest(
        path=source.path,
        kind="pipfile-lock",
        pins=tuple(pins),
        index=_without_pypi(sources_index(sequence(meta.get("sources"), where, "_meta.sources"), where)),
        python=python if _PYTHON.match(python) else None,
        python_line=lines.find("python_", python) if python else None,
    )


#: Pipfile.lock's name of a category → the Pipfile's.
_GROUPS = {"develop": "dev-packages"}


def _pipfile_pin(name: str, item: Mapping[str, object], source: Source, lines: Lines) -> Pin:
    where = source.where
    header = lines.find(f'"{name}": {{')
    version = string(item.get("version"), where, f"{name}.version").removeprefix("==")
    marker = _marker(string(item.get("markers"), where, f"{name}.markers"), where)
    text, local = "", False
    if "git" in item:
        text = f"{name} @ git+{string(item['git'], where, name)}@{string(item.get('ref'), where, name)}"
    elif "file" in item or "path" in item:
        text = string(item.get("file") or item.get("path"), where, name)
        local = "://" not in text
    line = lines.find('"version":', version, after=header or 0) if version and header else header
    found = _Locked(name=name, version=version or None, marker=marker, line=line, text=text, local=local)
    return found.pin(source)


def _without_pypi(index: Index) -> Index:
    return index.model_copy(update={"index_url": None}) if index.index_url in _PYPI else index


class _Locked(Frozen):
    """One package as a lock has it. `text` is set where it does not come from an index by its version."""

    name: str
    version: str | None
    marker: str = ""
    line: int | None = None
    text: str = ""
    local: bool = False

    def pin(self, source: Source) -> Pin:
        name = canonicalize_name(self.name)
        version = normal(self.version) if self.version and not self.text else None
        text = self.text or (f"{name}=={version}" if version else name)
        return Pin(
            name=name,
            text=f"{text} ; {self.marker}" if self.marker and not self.local else text,
            manifest=source.path,
            version=version,
            specifier=f"=={version}" if version else "",
            marker=self.marker,
            line=self.line,
            url=bool(self.text),
            local=self.local,
        )


def _marker(text: str, where: str) -> str:
    if not text:
        return ""
    try:
        return str(Marker(text))
    except InvalidMarker as error:
        raise ConfigurationError(f"{where}: {show(str(error).splitlines()[0])}.") from None


class _Blocks:
    """Where each `[[package]]` of a lock stands: its `version` line, or its header."""

    def __init__(self, text: str, header: str, count: int) -> None:
        self._lines = Lines(text)
        headers = self._lines.headers(header)
        # A header inside a multi-line string would shift every line after it: then none is told.
        self._headers = headers if len(headers) == count else ()

    def line(self, position: int) -> int | None:
        if not self._headers:
            return None
        header = self._headers[position]
        return self._lines.starting("version = ", header) or header

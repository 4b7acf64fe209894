"""What the environments `base` and `head` are built from: the project's own requirements on either side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import dirname, join, normpath

from packaging.markers import default_environment
from packaging.utils import canonicalize_name

from validator.upgrade.git import Snapshot
from validator.upgrade.manifest import LOCKS, SOURCES, DependencyManifest, Pin, is_remote, texts
from validator.upgrade.places import is_aside_section, is_later_section, upwards
from validator.upgrade.pythons import python_of
from validator.upgrade.reader import Reader, read
from validator.upgrade.readers import uv_lock
from validator.upgrade.readers.poetry import ANY_EXTRA
from validator.upgrade.relevant import FRAMEWORKS
from validator.upgrade.selection import Selection
from validator.upgrade.types import Index, Installer, Options, PythonMismatchReason, Side


def build(
    reader: Reader, selection: Selection, options: Options, installer: Installer
) -> tuple[Side, PythonMismatchReason | None]:
    """Return one side from the manifests that count for the environment; the installer exports a uv.lock.

    With it, how the Python of the configuration contradicts the project.
    """
    manifests = [reader.manifest(path) for path in sorted(selection.installed)]
    beside = [reader.manifest(path) for path in sorted(selection.beside)]
    python, mismatch = python_of([*manifests, *beside], options)
    counting = [each for each in manifests if not is_covered(each, manifests)]
    covered = [each for each in manifests if is_covered(each, manifests)]
    sections = chosen_sections(manifests, options)
    machine = machine_of(python)
    limits = [pin for manifest in counting for pin in manifest.constraints]
    pins: list[Pin] = []
    for manifest in counting:
        asked = list(of_sections(manifest.pins, sections))
        if manifest.kind == "uv-lock":
            text = uv_lock.exported(reader.snapshot.source(manifest.path), sections, installer)
            asked = list(read("requirements", text, reader.snapshot).pins)
        if manifest.kind in LOCKS:
            # An installer does not know the words of a lock's markers; they are answered now.
            asked = [_unmarked(pin) for pin in asked if pin.applies(machine, sections)]
        pins += [pin for pin in asked if pin.installed]
    side = Side(
        name=reader.snapshot.side,
        requirements=texts(pins),
        constraints=texts(limits),
        index=sum((manifest.index for manifest in counting), Index()),
        python=python,
        hashes=_hashes((*pins, *limits)),
        local=_local(pins, reader.snapshot),
        ranges=texts(pin for each in covered for pin in of_sections(each.pins, sections) if not pin.url),
    )
    return side, mismatch


def of_sections(pins: Iterable[Pin], sections: frozenset[str]) -> Iterator[Pin]:
    """Yield what is always installed, and what the chosen extras and groups ask for."""
    return (pin for pin in pins if not pin.sections or sections.intersection(pin.sections))


def is_covered(manifest: DependencyManifest, manifests: Iterable[DependencyManifest]) -> bool:
    """Whether what a manifest asks for is in a lock beside it, or in that of the workspace around it."""
    locked = {each.folder for each in manifests if each.kind in LOCKS}
    return manifest.kind in SOURCES and not locked.isdisjoint(upwards(manifest.folder))


def _local(pins: Iterable[Pin], snapshot: Snapshot) -> dict[str, str]:
    """Return the path of each requirement that is one, as seen from its manifest or else from the root."""
    paths = {}
    for pin in pins:
        address = pin.text.partition(" ; ")[0].rpartition(" @ ")[2].removeprefix("-e ").strip()
        relative = address.removeprefix("file:").partition("#")[0]
        if pin.url and not is_remote(relative) and not relative.startswith("/"):
            folders = (dirname(pin.manifest), "")
            candidates = [normpath(join(folder, relative)) for folder in folders]
            paths[pin.text] = next((path for path in candidates if snapshot.below(path)), candidates[0])
    return paths


def _hashes(pins: Iterable[Pin]) -> dict[str, tuple[str, ...]]:
    """Return the hashes of the files that may be installed, by name and version."""
    hashes: dict[str, tuple[str, ...]] = {}
    for pin in pins:
        if pin.hashes and pin.name:
            key = f"{pin.name}=={pin.version}" if pin.version else pin.name
            hashes[key] = tuple(dict.fromkeys((*hashes.get(key, ()), *pin.hashes)))
    return hashes


def machine_of(python: str | None) -> dict[str, str]:
    """Return the PEP 508 variables of this machine under a Python, the tool's own if none is named."""
    variables = {name: str(value) for name, value in default_environment().items()}
    if python is None:
        return variables
    full = python if python.count(".") > 1 else f"{python}.0"
    return {**variables, "python_version": full.rpartition(".")[0], "python_full_version": full}


def chosen_sections(manifests: Iterable[DependencyManifest], options: Options) -> frozenset[str]:
    """Return the extras and groups that count: those chosen, else those that name a framework.

    Those of documentation and tests never do, and a developer's where nothing else names one.
    """
    choices = {
        kind: None if chosen is None else {str(canonicalize_name(name)) for name in chosen}
        for kind, chosen in (("extra", options.extras), ("group", options.groups))
    }
    naming = {section for section, names in _naming(manifests) if names & FRAMEWORKS}
    project = {section for section in naming if not is_later_section(section)}
    sections = set()
    for section, _ in _naming(manifests):
        kind, _, name = section.partition(":")
        chosen = choices.get(kind)
        default = section in (project or naming) and not is_aside_section(section)
        if section and (default if chosen is None else name in chosen):
            sections.add(section)
    if any(section.startswith("extra:") for section in sections):
        sections.add(ANY_EXTRA)
    return frozenset(sections)


def _naming(manifests: Iterable[DependencyManifest]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each extra and group with packages that it names; the empty one is always installed."""
    for manifest in manifests:
        yield from manifest.offered
        for pin in manifest.pins:
            if manifest.kind != "uv-lock" or pin.sections:
                yield from ((section, frozenset({pin.name})) for section in pin.sections or ("",))


def _unmarked(pin: Pin) -> Pin:
    """Return a pin without the marker that asks for extras or groups, which only a lock may use."""
    if not pin.conditional:
        return pin
    return pin.model_copy(update={"text": pin.text.removesuffix(f" ; {pin.marker}"), "marker": ""})

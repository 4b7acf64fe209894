"""What the environments `base` and `head` are built from: the project's own requirements on either side."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.markers import default_environment
from packaging.utils import canonicalize_name

from validator.upgrade.manifest import LOCKS, SOURCES, DependencyManifest, Pin, texts
from validator.upgrade.reader import Reader, read
from validator.upgrade.readers import uv_lock
from validator.upgrade.readers.poetry import ANY_EXTRA
from validator.upgrade.relevant import FRAMEWORKS
from validator.upgrade.types import Index, Installer, Options, Side


def build(reader: Reader, paths: Iterable[str], options: Options, installer: Installer) -> Side:
    """Return one side from the manifests that count for the environment; the installer exports a uv.lock."""
    manifests = [reader.manifest(path) for path in sorted(paths)]
    python = _python(manifests) or options.python
    locked = {manifest.folder for manifest in manifests if manifest.kind in LOCKS}
    counting = [each for each in manifests if each.kind not in SOURCES or each.folder not in locked]
    sections = _sections(manifests, options)
    machine = _machine(python)
    pins: list[Pin] = []
    for manifest in counting:
        asked = [pin for pin in manifest.pins if not pin.sections or sections.intersection(pin.sections)]
        if manifest.kind == "uv-lock":
            text = uv_lock.exported(reader.snapshot.source(manifest.path), sections, installer)
            asked = [pin for pin in read("requirements", text, reader.snapshot).pins if not pin.local]
        if manifest.kind in LOCKS:
            # An installer does not know the words of a lock's markers; they are answered now.
            asked = [_unmarked(pin) for pin in asked if pin.applies(machine, sections)]
        pins += asked
    return Side(
        name=reader.snapshot.side,
        requirements=texts(pins),
        constraints=texts(pin for manifest in counting for pin in manifest.constraints),
        index=sum((manifest.index for manifest in counting), Index()),
        python=python,
    )


def _machine(python: str | None) -> dict[str, str]:
    """Return the PEP 508 variables of this machine under a Python, the tool's own if none is named."""
    variables = {name: str(value) for name, value in default_environment().items()}
    if python is None:
        return variables
    full = python if python.count(".") > 1 else f"{python}.0"
    return {**variables, "python_version": full.rpartition(".")[0], "python_full_version": full}


def _python(manifests: Iterable[DependencyManifest]) -> str | None:
    # .python-version says it most plainly, and the manifest nearest to the requirements wins.
    asking = [manifest for manifest in manifests if manifest.python is not None]
    asking.sort(key=lambda manifest: (manifest.kind != "python-version", -manifest.path.count("/")))
    return asking[0].python if asking else None


def _sections(manifests: Iterable[DependencyManifest], options: Options) -> frozenset[str]:
    """Return the extras and groups that count: those chosen, else those that name a framework."""
    choices = {
        kind: None if chosen is None else {str(canonicalize_name(name)) for name in chosen}
        for kind, chosen in (("extra", options.extras), ("group", options.groups))
    }
    sections = set()
    for manifest in manifests:
        pairs = [(section, frozenset({pin.name})) for pin in manifest.pins for section in pin.sections]
        for section, names in (*manifest.offered, *pairs):
            kind, _, name = section.partition(":")
            chosen = choices[kind]
            if names & FRAMEWORKS if chosen is None else name in chosen:
                sections.add(section)
    if any(section.startswith("extra:") for section in sections):
        sections.add(ANY_EXTRA)
    return frozenset(sections)


def _unmarked(pin: Pin) -> Pin:
    """Return a pin without the marker that asks for extras or groups, which only a lock may use."""
    if not pin.conditional:
        return pin
    return pin.model_copy(update={"text": pin.text.removesuffix(f" ; {pin.marker}"), "marker": ""})

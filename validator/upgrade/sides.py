"""What the environments `base` and `head` are built from: the project's own requirements on either side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.markers import default_environment
from packaging.utils import canonicalize_name

from validator.base import Frozen
from validator.results import Failure
from validator.upgrade import uv_lock
from validator.upgrade.git import SideName
from validator.upgrade.locks import ANY_EXTRA
from validator.upgrade.manifests import LOCKS, Index, Kind, Manifest, Pin, Reader
from validator.upgrade.relevant import FRAMEWORKS
from validator.upgrade.text import show


class Requirements(Frozen):
    """What an installer is asked for. Every string is one line of a requirements file and never an option."""

    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    index: Index = Index()
    python: str | None = None


class Side(Requirements):
    """One side of the upgrade.

    `local` are the requirements that are folders of the repository (`-e .`): they exist at one commit only
    and are not installed. `failure` says, in uv's words, why the ranges of this side could not be resolved;
    `resolved` is what they resolved to.
    """

    name: SideName
    commit: str
    manifests: tuple[str, ...] = ()
    requires_python: str = ""
    local: tuple[str, ...] = ()
    resolved: dict[str, str] = {}
    failure: Failure | None = None
    notes: tuple[str, ...] = ()


class Wanted(Frozen):
    """The choice of extras and groups, and the Python; None leaves it to the manifests.

    `default_python` is the Python where no manifest names one.

    Without a choice, those extras and groups count that name a framework, such as `[ml]` with keras in it.
    """

    extras: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    python: str | None = None
    default_python: str | None = None

    def sections(self, offered: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """Return the extras and groups that count, of those offered (`extra:NAME` → the names in it)."""
        chosen = set()
        for section, names in offered.items():
            kind, _, name = section.partition(":")
            choice = self.extras if kind == "extra" else self.groups
            if (
                (name in {canonicalize_name(each) for each in choice})
                if choice is not None
                else bool(names & FRAMEWORKS)
            ):
                chosen.add(section)
        return frozenset(chosen)


def build(reader: Reader, kinds: Mapping[str, Kind], wanted: Wanted) -> Side:
    """Return one side from its manifests.

    Args:
        reader: the side.
        kinds: path → kind of every manifest that speaks for the environment.
        wanted: extras, groups and Python.
    """
    manifests = [reader.manifest(path, kind) for path, kind in sorted(kinds.items())]
    python = wanted.python or _python(manifests) or wanted.default_python
    machine = environment(python)
    locked = {one.folder for one in manifests if one.kind in LOCKS}
    offered = _offered(manifests, reader)
    sections = wanted.sections(offered)
    # The manifest beside a lock has said everything through the lock.
    speaking = [
        one
        for one in manifests
        if one.kind in LOCKS or one.kind not in {"pyproject", "pipfile"} or one.folder not in locked
    ]
    pins = [pin for one in speaking for pin in _pins(one, reader, sections, machine)]
    index = Index()
    for one in speaking:
        index += one.index
    return Side(
        name=reader.snapshot.side,
        commit=reader.snapshot.commit,
        requirements=_texts(pin for pin in pins if not pin.local),
        constraints=_texts(pin for one in speaking for pin in one.constraints if not pin.local),
        index=index,
        python=python,
        manifests=tuple(one.path for one in manifests),
        requires_python=next((one.requires_python for one in manifests if one.requires_python), ""),
        local=tuple(dict.fromkeys(pin.text for pin in pins if pin.local)),
        notes=_notes(speaking, sections, offered),
    )


def environment(python: str | None) -> dict[str, str]:
    """Return the PEP 508 variables of this machine under a Python, the tool's own if none is named."""
    variables = {name: str(value) for name, value in default_environment().items()}
    if python is not None:
        numbers = python.split(".")
        variables["python_version"] = ".".join(numbers[:2])
        variables["python_full_version"] = python if len(numbers) > 2 else f"{python}.0"
    return variables


def _python(manifests: Iterable[Manifest]) -> str | None:
    # .python-version is the plainest word, and the one nearest to the requirements wins.
    asked = [one for one in manifests if one.python is not None]
    asked.sort(key=lambda one: (one.kind != "python-version", -one.path.count("/")))
    return asked[0].python if asked else None


def _offered(manifests: Iterable[Manifest], reader: Reader) -> dict[str, frozenset[str]]:
    offered: dict[str, frozenset[str]] = {}
    for one in manifests:
        if one.kind == "uv-lock":
            offered |= uv_lock.sections(reader.source(one.path))
        for pin in one.pins:
            for section in pin.sections:
                offered[section] = offered.get(section, frozenset()) | {pin.name}
    return offered


def _pins(one: Manifest, reader: Reader, sections: frozenset[str], machine: Mapping[str, str]) -> list[Pin]:
    pins = [pin for pin in one.pins if not pin.sections or _any_of(pin.sections, sections)]
    if one.kind == "uv-lock":
        installed = uv_lock.installed(reader.source(one.path), sections, machine)
        names = {name for name, _ in installed}
        return [
            pin
            for pin in pins
            if (pin.name, pin.version) in installed or (pin.version is None and pin.name in names)
        ]
    if one.kind in LOCKS:
        pins = [pin for pin in pins if pin.applies(machine, sections)]
        # An installer does not know the words of a lock's markers; they have been answered here.
        return [_unmarked(pin) if pin.conditional else pin for pin in pins]
    return pins


def _any_of(asked: Iterable[str], sections: frozenset[str]) -> bool:
    return any(
        section in sections or (section == ANY_EXTRA and any(each.startswith("extra:") for each in sections))
        for section in asked
    )


def _unmarked(pin: Pin) -> Pin:
    return pin.model_copy(update={"text": pin.text.removesuffix(f" ; {pin.marker}"), "marker": ""})


def _texts(pins: Iterable[Pin]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(pin.text for pin in pins))


def _notes(
    manifests: Iterable[Manifest], sections: frozenset[str], offered: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    notes = [note for one in manifests for note in one.notes]
    if sections - {ANY_EXTRA}:
        notes.append(f"with {show(', '.join(sorted(sections)))}")
    left_out = sorted(set(offered) - sections)
    if left_out:
        notes.append(f"without {show(', '.join(left_out))}")
    return tuple(dict.fromkeys(notes))

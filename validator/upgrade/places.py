"""Whose requirements a manifest holds: a project's, or those of its documentation and tests."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from posixpath import basename, dirname, splitext

from validator.base import Frozen


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Folders whose requirements are not the project's.
_ASIDE = _set("""
    doc docs documentation sphinx test tests testing example examples sample samples demo demos tutorial
    tutorials notebook notebooks benchmark benchmarks bench binder vendor third_party
""")
#: Words of a file's name that say the same.
_WORDS = _set("""
    doc docs documentation sphinx rtd readthedocs test tests testing pytest tox lint linting typing mypy
    example examples notebook notebooks benchmark benchmarks
""")
#: Words of files that count where nothing else does.
_LATER = _set("dev devel develop development ci build release tools optional extra extras")
#: Words of files that count before all others.
_FIRST = _set("base common core main prod production runtime default app all install")
#: Folders that hold the requirements of the project around them.
_LISTS = _set("requirements reqs deps dependencies")
#: Words of a name that say what kind of manifest it is.
_KINDS = _LISTS | _set("""
    requirement constraints constraint environment conda pyproject setup pylock uv poetry pdm pipfile txt
""")


class Nearest(Frozen):
    """The folder that decides, None where none or several do; `rivals` are those several, all as near."""

    folder: str | None = None
    rivals: tuple[str, ...] = ()


def home(path: str) -> str:
    """Return the folder of a manifest's project: of `requirements/prod.txt` the one above."""
    folder = dirname(path)
    return dirname(folder) if basename(folder).lower() in _LISTS else folder


def is_aside(path: str, start: str) -> bool:
    """Whether a manifest is that of documentation, tests or examples; not for a `start` inside the same."""
    return lies_aside(path, start) or bool(_words(path) & _WORDS)


def lies_aside(path: str, start: str) -> bool:
    """The same of any file, by its folder alone."""
    own = _parts(start)
    folders = _parts(dirname(path))
    while own and folders and own[0] == folders[0]:
        own, folders = own[1:], folders[1:]
    return any(folder.lower() in _ASIDE or folder.startswith(".") for folder in folders)


def order(path: str) -> int:
    """Return 0 for the manifest that a project is installed from by its name, up to 3 for a developer's."""
    words = _words(path)
    if not words:
        return 0
    return 3 if words & _LATER else 1 if words <= _FIRST else 2


def is_aside_section(section: str) -> bool:
    """Whether an extra or group is that of documentation or tests."""
    return bool(_split(section.partition(":")[2]) & _WORDS)


def is_later_section(section: str) -> bool:
    """Whether an extra or group is a developer's, which counts where nothing else names a framework."""
    return bool(_split(section.partition(":")[2]) & _LATER)


def nearest(homes: Collection[str], start: str) -> Nearest:
    """Return which of the folders with a framework decides for a validator.yml in the folder `start`.

    The first one upwards; else the highest one below, of `start` and then of each folder around it.
    """
    around = list(upwards(start))
    above = next((folder for folder in around if folder in homes), None)
    if above is not None:
        return Nearest(folder=above)
    for folder in around:
        below = [each for each in homes if not folder or each.startswith(f"{folder}/")]
        top = min((each.count("/") for each in below), default=0)
        highest = sorted(each for each in below if each.count("/") == top)
        if highest:
            return Nearest(folder=highest[0]) if len(highest) == 1 else Nearest(rivals=tuple(highest))
    return Nearest()


def upwards(folder: str) -> Iterator[str]:
    """Yield a folder and every one around it; the root of the repository is empty."""
    while folder:
        yield folder
        folder = dirname(folder)
    yield ""


def _parts(folder: str) -> list[str]:
    return folder.split("/") if folder else []


def _words(path: str) -> frozenset[str]:
    """Return what a manifest's name says beside its kind: `prod` of requirements-prod.txt."""
    stem = splitext(basename(path))[0]
    return _split(stem) - _KINDS


def _split(text: str) -> frozenset[str]:
    return frozenset(filter(None, re.split(r"[^a-z]+", text.lower())))

"""The commands that run cells again: the whole way from a clone, each word of it checked and quoted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from validator.verdict.results import CellResult, Report

DISTRIBUTION = "keras-upgrade-validator"
COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SERVER = re.compile(r"https?://([A-Za-z0-9.-]+(?::[0-9]{1,5})?)")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/([A-Za-z0-9_][A-Za-z0-9_.-]{0,99})")
#: How a command begins: the program of an environment of its own, or of the user's own Python.
_OWN, _USERS = ("keras-validator",), ("python", "-m", "validator")
#: Options that name what is run; each has a value.
_OPTIONS = frozenset({"--config", "--base", "--head", "--baseline", "--against", "--with", "--only"})
_LONGEST = 400  # characters of a word


@dataclass(frozen=True)
class CodeSource:
    """Where the code of a run is: a repository on a server, and the pull request, 0 where there is none."""

    server: str
    repository: str
    pull_request: int = 0


def whole_way(report: Report, cells: Iterable[CellResult], source: CodeSource | None, most: int) -> list[str]:
    """The lines that run cells again, at most `most` cells, for a shell in which nothing was done yet.

    Without a source they begin in a clone that the reader has; nothing where no cell has a command.
    """
    commands = commands_of(cells)[:most]
    if not commands:
        return []
    own = not commands[0].startswith(" ".join(_USERS))
    return [*_checkout(report, source), *_install(report.tool, own=own), *commands]


def commands_of(cells: Iterable[CellResult]) -> list[str]:
    """The commands of cells, each once."""
    return list(dict.fromkeys(cell.reproduce for cell in cells if cell.reproduce))


def rebuilt(command: str, cell: str, configuration: str) -> str:
    """A command of a report that somebody else may have written, put together anew from its checked words.

    Raises:
        ValueError: it is not a run of this cell by this configuration with options that are known.
    """
    words = shlex.split(command)
    program = next((each for each in (_OWN, _USERS) if tuple(words[: len(each)]) == each), None)
    if program is None or words[len(program) : len(program) + 1] != ["run"]:
        raise ValueError("it runs another program")
    rest = words[len(program) + 1 :]
    pairs = list(zip(rest[::2], rest[1::2], strict=False))
    if len(rest) % 2 or not all(option in _OPTIONS and _is_value(value) for option, value in pairs):
        raise ValueError("it has an option that is not known")
    values = {option: [value for name, value in pairs if name == option] for option in _OPTIONS}
    if values["--only"] != [cell] or values["--config"] != [configuration]:
        raise ValueError("it runs another cell or configuration")
    if not all(COMMIT.fullmatch(value) for value in (*values["--base"], *values["--head"])):
        raise ValueError("it names something else than a commit")
    return shlex.join([*program, "run", *(word for pair in pairs for word in pair)])


def further_search(command: str, cell: str) -> str:
    """The command that goes on with the search for the origin of a cell, from the one that runs it again."""
    words = shlex.split(command)
    words[words.index("run")] = "origin"
    at = words.index("--only")
    return shlex.join([*words[:at], *words[at + 2 :], "--seconds", "600", cell])


def _is_value(word: str) -> bool:
    return word.isprintable() and not word.startswith("-") and 0 < len(word) <= _LONGEST


def _checkout(report: Report, source: CodeSource | None) -> Iterator[str]:
    commit = report.commit or ""
    known = bool(COMMIT.fullmatch(commit))
    server = _SERVER.fullmatch(source.server.rstrip("/")) if source else None
    repository = _REPOSITORY.fullmatch(source.repository) if source else None
    if source is None or server is None or repository is None:
        yield from [f"git checkout {commit}"] if known else []
        return
    folder = repository[1]
    if source.pull_request:
        host = "" if server[1] == "github.com" else f"{server[1]}/"
        yield f"gh repo clone {host}{source.repository} && cd {folder}"
        yield f"gh pr checkout {source.pull_request}"
    else:
        yield f"git clone {server[0]}/{source.repository} && cd {folder}"
        yield from [f"git fetch origin {commit} && git checkout {commit}"] if known else []


def _install(version: str, *, own: bool) -> Iterator[str]:
    """The tool of this version, in an environment of its own unless it runs in the user's."""
    try:
        pinned = f"{DISTRIBUTION}=={Version(version[:_LONGEST])}"
    except InvalidVersion:
        pinned = DISTRIBUTION
    if own:
        yield "python3 -m venv ../keras-validator && . ../keras-validator/bin/activate"
    yield f"python -m pip install {pinned}"

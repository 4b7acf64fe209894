"""Resolves an environment once and keeps the answer, so that every later build installs the same versions."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from validator.config.settings import Install
from validator.environments.uv import Uv, index_arguments
from validator.failure import Failure
from validator.matrix import Environment
from validator.upgrade import name_of, pinned

_HEADER = "# keras-validator lock, inputs "


def lock(environment: Environment, install: Install, python: Path, folder: Path, uv: Uv) -> Path | Failure:
    """The lock of an environment: the kept one where its inputs are unchanged, else a new resolution.

    `python` is an interpreter of the environment's version, for which markers are resolved; `folder` keeps
    one `<environment>.txt` for each environment.
    """
    path = folder / f"{environment.name}.txt"
    header = _HEADER + _inputs(environment, install)
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0] == header:
        return path
    limits = {"override": environment.overrides, "constraint": environment.constraints}
    arguments = [f"--python={python}", *index_arguments(install)]
    resolved = uv.compile(environment.requirements, limits, arguments)
    if isinstance(resolved, Failure):
        return resolved
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(f"{header}\n{hashed(resolved, dict(environment.hashes))}", encoding="utf-8")
    temporary.replace(path)
    return path


def hashed(lock: str, hashes: Mapping[str, tuple[str, ...]]) -> str:
    """A lock with the hashes that the project gives its packages, which uv then holds every file against."""
    return "".join(f"{_with_hashes(line, hashes)}\n" for line in lock.splitlines())


def _with_hashes(line: str, hashes: Mapping[str, tuple[str, ...]]) -> str:
    name, version = name_of(line), pinned(line)
    own = hashes.get(f"{name}=={version}" if version else name, ()) if name else ()
    return " \\\n    ".join((line, *(f"--hash={each}" for each in own)))


def resolved(environment: Environment, install: Install, uv: Uv, preferred: str = "") -> str | Failure:
    """The pinned versions of an environment, or why they have no solution, in uv's words.

    Those of `preferred`, an earlier such text, stay wherever they can. Nothing is installed, and no lock is
    written.
    """
    limits = {"override": environment.overrides, "constraint": environment.constraints}
    arguments = [f"--python-version={environment.python}", *index_arguments(install)]
    return uv.compile(environment.requirements, limits, arguments, preferred)


def newest(requirement: str, python: str, install: Install, uv: Uv) -> str | Failure:
    """The newest version of one package that a requirement allows and this machine can install, as a pin.

    What it depends on is not asked.
    """
    arguments = ["--no-deps", f"--python-version={python}", *index_arguments(install)]
    return uv.compile((requirement,), {}, arguments)


def _inputs(environment: Environment, install: Install) -> str:
    """A digest of all that decides the resolution. The folder of an index is not part of it: it may move."""
    facts = [
        environment.python,
        environment.requirements,
        environment.overrides,
        install.model_dump(mode="json", exclude_defaults=True),
        environment.constraints,
        *([environment.hashes] if environment.hashes else []),
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

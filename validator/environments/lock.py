"""Resolves an environment once and keeps the answer, so that every later build installs the same versions."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from validator.config.settings import Install
from validator.environments.uv import Uv, index_arguments
from validator.matrix import Environment
from validator.results import Failure

_HEADER = "# keras-validator lock, inputs "


def lock(environment: Environment, install: Install, python: Path, folder: Path, uv: Uv) -> Path | Failure:
    """The lock of an environment: the kept one where its inputs are unchanged, else a new resolution.

    Args:
        environment: what to resolve.
        install: where packages come from.
        python: an interpreter of the environment's Python version; markers are resolved for it.
        folder: where locks are kept, one `<environment>.txt` each.
        uv: the resolver.

    Returns:
        The file of pinned versions, or the failure (`stage: resolve`) in uv's words.
    """
    path = folder / f"{environment.name}.txt"
    header = _HEADER + _inputs(environment, install)
    if path.is_file() and path.read_text(encoding="utf-8").split("\n", 1)[0] == header:
        return path
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["pip", "compile", "-", "--python", str(python), "--no-header", "--no-annotate"]
        if environment.overrides:
            overrides = Path(scratch, "overrides.txt")
            overrides.write_text("\n".join(environment.overrides) + "\n", encoding="utf-8")
            arguments += ["--override", str(overrides)]
        if environment.constraints:
            constraints = Path(scratch, "constraints.txt")
            constraints.write_text("\n".join(environment.constraints) + "\n", encoding="utf-8")
            arguments += ["--constraint", str(constraints)]
        wanted = "\n".join(environment.requirements) + "\n"
        # in an empty folder, so that no pyproject.toml or uv.toml of the caller takes part
        resolved = uv.run("resolve", [*arguments, *index_arguments(install)], wanted, Path(scratch))
    if isinstance(resolved, Failure):
        return resolved
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(f"{header}\n{resolved}", encoding="utf-8")
    temporary.replace(path)
    return path


def _inputs(environment: Environment, install: Install) -> str:
    """A digest of all that decides the resolution. The folder of an index is not part of it: it may move."""
    facts = [
        environment.python,
        environment.requirements,
        environment.overrides,
        install.model_dump(mode="json", exclude_defaults=True),
        environment.constraints,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

"""Creates, locks and installs virtual environments: each once, reused while lock and files are unchanged."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from validator.config.settings import Install
from validator.environments.intact import damaged, differs_from, is_edited, pins
from validator.environments.lock import lock
from validator.environments.uv import Uv, index_arguments
from validator.failure import Failure
from validator.matrix import Environment

#: Written when an installation is complete, removed before anything is changed.
MARKER = ".keras-validator-installed"
#: Holds the `python` that an environment was made for.
_PYTHON = ".keras-validator-python"
_IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError)


@dataclass(frozen=True)
class Built:
    """An installed environment: its interpreter, its lock, and whether it was reused as it was."""

    python: Path
    lock: Path
    reused: bool


def prepare(environment: Environment, install: Install, root: Path, locks: Path, uv: Uv) -> Built | Failure:
    """Bring the virtual environment `root/<name>` to its lock; threads and processes may call this at once.

    One of another Python than the environment's is made anew. A failure (`resolve` or `install`) is in uv's
    words; a failed installation carries no marker, so the next call starts it again.
    """
    root.mkdir(parents=True, exist_ok=True)
    venv = root / environment.name

    def build() -> Built | Failure:
        return _create(venv, environment.python, uv) or _install(environment, install, venv, locks, uv)

    with _alone(venv):
        try:
            return build()
        except _IN_THE_WAY:  # what a person did to the environment
            _remove(venv)
        try:
            return build()
        except _IN_THE_WAY as error:
            return _obstructed(error)


def resolve(environment: Environment, install: Install, root: Path, locks: Path, uv: Uv) -> str | Failure:
    """The lock that `prepare` would install, as text; nothing is installed."""
    root.mkdir(parents=True, exist_ok=True)
    venv = root / environment.name
    with _alone(venv):
        try:
            failure = _create(venv, environment.python, uv)
            locked = failure or lock(environment, install, venv / "bin" / "python", locks, uv)
        except _IN_THE_WAY as error:
            return _obstructed(error)
    return locked if isinstance(locked, Failure) else locked.read_text(encoding="utf-8", errors="replace")


def _obstructed(error: OSError) -> Failure:
    message = f"{error.filename}: {error.strerror}; move it out of the way"
    return Failure(stage="install", error=type(error).__name__, message=message)


def _remove(venv: Path) -> None:
    if venv.is_dir() and not venv.is_symlink():
        shutil.rmtree(venv, ignore_errors=True)
    else:
        venv.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(venv: Path) -> Iterator[None]:
    """Two runs that share an environment build it one after the other; the second reuses it."""
    with venv.with_name(f".{venv.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _create(venv: Path, python: str, uv: Uv) -> Failure | None:
    if (venv / "bin" / "python").exists() and _has_python(venv, python):
        return None
    if venv.exists():  # of another Python, half made, or its interpreter is gone
        _remove(venv)
    answer = uv.run("install", ["venv", f"--python={python}", str(venv)])
    if isinstance(answer, str):
        (venv / _PYTHON).write_text(python, encoding="utf-8")
        return None
    message = (
        f"Python {python} cannot be provided: install it, let uv download it, or set another `python` in "
        f"validator.yml. uv reports: {answer.message}"
    )
    return answer.model_copy(update={"message": message})


def _has_python(venv: Path, python: str) -> bool:
    """Whether a virtual environment has a Python, such as `3.11` or `3.11.9`."""
    try:
        lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    pairs = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    version = pairs.get("version_info") or pairs.get("version") or ""  # by uv, by the standard library
    numbers = python.split(".")
    if not all(number.isdecimal() for number in numbers):  # an implementation or a range: uv's own choice
        made_for = venv / _PYTHON
        return made_for.is_file() and made_for.read_text(encoding="utf-8", errors="replace") == python
    return version.split(".")[: len(numbers)] == numbers


def _install(environment: Environment, install: Install, venv: Path, locks: Path, uv: Uv) -> Built | Failure:
    python = venv / "bin" / "python"
    locked = lock(environment, install, python, locks, uv)
    if isinstance(locked, Failure):
        return locked
    text = locked.read_text(encoding="utf-8", errors="replace")
    if contradiction := _contradiction(environment, text):
        return Failure(stage="resolve", error="ContradictingPin", message=contradiction)
    marker = venv / MARKER
    digest = hashlib.sha256(text.encode()).hexdigest()
    edited = False
    if marker.is_file() and marker.read_text(encoding="utf-8", errors="replace") == digest:
        edited = is_edited(venv, marker.stat().st_mtime)
        if not edited and not differs_from(text, venv):
            return Built(python, locked, reused=True)
    marker.unlink(missing_ok=True)
    arguments = ["pip", "sync", str(locked), "--python", str(python), *index_arguments(install)]
    installed = uv.run("install", [*arguments, *(["--reinstall"] if edited else [])], cwd=venv)
    # Files are linked from uv's cache, which an edit in place reaches. `--reinstall` reads wheels of an index
    # again, and unpacks those of a folder from the cache (uv 0.13).
    for further in ([], ["--no-cache"]):
        broken = damaged(venv) if isinstance(installed, str) else ()
        if not broken:
            break
        again = [f"--reinstall-package={name}" for name in broken]
        installed = uv.run("install", [*arguments, *again, *further], cwd=venv)
    if isinstance(installed, Failure):
        return installed
    marker.write_text(digest, encoding="utf-8")
    return Built(python, locked, reused=False)


def _contradiction(environment: Environment, lock: str) -> str:
    """How the lock contradicts the environment's name, as by an override that wins over the matrix."""
    locked, asked = pins(lock).get("keras"), environment.keras
    if asked is None or locked is None or locked == asked:
        return ""
    return (
        f"the environment is for keras {asked}, but its lock has keras {locked}: "
        "remove the override, or the edit of the lock, that wins over the matrix"
    )

"""The workflow and the Dependabot group that make every upgrade a validated pull request."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml

from validator.documents import read_bytes
from validator.errors import ConfigurationError
from validator.upgrade import GitError, Repository

WORKFLOW = Path(".github", "workflows", "keras.yml")
DEPENDABOT = Path(".github", "dependabot.yml")
_GROUP = "keras"
_YAML_BYTES = 1 << 20


def write_workflow(folder: Path, *, force: bool) -> str:
    """Write the workflow of docs/github.md into the repository around `folder`; returns what was done.

    Raises:
        ConfigurationError: there is one already, and `force` does not say to replace it.
    """
    root = repository_root(folder)
    text = _template("keras.yml")
    inner = folder.relative_to(root)
    if inner.parts:
        step = "uses: OWNER/keras-upgrade-validator@v1\n"
        config = f"{step}        with:\n          config: {(inner / 'validator.yml').as_posix()}\n"
        text = text.replace(f"        {step}", f"        {config}", 1)
    _write(root / WORKFLOW, text, force=force)
    return f"{WORKFLOW.as_posix()} is written; replace OWNER in it by the owner of the action"


def write_dependabot(folder: Path, manifest: str, *, force: bool) -> str:
    """Write a Dependabot group of all frameworks; where a file is there already, say what to add to it.

    Raises:
        ConfigurationError: the file is no YAML.
    """
    path = repository_root(folder) / DEPENDABOT
    text = _template("dependabot.yml").replace("pip # or uv", "uv" if manifest.endswith("uv.lock") else "pip")
    if path.exists() and not force:
        if _GROUP in _groups(path):
            return f"{DEPENDABOT.as_posix()} groups {_GROUP} already, and stays as it is"
        group = text[text.index("    groups:") :].rstrip()
        return f"{DEPENDABOT.as_posix()} stays as it is; add to its entry for pip:\n{group}"
    _write(path, text, force=force)
    return f"{DEPENDABOT.as_posix()} is written: one pull request a week for all frameworks together"


def repository_root(folder: Path) -> Path:
    """The root of the git repository; the folder itself where there is none."""
    try:
        return Repository(folder).root
    except (GitError, ConfigurationError):
        return folder


def _groups(path: Path) -> set[str]:
    try:
        value = yaml.safe_load(read_bytes(path, _YAML_BYTES))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {' '.join(str(error).split())}; correct it") from None
    updates = value.get("updates") if isinstance(value, dict) else None
    entries = [each for each in updates or () if isinstance(each, dict)]
    return {str(name) for entry in entries for name in (entry.get("groups") or {})}


def _template(name: str) -> str:
    return files("validator.adoption").joinpath("templates", name).read_text(encoding="utf-8")


def _write(path: Path, text: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise ConfigurationError(f"{path} exists; pass --force to replace it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

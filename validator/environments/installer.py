"""Answers the questions of `upgrade` by uv: ranges → versions, and a uv.lock → requirements."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from validator.config.settings import IndexStrategy, Install
from validator.environments.uv import Uv, index_arguments
from validator.failure import Failure
from validator.upgrade import Requirements, name_of, pinned

#: Settings of the caller's uv, which a comparison of two sides must not depend on.
_SETTINGS = ("UV_CONFIG_FILE", "UV_EXCLUDE_NEWER", "UV_PROJECT", "UV_FROZEN", "UV_LOCKED")


@dataclass(frozen=True)
class UvInstaller:
    """An `upgrade.Installer`. uv resolves wheels only, in empty folders: nothing of a package is executed."""

    uv: Uv
    seconds: float = 300
    index_strategy: IndexStrategy | None = None

    def resolve(self, requirements: Requirements, exclude_newer: str) -> Mapping[str, str] | Failure:
        """Return the version of every package that would be installed, or the failure in uv's own words."""
        index = requirements.index
        links = tuple(place for place in index.find_links if "://" in place)
        strategy = self.index_strategy or ("unsafe-best-match" if index.best_match else None)
        options = {key: value for key, value in dict(index).items() if key != "best_match"}
        install = Install(
            **{**options, "find_links": links}, index_strategy=strategy, exclude_newer=exclude_newer
        )
        arguments = index_arguments(install)
        arguments += [f"--python-version={requirements.python}"] if requirements.python else []
        limits = {"constraint": requirements.constraints}
        answer = self._alone().compile(requirements.requirements, limits, arguments)
        return answer if isinstance(answer, Failure) else versions(answer)

    def export(
        self, project: Mapping[str, str], extras: tuple[str, ...], groups: tuple[str, ...]
    ) -> str | Failure:
        """Return what a locked project installs as a requirements text, or the failure in uv's own words."""
        # Not as pylock.toml: packaging refuses one for the name of a single file that it finds unusual.
        arguments = ["export", "--format=requirements.txt", "--frozen", "--offline", "--no-python-downloads"]
        arguments += ["--no-config", "--all-packages", "--no-default-groups"]
        arguments += ["--no-header", "--no-annotate"]
        arguments += [f"--extra={name}" for name in extras]
        arguments += [f"--group={name}" for name in groups]
        with tempfile.TemporaryDirectory() as folder:
            for name, text in project.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
            return self._alone().run("resolve", arguments, cwd=Path(folder))

    def _alone(self) -> Uv:
        environ = {name: value for name, value in self.uv.environ.items() if name not in _SETTINGS}
        return replace(self.uv, environ=environ, seconds=self.seconds)


def versions(compiled: str) -> dict[str, str]:
    """Return name → version of a compiled requirements text; what is no exact version is left out."""
    lines = (line.partition(" #")[0].strip() for line in compiled.splitlines())
    locked = {name_of(line): pinned(line) for line in lines if name_of(line)}
    return {name: version for name, version in locked.items() if version is not None}

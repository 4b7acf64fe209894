"""The files by which a step talks to GitHub Actions: in a run, nothing but the tool may write to them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from validator.documents import open_regular

#: What a later step, or GitHub, takes from each.
_VARIABLES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class StepFiles:
    """What the files of a step held: variable → path and content, None where there was no file."""

    contents: Mapping[str, tuple[Path, bytes | None]]

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> StepFiles:
        """The files that the variables of this step name; none outside GitHub Actions."""
        paths = {name: Path(environ[name]) for name in _VARIABLES if environ.get(name)}
        return cls({name: (path, _content(path)) for name, path in paths.items()})

    def restore(self) -> tuple[str, ...]:
        """Give every file what it held; the variables of those that held something else."""
        changed = [name for name, (path, held) in self.contents.items() if _content(path) != held]
        for name in changed:
            path, held = self.contents[name]
            with contextlib.suppress(OSError):
                if held is None or path.is_symlink():  # a link in its place leads elsewhere
                    path.unlink(missing_ok=True)
                if held is not None:
                    path.write_bytes(held)
        return tuple(changed)


def _content(path: Path) -> bytes | None:
    """At most a byte more than any of these files may hold: what is larger is not what was there."""
    if path.is_symlink():
        return None
    try:
        with open_regular(path) as file:
            return file.read(_MOST_BYTES + 1)
    except OSError:
        return None

"""Calls uv and turns what it says into values."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from validator.config.settings import Install
from validator.results import Failure, Stage

_MINUTES = 30
#: Variables that would make uv look at the caller's own environment instead of the one it is given.
_MISLEADING = (
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "CONDA_PREFIX",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
)


@dataclass(frozen=True)
class Uv:
    """The uv binary and the environment it is called in."""

    binary: str
    environ: Mapping[str, str]

    @classmethod
    def found(cls, environ: Mapping[str, str]) -> Uv:
        """The uv that came with this tool."""
        from uv import find_uv_bin

        return cls(find_uv_bin(), {name: value for name, value in environ.items() if name not in _MISLEADING})

    def run(
        self, stage: Stage, arguments: Sequence[str], stdin: str = "", cwd: Path | None = None
    ) -> str | Failure:
        """Run uv to its end: its stdout, or the failure in its own words."""
        try:
            done = subprocess.run(
                [self.binary, *arguments, "--no-progress", "--color=never"],
                input=stdin,
                capture_output=True,
                text=True,
                cwd=cwd,
                env={**self.environ, "RUST_BACKTRACE": "0"},
                timeout=_MINUTES * 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Failure(stage=stage, error="uv", message=f"uv did not finish within {_MINUTES} minutes")
        except OSError as error:
            return Failure(stage=stage, error="uv", message=f"uv cannot be started: {error}")
        if done.returncode == 0:
            return done.stdout
        words = _words(done.stderr) or f"uv ended with {_ending(done.returncode)} and without a word"
        return Failure(stage=stage, error="uv", message=words, log=done.stderr[-4000:])


def index_arguments(install: Install) -> list[str]:
    """The options of `install` that say where packages come from, and that wheels are wanted."""
    arguments = ["--index-url", install.index_url] if install.index_url else []
    for url in install.extra_index_urls:
        arguments += ["--extra-index-url", url]
    for place in install.find_links:
        arguments += ["--find-links", place]
    arguments += ["--no-index"] if install.no_index else []
    arguments += ["--prerelease", "allow"] if install.prereleases else []
    if install.exclude_newer:
        arguments += ["--exclude-newer", install.exclude_newer]
    arguments += ["--only-binary", ":all:"]
    for name in install.build_from_source:
        arguments += ["--no-binary", name]
    return arguments


def _words(stderr: str) -> str:
    """uv's message without its tree drawing: one paragraph, the cause in the first line."""
    text = re.sub(r"^[ \t]*[×╰─▶├│]+[─▶]*[ \t]*", "", stderr, flags=re.MULTILINE)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("warning:")]
    return " ".join(lines)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"

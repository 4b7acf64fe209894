"""The only caller of uv: runs it and returns its output, or a failure in its own words."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from validator.config.settings import Install
from validator.failure import Failure, Stage
from validator.text import redact

#: Variables that would point uv at the caller's own environment instead of the one it is given, and GitHub's:
#: uv needs no token of a job, and its messages are reported.
_HIDDEN = re.compile(
    r"^(VIRTUAL_ENV|CONDA_PREFIX|PYTHON(PATH|HOME)|UV_(PYTHON|PROJECT_ENVIRONMENT))$"
    r"|^(GITHUB_|GH_|ACTIONS_|INPUT_)"
)
#: Becomes its arguments after asking Linux (prctl 1: the parent's death signal) that they are killed when the
#: thread that waits for them ends, however it does. Elsewhere an interrupted installation runs to its end.
_BECOME = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
try:
    os.execv(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.exit(f"uv cannot be started: {error}")
"""
_TIED = [sys.executable, "-ISc", _BECOME] if sys.platform == "linux" else []


@dataclass(frozen=True)
class Uv:
    """The uv binary, the variables it is called with, and the wall time of one call in seconds."""

    binary: str
    environ: Mapping[str, str]
    seconds: float = 1800

    @classmethod
    def bundled(cls, environ: Mapping[str, str]) -> Uv:
        """Return the uv that came with this tool, without the variables that would mislead it."""
        from uv import find_uv_bin

        passed = {name: value for name, value in environ.items() if not _HIDDEN.match(name)}
        return cls(find_uv_bin(), passed)

    def run(
        self, stage: Stage, arguments: Sequence[str], stdin: str = "", cwd: Path | None = None
    ) -> str | Failure:
        """Run uv to its end: its stdout, or the failure in its own words, without credentials."""
        try:
            done = subprocess.run(
                [*_TIED, self.binary, "--no-progress", "--color=never", *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                cwd=cwd,
                env={**self.environ, "RUST_BACKTRACE": "0"},
                timeout=self.seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            message = f"uv did not finish within {self.seconds:g} seconds"
            return Failure(stage=stage, error="uv", message=message)
        except OSError as error:
            return Failure(stage=stage, error="uv", message=f"uv cannot be started: {error}")
        if done.returncode == 0:
            return done.stdout
        stderr = redact(done.stderr)
        message = _message(stderr) or f"uv ended with {_ending(done.returncode)} and without a message"
        return Failure(stage=stage, error="uv", message=message, log=stderr[-4000:])

    def compile(
        self, requirements: Sequence[str], limits: Mapping[str, Sequence[str]], arguments: Sequence[str]
    ) -> str | Failure:
        """Resolve requirements under `limits` (`constraint`, `override`): a text of pinned versions."""
        command = ["pip", "compile", "-", "--no-header", "--no-annotate", *arguments]
        # In an empty folder, so that no pyproject.toml or uv.toml of the caller takes part.
        with tempfile.TemporaryDirectory() as folder:
            for option, lines in limits.items():
                if lines:
                    file = Path(folder, f"{option}s.txt")
                    file.write_text("\n".join((*lines, "")), encoding="utf-8")
                    command.append(f"--{option}={file}")
            return self.run("resolve", command, "\n".join((*requirements, "")), Path(folder))


def index_arguments(install: Install) -> list[str]:
    """Return the options of `install` that say where packages come from, and that wheels are required."""
    # Values are joined to their option, so that one which begins with a dash stays a value.
    return [
        *([f"--index-url={install.index_url}"] if install.index_url else []),
        *(f"--extra-index-url={url}" for url in install.extra_index_urls),
        *(f"--find-links={place}" for place in install.find_links),
        *(["--no-index"] if install.no_index else []),
        *(["--prerelease=allow"] if install.prereleases else []),
        *([f"--exclude-newer={install.exclude_newer}"] if install.exclude_newer else []),
        "--only-binary=:all:",
        *(f"--no-binary={name}" for name in install.build_from_source),
    ]


def _message(stderr: str) -> str:
    """Return uv's message without its tree drawing, on one line."""
    text = re.sub(r"^[ \t]*[×╰─▶├│]+[─▶]*[ \t]*", "", stderr, flags=re.MULTILINE)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("warning:")]
    return " ".join(lines)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"

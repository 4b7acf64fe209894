"""Ranges → versions by uv, as of one instant."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.results import Failure
from validator.upgrade.manifests import exact
from validator.upgrade.sides import Requirements
from validator.upgrade.text import redact

#: Resolves what an installer is asked for, as of an instant (RFC 3339): name → version, or why not.
Resolver = Callable[[Requirements, str], Mapping[str, str] | Failure]

#: Variables that point uv at the caller's own environment or settings.
_MISLEADING = re.compile(
    r"^(VIRTUAL_ENV|CONDA_PREFIX|PYTHON(PATH|HOME)|UV_(PYTHON|PROJECT\w*|CONFIG_FILE|EXCLUDE_NEWER))$"
)
#: Nothing of GitHub's reaches a resolver: it needs no token, and its messages are shown.
_SECRET = re.compile(r"^(GITHUB_|GH_|ACTIONS_|INPUT_)")


@dataclass(frozen=True)
class UvResolver:
    """`uv pip compile` on wheels: nothing of the pull request or of a package is executed.

    `environ` is the environment that uv may see, `binary` the uv that came with this tool by default.
    """

    environ: Mapping[str, str]
    binary: str | None = None
    seconds: float = 300
    arguments: tuple[str, ...] = ()

    def __call__(self, wanted: Requirements, exclude_newer: str) -> Mapping[str, str] | Failure:
        """Return the version of every package that would be installed, or the failure in uv's own words."""
        with tempfile.TemporaryDirectory() as folder:
            arguments = self._arguments(wanted, exclude_newer, Path(folder))
            try:
                done = subprocess.run(
                    [self.binary or _uv(), *arguments],
                    check=False,
                    capture_output=True,
                    cwd=folder,
                    env=self._environment(),
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    input="\n".join((*wanted.requirements, "")),
                    timeout=self.seconds,
                )
            except subprocess.TimeoutExpired:
                return Failure(
                    stage="resolve", error="uv", message=f"uv did not finish within {self.seconds:g} seconds"
                )
            except OSError as error:
                return Failure(stage="resolve", error="uv", message=f"uv cannot be started: {error}")
        if done.returncode != 0:
            words = redact(done.stderr)
            return Failure(stage="resolve", error="uv", message=_plain(words), log=words[-4000:])
        return versions(done.stdout.splitlines())

    def _arguments(self, wanted: Requirements, exclude_newer: str, folder: Path) -> list[str]:
        # Values are joined to their option, so that one which begins with a dash stays a value.
        arguments = ["pip", "compile", "-", "--no-header", "--no-annotate", "--quiet", "--color=never"]
        arguments += ["--no-progress", "--only-binary=:all:", f"--exclude-newer={exclude_newer}"]
        if wanted.python is not None:
            arguments.append(f"--python-version={wanted.python}")
        if wanted.constraints:
            constraints = folder / "constraints.txt"
            constraints.write_text("\n".join((*wanted.constraints, "")), encoding="utf-8")
            arguments.append(f"--constraints={constraints}")
        index = wanted.index
        arguments += [f"--default-index={index.index_url}"] if index.index_url else []
        arguments += [f"--index={url}" for url in index.extra_index_urls]
        arguments += [f"--find-links={place}" for place in index.find_links if "://" in place]
        arguments += ["--no-index"] if index.no_index else []
        arguments += ["--prerelease=allow"] if index.prereleases else []
        return [*arguments, *self.arguments]

    def _environment(self) -> dict[str, str]:
        hidden = {name for name in self.environ if _MISLEADING.match(name) or _SECRET.match(name)}
        return {name: value for name, value in self.environ.items() if name not in hidden} | {
            "RUST_BACKTRACE": "0"
        }


def versions(lines: Sequence[str]) -> dict[str, str]:
    """Return name → version of a compiled requirements text; what is no exact version is left out."""
    found: dict[str, str] = {}
    for line in lines:
        try:
            requirement = Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:
            continue
        version = exact(requirement)
        if version is not None:
            found[canonicalize_name(requirement.name)] = version
    return found


def _uv() -> str:
    import uv

    return uv.find_uv_bin()


def _plain(stderr: str) -> str:
    """Return uv's message without its tree drawing, on one line."""
    text = re.sub(r"^[ \t]*[×╰─▶├│]+[ \t]*", "", stderr, flags=re.MULTILINE)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("warning:")]
    return " ".join(lines) or "uv failed without a word"

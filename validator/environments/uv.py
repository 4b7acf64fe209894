"""The only caller of uv: runs it and returns its output, or a failure in its own words."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from validator.config.settings import Install
from validator.failure import Failure, Hint, Stage
from validator.text import redact

#: What uv may see of the caller's environment: a package that is built from source sees it too.
_ALLOWED = re.compile(
    r"(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|XDG_\w+)"
    r"|(UV|PIP|SSL|KEYRING)_\w+|NETRC|(REQUESTS|CURL)_CA_BUNDLE|(?i:(https?|all|no)_proxy)"
    r"|CC|CXX|FC|AR|(C|CXX|CPP|LD|MAKE)FLAGS|PKG_CONFIG(_\w+)?|(CUDA|CMAKE|CARGO|RUST|DYLD)\w*"
    r"|(LD_)?LIBRARY_PATH|CPATH|C_INCLUDE_PATH|SDKROOT|MACOSX_DEPLOYMENT_TARGET|SOURCE_DATE_EPOCH"
)
#: Of these, what would point uv at the caller's own environment, and what is for uploads.
_HIDDEN = re.compile(r"UV_(PYTHON|PROJECT_ENVIRONMENT|PUBLISH_\w+)")
#: What pip and uv expand in a requirements file.
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
#: How uv begins where no versions satisfy all requirements.
_UNSATISFIABLE = "No solution found when resolving"
#: Options whose values uv also takes from its environment: the variable, and what separates values in it.
_BY_ENVIRONMENT = {
    "--index-url": ("UV_INDEX_URL", " "),
    "--extra-index-url": ("UV_EXTRA_INDEX_URL", " "),
    "--find-links": ("UV_FIND_LINKS", ","),
}
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
    variables: frozenset[str] = frozenset()

    @classmethod
    def bundled(cls, environ: Mapping[str, str], variables: Collection[str] = ()) -> Uv:
        """Return the uv that came with this tool, with an allow-list of variables and no others.

        `variables` are further ones, which `${NAME}` may stand for in an address: `install.variables`.
        """
        from uv import find_uv_bin

        passed = {name: value for name, value in environ.items() if _is_passed(name)}
        allowed = {name: environ[name] for name in variables if name in environ}
        return cls(find_uv_bin(), {**passed, **allowed}, variables=frozenset(variables))

    def run(
        self, stage: Stage, arguments: Sequence[str], stdin: str = "", cwd: Path | None = None
    ) -> str | Failure:
        """Run uv to its end: its stdout, or the failure in its own words, without credentials.

        An address with `${NAME}` reaches uv in its environment, where no list of processes shows it.
        """
        refused = self.refused(stage, (*arguments, stdin))
        if refused is not None:
            return refused
        arguments, addresses = self._expanded(arguments)
        try:
            done = subprocess.run(
                [*_TIED, self.binary, "--no-progress", "--color=never", *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                cwd=cwd,
                env={**self.environ, **addresses, "RUST_BACKTRACE": "0"},
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
        stderr = self._hidden(redact(done.stderr))
        message = _message(stderr) or f"uv ended with {_ending(done.returncode)} and without a message"
        hint: Hint | None = "requirements" if _UNSATISFIABLE in stderr else None
        return Failure(stage=stage, error="uv", message=message, log=stderr[-4000:], hint=hint)

    def refused(self, stage: Stage, texts: Iterable[str]) -> Failure | None:
        """Why a `${NAME}` in what uv is given is not expanded; None where every one may be."""
        for name in dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)):
            if name not in self.variables:
                problem = (
                    f"${{{name}}} is not on the list: add {name} to `install.variables` in validator.yml"
                )
            elif name not in self.environ:
                problem = f"${{{name}}} is not set: set the environment variable {name}"
            else:
                continue
            return Failure(stage=stage, error="UnknownVariable", message=problem)
        return None

    def _expanded(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Return the arguments without addresses that name variables, and these for uv's environment."""
        kept, addresses = list(arguments), {}
        for option, (variable, separator) in _BY_ENVIRONMENT.items():
            own = [each for each in kept if each.startswith(f"{option}=")]
            if any(_VARIABLE.search(each) for each in own):
                kept = [each for each in kept if each not in own]
                values = [_VARIABLE.sub(self._value, each.partition("=")[2]) for each in own]
                addresses[variable] = separator.join(values)
        return kept, addresses

    def _value(self, match: re.Match[str]) -> str:
        return _in_url(self.environ[match[1]])

    def _hidden(self, text: str) -> str:
        """Return a text without the values of the variables that addresses may name."""
        for name in sorted(self.variables & self.environ.keys(), key=lambda each: -len(self.environ[each])):
            value = self.environ[name]
            for form in filter(None, (value, _in_url(value), quote(value, safe=""))):
                text = text.replace(form, "***")
        return text

    def compile(
        self,
        requirements: Sequence[str],
        limits: Mapping[str, Sequence[str]],
        arguments: Sequence[str],
        preferred: str = "",
    ) -> str | Failure:
        """Resolve requirements under `limits` (`constraint`, `override`): a text of pinned versions.

        The versions of `preferred`, an earlier such text, stay wherever they can.
        """
        command = ["pip", "compile", "-", "--no-header", "--no-annotate", *arguments]
        # In an empty folder, so that no pyproject.toml or uv.toml of the caller takes part.
        with tempfile.TemporaryDirectory() as folder:
            for option, lines in limits.items():
                if lines:
                    refused = self.refused("resolve", lines)
                    if refused is not None:
                        return refused
                    file = Path(folder, f"{option}s.txt")
                    file.write_text("\n".join((*lines, "")), encoding="utf-8")
                    command.append(f"--{option}={file}")
            if preferred:
                earlier = Path(folder, "lock.txt")
                earlier.write_text(preferred, encoding="utf-8")
                command.append(f"--output-file={earlier}")
            return self.run("resolve", command, "\n".join((*requirements, "")), Path(folder))


def _is_passed(name: str) -> bool:
    return bool(_ALLOWED.fullmatch(name)) and not _HIDDEN.fullmatch(name)


def _in_url(value: str) -> str:
    """Return a value as a URL has it: what separates addresses is escaped, as uv itself does."""
    return quote(value, safe="/~:@!$&'()*+;=%?#[]")


def index_arguments(install: Install) -> list[str]:
    """Return the options of `install` that say where packages come from, and that wheels are required."""
    # Values are joined to their option, so that one which begins with a dash stays a value.
    return [
        *([f"--index-url={install.index_url}"] if install.index_url else []),
        *(f"--extra-index-url={url}" for url in install.extra_index_urls),
        *(f"--find-links={place}" for place in install.find_links),
        *(["--no-index"] if install.no_index else []),
        *([f"--index-strategy={install.index_strategy}"] if install.index_strategy else []),
        *(["--prerelease=allow"] if install.prereleases else []),
        *([f"--exclude-newer={install.exclude_newer}"] if install.exclude_newer else []),
        "--only-binary=:all:",
        *(f"--no-binary={name}" for name in install.build_from_source),
    ]


def _message(stderr: str) -> str:
    """Return uv's message without its tree drawing and labels, on one line."""
    text = re.sub(r"^[ \t]*[×╰─▶├│]+[─▶]*[ \t]*", "", stderr, flags=re.MULTILINE)
    text = re.sub(r":?\s*\n\s*cause: ", ": ", text)
    text = re.sub(r"^error: ", "", text, flags=re.MULTILINE)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("warning:")]
    return " ".join(lines)


def _ending(code: int) -> str:
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"

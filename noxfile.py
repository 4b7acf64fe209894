"""Sessions: `validate` runs the product on the examples, the others keep the project in order."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
# `nox` alone does not put this folder on the path (`python -m nox` does), and nothing else is installed.
sys.path.insert(0, str(ROOT))

from validator.pipeline.sessions import register  # noqa: E402

RUNTIME_LOCK = "requirements.lock"
EXTRAS_LOCK = "requirements-extras.lock"  # what the action installs with `extras: true`
DEVELOPMENT_LOCK = "requirements-dev.lock"

#: A process a core, four at most (each may hold a TensorFlow). Tests of one file share what is slow to make.
SIDE_BY_SIDE = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")

nox.needs_version = ">=2026.10.20"
nox.options.sessions = ["validate"]
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"

register(default_config=ROOT / "examples" / "validator.yml")


@nox.session
def tests(session: nox.Session) -> None:
    """Unit tests, and the worker for real in the oldest and the newest Keras."""
    _equip(session)
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, "-m", "not e2e and not matrix", *session.posargs)


@nox.session
def matrix(session: nox.Session) -> None:
    """The worker in every other environment: Keras 2.15, legacy, 3.5.0, JAX and torch; long."""
    _equip(session)
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, "-m", "matrix", *session.posargs)


@nox.session
def e2e(session: nox.Session) -> None:
    """What is slow: all environments, the whole command line, act, the browser."""
    _equip(session)
    session.run("python", "-m", "pytest", *SIDE_BY_SIDE, "-m", "e2e", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, the borders of the rooms, and the linters of workflows, actions and shell scripts."""
    _equip(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", env={"PYTHONPATH": str(ROOT)})
    workflows = _names(".github/workflows/*.yml")
    actions = _names("action.yml", "*/action.yml")
    session.run("jactionlint", "--profile", "correctness", *workflows, *actions)
    session.run("zizmor", "--offline", "--pedantic", "--quiet", ".")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-actions", *actions)
    forms = _names(".github/ISSUE_TEMPLATE/*.yml")
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", *forms)
    session.run("shellcheck", ".ci/run", *_names("report/*.sh"))


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    _equip(session)
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into `site/`, warnings as errors; `-- serve` shows it while you write."""
    _equip(session)
    session.run("mkdocs", *(session.posargs or ["build"]), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """Print what the README claims: time, throughput, memory."""
    _equip(session)
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def corpus(session: nox.Session) -> None:
    """Known changes and benign pairs: recall, false alarms, layers and kinds, ours and of fixed rules."""
    _equip(session)
    session.run("python", "-m", "bench.corpus", *session.posargs)


@nox.session
def catalogue(session: nox.Session) -> None:
    """Run the proofs of all known changes; `-- score` counts how often the right one is named."""
    _equip(session)
    session.run("python", "-m", "bench.catalogue", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Deliberate faults, each with what must come out; `-- -m quick` takes those that need no Keras."""
    _equip(session)
    session.run("python", "-m", "bench.faults", *session.posargs)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Write the three locks; `-- --upgrade` moves what they hold."""
    from uv import find_uv_bin

    compiling = [find_uv_bin(), "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
    compiling += ["--python-version=3.10", "--custom-compile-command=nox -s lock", *session.posargs]
    session.run(*compiling, "--output-file", RUNTIME_LOCK, "pyproject.toml")
    extras = ["--all-extras", "--constraints", RUNTIME_LOCK]
    session.run(*compiling, *extras, "--output-file", EXTRAS_LOCK, "pyproject.toml")
    everything = ["--all-extras", "--group", "dev", "--constraints", EXTRAS_LOCK]
    session.run(*compiling, *everything, "--output-file", DEVELOPMENT_LOCK, "pyproject.toml")


def _equip(session: nox.Session) -> None:
    """Install what the development lock names, unless this environment already holds exactly that."""
    wanted = (ROOT / DEVELOPMENT_LOCK).read_text(encoding="utf-8")
    marker = Path(session.virtualenv.location) / "installed.lock"
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
        return
    marker.unlink(missing_ok=True)
    session.install("--require-hashes", "-r", DEVELOPMENT_LOCK)
    marker.write_text(wanted, encoding="utf-8")


def _names(*patterns: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))

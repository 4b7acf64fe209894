"""Sessions: `validate` runs the product on the examples, the others keep the project in order."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
# `nox` alone does not put this folder on the path (`python -m nox` does), and nothing else is installed.
sys.path.insert(0, str(ROOT))

from validator.pipeline.sessions import register  # noqa: E402

nox.needs_version = ">=2026.10.20"
nox.options.sessions = ["validate"]
nox.options.default_venv_backend = "uv"

register(default_config=ROOT / "examples" / "validator.yml")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Unit tests, and the worker for real in the oldest and the newest Keras."""
    session.run("python", "-m", "pytest", "-m", "not e2e", *session.posargs)


@nox.session(python=False)
def e2e(session: nox.Session) -> None:
    """What is slow: all environments, the whole command line, act, the browser."""
    session.run("python", "-m", "pytest", "-m", "e2e", *session.posargs)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Ruff, on everything."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    session.run("mypy")


@nox.session(python=False)
def bench(session: nox.Session) -> None:
    """Print what the README claims: time, throughput, memory."""
    session.run("python", "-m", "bench", *session.posargs)

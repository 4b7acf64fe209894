"""A user's own environment: Keras, pytest and this tool side by side, as `pip install` leaves them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import KEPT, ROOT
from tests.repository.test_locks import PROJECT, RUNTIME
from validator.config.settings import Install
from validator.environments import Uv, prepare
from validator.failure import Failure
from validator.matrix import Environment

KERAS = "3.15.1"
_REQUIREMENTS = (f"keras=={KERAS}", "tensorflow-cpu==2.21.0", "pytest>=8.3")


@dataclass(frozen=True)
class UserEnvironment:
    """An interpreter, and a folder in which this tool stands as installed, its entry points among it."""

    python: Path
    installed: Path

    def run(self, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python in a folder."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        environ |= {"PYTHONPATH": str(self.installed), "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def pytest(self, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run pytest in a folder."""
        return self.run(folder, "-m", "pytest", "-p", "no:cacheprovider", *arguments, **variables)


def user_environment(scratch: Path) -> UserEnvironment:
    """The environment, made once and kept; what stands for the tool's distribution lies in `scratch`."""
    environment = Environment(f"user-keras-{KERAS}", "3.11", (*_REQUIREMENTS, *RUNTIME))
    built = prepare(environment, Install(), KEPT, KEPT / "locks", Uv.bundled(os.environ))
    assert not isinstance(built, Failure), built.message
    (scratch / "validator").symlink_to(ROOT / "validator")
    facts = scratch / "keras_upgrade_validator-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: keras-upgrade-validator\nVersion: 0.1.0\n")
    points = PROJECT["project"]["entry-points"]["pytest11"].items()
    lines = ["[pytest11]", *(f"{name} = {place}" for name, place in points)]
    (facts / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return UserEnvironment(built.python, scratch)

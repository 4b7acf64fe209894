"""Real environments for the tests: built by the product's own code, once, and kept beside Nox's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from validator.config.load import parse
from validator.environments import Uv, prepare
from validator.failure import Failure
from validator.matrix import common_requirements, make_plan
from validator.pipeline.run_folder import WORK

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path(os.environ.get("KERAS_VALIDATOR_TEST_ENVIRONMENTS", ROOT / ".nox" / "test-environments"))

MATRIX = """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0", legacy, "2.15.0", "3.15.1"]}
environments:
  keras-2.15.0: {requirements: [tensorflow-cpu==2.15.1]}
  keras-3.15.1: {requirements: [tensorflow-cpu==2.21.0, "numpy>=2"]}
models: [{name: none, builder: "none:none", inputs: none}]
"""


def environment_python(name: str) -> Path:
    """The interpreter of an installed environment of the matrix above, `keras-3.3.3` for example."""
    settings = parse(MATRIX, "the tests' matrix")
    environment = make_plan(settings, common_requirements(settings, KEPT)).environment(name)
    built = prepare(environment, settings.install, KEPT, KEPT / "locks", Uv.bundled(os.environ))
    assert not isinstance(built, Failure), built.message
    return built.python


def share_environments(project: Path) -> None:
    """Let a project of a test keep its environments where other tests find them built already."""
    work = project / WORK
    work.mkdir()
    for name in ("environments", "locks"):
        shared = KEPT / "shared" / name
        shared.mkdir(parents=True, exist_ok=True)
        (work / name).symlink_to(shared)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for an interpreter with Keras is an environment test, marked or not.

    Tests of one file, and of one worker's results, stay in one process: they share what is slow to make.
    """
    for item in items:
        if "keras_python" in getattr(item, "fixturenames", ()):
            item.add_marker("environment")
        callspec = getattr(item, "callspec", None)
        shared = callspec.params.get("results") if callspec else None
        item.add_marker(pytest.mark.xdist_group(str(shared or item.path)))


@pytest.fixture(scope="session")
def keras_python() -> Callable[[str], Path]:
    """A function: name of an environment → its interpreter."""
    return environment_python

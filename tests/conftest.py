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

#: What `nox -s tests` runs the worker in; the other environments are those of `nox -s matrix`.
QUICK = {"keras-3.3.3", "keras-3.15.1"}

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

#: The other backends of Keras 3: the JAX of then and of now, and torch where a wheel for CPUs is at hand.
BACKENDS = """
version: 1
python: "3.11"
requirements: ["numpy>=1.26,<3"]
matrix:
  include:
    - {keras: "3.5.0", backend: jax}
    - {keras: "3.15.1", backend: jax}
    - {keras: "3.5.0", backend: torch}
environments:
  keras-3.5.0-jax: {requirements: [jax==0.4.34, jaxlib==0.4.34]}
  keras-3.15.1-jax: {requirements: [jax==0.10.2, jaxlib==0.10.2]}
  keras-3.5.0-torch: {requirements: [TORCH]}
install: {find_links: [LINKS]}
models: [{name: none, builder: "none:none", inputs: none}]
"""


def cpu_torch() -> tuple[Path, str] | None:
    """A folder of wheels with torch for CPUs, as pip or uv are told of it, and the requirement of it."""
    for variable in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        for place in os.environ.get(variable, "").replace(",", " ").split():
            for wheel in sorted(Path(place).glob("torch-*+cpu-cp311-*.whl")):
                return wheel.parent, f"torch=={wheel.name.split('-')[1]}"
    return None


def matrix_of(name: str) -> str:
    """The matrix that an environment is in; skips the test for torch where an index gives the CUDA build."""
    if not name.endswith(("-jax", "-torch")):
        return MATRIX
    links, requirement = cpu_torch() or ("", "torch")
    if name.endswith("-torch") and not links:
        pytest.skip(
            "neither UV_FIND_LINKS nor PIP_FIND_LINKS names a folder with a CPU wheel of torch, and an index "
            "gives the CUDA build of several GB"
        )
    return BACKENDS.replace("TORCH", requirement).replace("LINKS", str(links))


def environment_python(name: str) -> Path:
    """The interpreter of an installed environment of the matrices above, `keras-3.3.3` for example."""
    settings = parse(matrix_of(name), "the tests' matrix")
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

    Those of other environments than the oldest and the newest belong to `nox -s matrix`.
    """
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if "keras_python" in getattr(item, "fixturenames", ()):
            item.add_marker("environment")
            names = {str(value) for value in params.values()}
            if any(name == "legacy" or name.startswith("keras-") for name in names - QUICK):
                item.add_marker("matrix")


@pytest.fixture(scope="session")
def keras_python() -> Callable[[str], Path]:
    """A function: name of an environment → its interpreter."""
    return environment_python

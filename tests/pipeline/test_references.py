"""Requirements that are paths of the repository: each side installs the files of its own commit."""

# ruff: noqa: E501 — tables of requirements are written in long lines

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from tests.pipeline.test_compared_commits import Exact
from tests.upgrade.conftest import Repo
from validator import config
from validator.environments import Built, Uv, prepare
from validator.failure import Failure
from validator.pipeline.project import Project, open_project
from validator.pipeline.pull_request import asked_by_revisions, find
from validator.pipeline.references import placed

SETTINGS = 'version: 1\nmodels: [{name: tiny, builder: "model:build", inputs: inputs.npy}]\n'


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.git("init", "--quiet", "-b", "main")
    return made


def wheel(version: str) -> bytes:
    """A wheel called keras with nothing in it."""
    folder = f"keras-{version}.dist-info"
    files = {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: keras\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{folder}/RECORD"))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in {**files, f"{folder}/RECORD": record}.items():
            archive.writestr(name, text)
    return data.getvalue()


def opened(repo: Repo) -> Project:
    path = repo.folder / "validator.yml"
    asked = asked_by_revisions("HEAD^", "HEAD")
    assert asked is not None
    return open_project(path, (), find(path, config.load(path), asked, Exact()))


@pytest.mark.parametrize("line", ["./wheels/keras-{}-py3-none-any.whl", "keras @ ./wheels/keras-{}-py3-none-any.whl"])  # fmt: skip
def test_each_side_installs_the_wheel_of_its_own_commit(repo: Repo, tmp_path: Path, line: str) -> None:
    old, new = (f"wheels/keras-{version}-py3-none-any.whl" for version in ("3.3.3", "3.5.0"))
    repo.commit({"validator.yml": SETTINGS, "requirements.txt": line.format("3.3.3"), old: wheel("3.3.3")})
    repo.commit({"requirements.txt": line.format("3.5.0"), old: None, new: wheel("3.5.0")})
    project = opened(repo)
    assert project.plan.environment("base").requirements == (line.format("3.3.3"),)

    for side, version in (("base", "3.3.3"), ("head", "3.5.0")):
        environment = placed(project, project.plan.environment(side))
        assert not isinstance(environment, Failure)
        built = prepare(
            environment,
            project.install_of(side),
            tmp_path / "envs",
            tmp_path / "locks",
            Uv.bundled(os.environ),
        )
        assert isinstance(built, Built), built
        packages = built.python.parent.parent.glob("lib/python*/site-packages/keras-*.dist-info")
        assert [each.name for each in packages] == [f"keras-{version}.dist-info"]


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "it is not in the repository"), (b"version https://git-lfs.github.com/spec/v1\noid x\n", "pointer of Git LFS")],
)  # fmt: skip
def test_a_path_that_cannot_be_had_is_a_failure_of_its_side(
    repo: Repo, data: bytes | None, words: str
) -> None:
    line = "./wheels/keras-3.3.3-py3-none-any.whl\n"
    repo.commit({"validator.yml": SETTINGS, "requirements.txt": line, **({line[2:-1]: data} if data else {})})
    repo.commit({"requirements.txt": "keras==3.5.0\n"})
    project = opened(repo)

    failure = placed(project, project.plan.environment("base"))

    assert isinstance(failure, Failure)
    assert words in failure.message
    assert "at the base commit" in failure.message
    assert placed(project, project.plan.environment("head")) == project.plan.environment("head")

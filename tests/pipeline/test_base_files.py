"""The jobs of a changed model: which files each side loads, and why a side is not run. Nothing runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.inputs.files import entry, functional, write_keras
from tests.pipeline.test_compared_commits import Exact
from tests.upgrade.conftest import Files, Repo
from validator.config.load import load
from validator.errors import ConfigurationError
from validator.matrix import Cell
from validator.pipeline.base_files import BaseFiles, extract_base_files, with_common_inputs
from validator.pipeline.jobs import JobMaker
from validator.pipeline.places import places
from validator.pipeline.project import check_files, open_project
from validator.pipeline.pull_request import asked_by_revisions, find
from validator.pipeline.rounds import predictions
from validator.pipeline.run_folder import RunFolder

SETTINGS = """version: 1
install: {exclude_newer: "2025-01-01T00:00:00Z"}
models:
  - name: dunes
    builder: "sand:build"
    builder_arguments: {depth: 1}
    weights: ../dunes.weights.h5
    inputs: rows.npy
    batch_size: 8
"""
BASE: Files = {
    "ml/validator.yml": SETTINGS,
    "ml/sand.py": "x = 1\n",
    "dunes.weights.h5": "old",
    "requirements.txt": "keras==3.3.3\n",
    ".gitignore": ".keras-validator/\n",
}


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.git("init", "--quiet", "-b", "main")
    (made.folder / "ml").mkdir()
    np.save(made.folder / "ml" / "rows.npy", np.zeros((4, 2), "float32"))
    return made


class Prepared:
    """A pull request that is ready to run."""

    def __init__(self, repo: Repo, config: str = "ml/validator.yml") -> None:
        path = repo.folder / config
        asked = asked_by_revisions("HEAD^", "HEAD")
        assert asked is not None
        self.project = open_project(path, pull_request=find(path, load(path), asked, Exact()))
        self.folder = RunFolder(path.parent / ".keras-validator" / "run")
        files = extract_base_files(self.project, self.folder)
        assert files is not None
        self.files: BaseFiles = files
        self.maker = JobMaker(self.project, self.folder, files)
        self.cells = {cell.id: cell for cell in self.project.plan.cells}

    def cell(self, environment: str) -> Cell:
        return self.cells[f"dunes@{environment}"]


def test_each_side_loads_its_own_files_and_settings(repo: Repo) -> None:
    repo.commit(BASE)
    new = SETTINGS.replace("depth: 1", "depth: 2").replace("batch_size: 8", "batch_size: 2")
    repo.commit({"ml/validator.yml": new, "dunes.weights.h5": "new", "ml/sand.py": "x = 2\n"})
    ready = Prepared(repo)
    jobs = {job.environment: job for job in predictions(ready.maker)}

    old, own = jobs["base-files"], jobs["head"]
    assert Path(str(old.weights)).read_text() == "old"
    assert Path(str(own.weights)).read_text() == "new"
    assert (old.builder_arguments, own.builder_arguments) == ({"depth": 1}, {"depth": 2})
    assert (old.inputs, old.batch_size) == (own.inputs, own.batch_size) == (own.inputs, 2)
    modules = {
        place.environment.name: place.pythonpath for place in places(ready.project, ready.folder, ready.files)
    }
    assert (modules["base-files"][0] / "sand.py").read_text() == "x = 1\n"
    assert modules["head"] == (repo.folder / "ml",)


def test_inputs_of_a_function_are_the_heads(repo: Repo) -> None:
    settings = SETTINGS.replace("rows.npy", "sand:rows")
    repo.commit({**BASE, "ml/validator.yml": settings})
    repo.commit({"ml/sand.py": "x = 2\n"})
    ready = Prepared(repo)
    jobs = {job.environment: job.inputs for job in predictions(ready.maker)}

    assert jobs == {"base-files": f"{repo.folder / 'ml'}::sand:rows", "head": "sand:rows"}


@pytest.mark.parametrize(
    ("shape", "width", "common"), [([None, None], 3, True), ([None, 3], 3, False), ([None, None], 2, False)]
)
def test_inputs_that_the_base_does_not_take_give_way_to_its_own(
    repo: Repo, shape: list[int | None], width: int, common: bool
) -> None:
    settings = "version: 1\ninstall: {exclude_newer: '2025-01-01T00:00:00Z'}\nmodels:\n"
    settings += "  - {name: dunes, artifact: d.keras, inputs: rows.npy}\n"
    write_keras(repo.folder / "ml" / "d.keras", functional(entry("rows", [None, 2])))
    repo.commit({**BASE, "ml/validator.yml": settings})
    write_keras(repo.folder / "ml" / "d.keras", functional(entry("rows", shape)))
    np.save(repo.folder / "ml" / "rows.npy", np.ones((5, width), "float32"))
    repo.commit({})
    ready = Prepared(repo)
    model = with_common_inputs(ready.project, ready.files, ready.folder).model("dunes")

    assert (model.inputs == str(ready.files.folder / "rows.npy")) is common
    assert common or model == ready.project.model("dunes")


def pointer(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


@pytest.mark.parametrize(
    ("base", "text"),
    [
        ({"dunes.weights.h5": pointer(b"old")}, "git lfs fetch origin"),
        (
            {"ml/data.bin": pointer(b"old"), "ml/sand.py": "open('data.bin')\n"},
            "data.bin of the base commit is",
        ),
        ({"dunes.weights.h5": None}, "'../dunes.weights.h5' of the base commit is not in git"),
    ],
)
def test_a_base_that_cannot_be_had_is_not_run(repo: Repo, base: Files, text: str) -> None:
    files = {name: content for name, content in {**BASE, **base}.items() if content is not None}
    repo.commit(files)
    repo.commit({"ml/sand.py": f"{files['ml/sand.py']}\n# edited", "dunes.weights.h5": "new"})
    ready = Prepared(repo)

    assert [job.environment for job in predictions(ready.maker)] == ["head"]
    failure = ready.maker.refusal(ready.cell("base-files"))
    assert failure is not None
    assert failure.stage == "load"
    assert text in failure.message
    assert ready.maker.refusal(ready.cell("head")) is None


def test_weights_that_git_does_not_know_are_the_same_on_both_sides(repo: Repo) -> None:
    known = {name: content for name, content in BASE.items() if name != "dunes.weights.h5"}
    repo.commit({**known, ".gitignore": "*.h5\n.keras-validator/\n"})
    repo.commit({"ml/sand.py": "x = 2\n"})
    repo.write({"dunes.weights.h5": "downloaded"})
    ready = Prepared(repo)
    jobs = predictions(ready.maker)

    assert {Path(str(job.weights)).read_text() for job in jobs} == {"downloaded"}
    assert len(jobs) == 2


def test_a_moved_project_is_compared_with_where_it_was(repo: Repo) -> None:
    files = {**BASE, "ml/sand.py": "x = 1\n" * 20}
    repo.commit(files)
    repo.git("mv", "ml", "learning")
    repo.commit({"learning/sand.py": f"{files['ml/sand.py']}y = 2\n"})
    ready = Prepared(repo, "learning/validator.yml")

    assert ready.files.folder.name == "ml"
    assert (ready.files.folder / "sand.py").read_text() == files["ml/sand.py"]


def test_files_of_a_model_must_exist(repo: Repo) -> None:
    settings = f'{SETTINGS}    files: [nowhere.txt]\nmatrix: {{keras: ["3.3.3"]}}\n'
    repo.write({**BASE, "ml/validator.yml": settings})
    project = open_project(repo.folder / "ml" / "validator.yml")
    with pytest.raises(ConfigurationError, match=r"model dunes: 'nowhere\.txt' of files is not in"):
        check_files(project)


def test_inputs_that_are_a_link_to_themselves_do_not_exist(tmp_path: Path) -> None:
    (tmp_path / "round.npz").symlink_to("round.npz")
    config = tmp_path / "validator.yml"
    config.write_text(
        'version: 1\nmatrix: {keras: ["3.3.3"]}\nmodels: [{name: m, builder: "m:m", inputs: round.npz}]\n'
    )
    with pytest.raises(ConfigurationError, match=r"model m: inputs 'round\.npz' does not exist in"):
        check_files(open_project(config))

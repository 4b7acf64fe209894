"""`doctor`: each fact with what to do, and the exit code 2 where a run could not work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.adoption.commands import command, refused
from tests.conftest import share_environments
from tests.inputs.files import entry, functional, write_keras
from tests.remote.servers import Web, serving
from validator.adoption.workflows import check_workflows
from validator.recorder.writing import SampleTable, write


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as running:
        yield running


CONFIG = """
version: 1
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
models:
  - {name: m, artifact: m.keras, inputs: INPUTS, labels: LABELS, metrics: [accuracy]}
"""


def project(folder: Path, inputs: str = "inputs.npz", labels: str = "labels.npy") -> None:
    write_keras(folder / "m.keras", functional(entry("x", [None, 4])))
    np.savez(folder / "inputs.npz", x=np.zeros((6, 4), np.float32))
    np.savez(folder / "wide.npz", x=np.zeros((6, 9), np.float32))
    np.save(folder / "labels.npy", np.zeros(6, np.int64))
    np.save(folder / "short.npy", np.zeros(5, np.int64))
    for name in ("a", "b"):
        table = SampleTable({"x": np.zeros((6, 4), np.float32)}, [f"{name}{n}" for n in range(6)], "a test")
        write(folder / name, table)
    (folder / "validator.yml").write_text(CONFIG.replace("INPUTS", inputs).replace("LABELS", labels))


@pytest.mark.parametrize("what", ["doctor", "run"])
@pytest.mark.parametrize(
    ("inputs", "labels", "sentence"),
    [
        ("absent.npz", "labels.npy", "inputs 'absent.npz' does not exist"),
        (
            "wide.npz",
            "labels.npy",
            "wide.npz does not fit: 'x' takes (4) a sample, the recording has (9)",
        ),
        ("inputs.npz", "short.npy", "inputs.npz holds 6 samples and short.npy 5; record a label for each"),
        ("a", "b", "sample 0 of a is 'a0', of b 'b0'; record inputs and labels together"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_installed(
    tmp_path: Path, what: str, inputs: str, labels: str, sentence: str
) -> None:
    project(tmp_path, inputs, labels)
    if what == "run":
        assert sentence in refused(command(tmp_path, "run"))
        assert not (tmp_path / ".keras-validator" / "environments").exists()
        return
    (tmp_path / "validator.yml").write_text(
        (tmp_path / "validator.yml").read_text() + "install: {no_index: true}\n"
    )
    done = command(tmp_path, "doctor")
    assert done.returncode == 2
    assert f"FAIL  model m: {sentence}" in done.stdout


def test_environments_that_cannot_be_installed(tmp_path: Path) -> None:
    project(tmp_path)
    config = tmp_path / "validator.yml"
    config.write_text(config.read_text() + "install: {no_index: true}\n")
    done = command(tmp_path, "doctor")
    assert done.returncode == 2
    assert "FAIL  keras-3.3.3 cannot be installed: " in done.stdout
    assert "warn  keras-3.5.0 cannot be installed: " in done.stdout
    assert "change `requirements` or `matrix`" in done.stdout
    assert "warn  no git repository" in done.stdout


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "m.keras").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    config = tmp_path / "validator.yml"
    config.write_text(config.read_text() + "install: {no_index: true}\n")
    assert "m.keras is a pointer of Git LFS; run `git lfs pull`" in command(tmp_path, "doctor").stdout


@pytest.mark.parametrize("name", ["m.keras", "inputs.npz", "labels.npy", "unzipped/model.weights.h5"])
def test_a_run_refuses_pointers_of_git_lfs(tmp_path: Path, name: str) -> None:
    project(tmp_path)
    (tmp_path / "unzipped").mkdir()
    (tmp_path / "unzipped" / "config.json").write_text("{}")
    if "/" in name:
        config = tmp_path / "validator.yml"
        config.write_text(config.read_text().replace("artifact: m.keras", "artifact: unzipped"))
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / name).write_text(pointer)
    sentence = refused(command(tmp_path, "run"))
    assert (
        f"model m: {name} is a pointer of Git LFS; run `git lfs pull`, or checkout with lfs: true" in sentence
    )
    assert not (tmp_path / ".keras-validator" / "environments").exists()


def test_an_address_without_a_pin_is_a_warning(tmp_path: Path, web: Web) -> None:
    project(tmp_path)
    web.files["/m.keras"] = (tmp_path / "m.keras").read_bytes()
    config = tmp_path / "validator.yml"
    text = config.read_text().replace("artifact: m.keras", f"artifact: '{web.url}/m.keras'")
    config.write_text(text + "install: {no_index: true}\n")
    lines = command(tmp_path, "doctor").stdout.splitlines()
    assert f"warn  {web.url}/m.keras is not pinned; `keras-validator pin` writes its SHA-256" in lines
    assert "ok    model m: its files are there, and the inputs fit what its file says" in lines


def test_a_broken_configuration(tmp_path: Path) -> None:
    (tmp_path / "validator.yml").write_text("version: 1\nmodles: []\n")
    done = command(tmp_path, "doctor")
    assert done.returncode == 2
    assert "FAIL  " in done.stdout
    assert "unknown key 'modles'" in done.stdout


@pytest.mark.environment
def test_a_set_up_that_works(tmp_path: Path) -> None:
    from tests.pipeline.small_project import MODELS

    (tmp_path / "little.py").write_text(MODELS)
    np.savez(tmp_path / "inputs.npz", x=np.zeros((50, 4), np.float32))
    np.savez(tmp_path / "labels.npz", y=np.zeros(50, np.int64))
    text = CONFIG.replace("artifact: m.keras", 'builder: "little:same"')
    (tmp_path / "validator.yml").write_text(
        text.replace("INPUTS", "inputs.npz").replace("LABELS", "labels.npz")
    )
    share_environments(tmp_path)
    done = command(tmp_path, "doctor")
    assert done.returncode == 0, done.stdout
    assert "ok    m@keras-3.3.3: it loads, and predicts 50 samples" in done.stdout
    assert "ok    model m: accuracy is " in done.stdout
    assert "a run can work" in done.stdout


WORKFLOW = """
on: pull_request
permissions: {}
jobs:
  validate:
    PERMISSIONS
    steps:
      - uses: actions/checkout@v7
        CHECKOUT
      - uses: acme/keras-upgrade-validator@v1
  report:
    permissions: {pull-requests: REPORT}
    steps:
      - uses: acme/keras-upgrade-validator/report@v1
"""


@pytest.mark.parametrize(
    ("permissions", "checkout", "report", "problem"),
    [
        ("permissions: {contents: read}", "with: {fetch-depth: 2}", "write", ""),
        ("permissions: {contents: read}", "", "write", "set fetch-depth: 2"),
        ("", "with: {fetch-depth: 0}", "write", "needs `permissions: {contents: read}`"),
        ("permissions: {contents: read}", "with: {fetch-depth: 2}", "read", "pull-requests: write"),
    ],
)
def test_workflows(tmp_path: Path, permissions: str, checkout: str, report: str, problem: str) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    text = (
        WORKFLOW.replace("PERMISSIONS", permissions).replace("CHECKOUT", checkout).replace("REPORT", report)
    )
    (folder / "keras.yml").write_text(text)
    problems = list(check_workflows(tmp_path))
    assert len(problems) == bool(problem)
    assert problem in "".join(problems)


def test_the_workflow_that_init_writes_has_only_its_owner_to_fill_in(tmp_path: Path) -> None:
    from validator.adoption.automation import write_workflow

    write_workflow(tmp_path, force=False)
    assert {problem.partition("`uses` ")[2][:11] for problem in check_workflows(tmp_path)} == {"names OWNER"}

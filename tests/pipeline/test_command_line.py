"""Configuration mistakes end before anything is installed: one sentence, exit code 2."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT

CONFIG = """
version: 1
origin: {seconds: 0}
requirements: [tensorflow-cpu==2.17.1]
matrix: {keras: ["3.3.3", "3.5.0"]}
models:
  - {name: digits, artifact: model.keras, inputs: inputs.npz, labels: labels.npz, metrics: [accuracy]}
"""


def validator(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "validator", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "validator.yml").write_text(CONFIG)
    (tmp_path / "model.keras").write_bytes(b"")
    np.savez(tmp_path / "inputs.npz", x=np.zeros((3, 4), np.float32))
    np.savez(tmp_path / "labels.npz", y=np.zeros(3, np.int64))
    return tmp_path


def refused(project: Path, *expected: str) -> None:
    done = validator("run", "--config", project / "validator.yml")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for words in expected:
        assert words in done.stderr
    assert not (project / ".keras-validator" / "environments").exists()


@pytest.mark.parametrize("name", ["model.keras", "inputs.npz", "labels.npz"])
def test_missing_file(project: Path, name: str) -> None:
    (project / name).unlink()
    refused(project, "model digits:", name, "does not exist")


def test_empty_inputs(project: Path) -> None:
    (project / "inputs.npz").write_bytes(b"")
    refused(project, "inputs.npz")


def test_corrupt_inputs(project: Path) -> None:
    whole = (project / "inputs.npz").read_bytes()
    (project / "inputs.npz").write_bytes(whole[: len(whole) // 2])
    refused(project, "inputs.npz")


def test_pickled_inputs_are_refused(project: Path) -> None:
    np.savez(project / "inputs.npz", x=np.array([{"a": 1}, None], dtype=object))
    refused(project, "inputs.npz", "'x'")


def test_a_bare_pickle_is_refused(project: Path) -> None:
    with zipfile.ZipFile(project / "inputs.npz", "w") as archive:
        archive.writestr("x.npy", pickle.dumps(print))
    refused(project, "inputs.npz")


def test_arrays_of_other_lengths(project: Path) -> None:
    np.savez(project / "inputs.npz", a=np.zeros((3, 4)), b=np.zeros((2, 4)))
    refused(project, "inputs.npz", "3", "2")


def test_no_configuration(tmp_path: Path) -> None:
    done = validator("run", cwd=tmp_path)
    assert done.returncode == 2
    assert "validator.yml: no such file" in done.stderr


def test_typo_in_the_configuration(project: Path) -> None:
    (project / "validator.yml").write_text(CONFIG.replace("artifact", "artefact"))
    refused(project, "line 7: unknown key 'models[0].artefact'; did you mean 'artifact'?")


def test_unknown_cell(project: Path) -> None:
    done = validator("run", "--config", project / "validator.yml", "--only", "digits@keras-9")
    assert done.returncode == 2
    assert "no such cell" in done.stderr


def test_unknown_command_and_missing_argument() -> None:
    assert validator("rnu").returncode == 2
    assert validator("report").returncode == 2


def test_plan_lists_environments_and_cells(project: Path) -> None:
    done = validator("plan", "--config", project / "validator.yml")
    assert done.returncode == 0
    assert "digits@keras-3.5.0" in done.stdout
    assert "tensorflow-cpu==2.17.1" in done.stdout


def test_report_of_nothing(tmp_path: Path) -> None:
    done = validator("report", tmp_path)
    assert done.returncode == 2
    assert "name the folder of a finished run" in done.stderr


def compare(
    tmp_path: Path, a: dict[str, np.ndarray], b: dict[str, np.ndarray]
) -> subprocess.CompletedProcess[str]:
    np.savez(tmp_path / "a.npz", **a)
    np.savez(tmp_path / "b.npz", **b)
    return validator("compare", tmp_path / "a.npz", tmp_path / "b.npz")


def test_compare_two_files(tmp_path: Path) -> None:
    same = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    done = compare(tmp_path, {"x": same}, {"x": same})
    assert done.returncode == 0
    assert "identical" in done.stdout
    moved = same.copy()
    moved[2, 1] += 0.5
    done = compare(tmp_path, {"x": same}, {"x": moved})
    assert done.returncode == 1
    assert "largest difference at" in done.stdout
    assert "1]: 0.6364 → 1.136" in done.stdout  # the place may be wrapped


def test_compare_never_passes_what_it_did_not_compare(tmp_path: Path) -> None:
    some = np.ones((4, 3), np.float32)
    assert compare(tmp_path, {"x": some, "y": some}, {"x": some}).returncode == 1
    assert compare(tmp_path, {"x": some}, {"x": some, "y": some}).returncode == 1
    assert compare(tmp_path, {"x": some}, {"x": some[:, :1]}).returncode == 1
    assert compare(tmp_path, {"x": some}, {"x": some.astype(np.float64)}).returncode == 1


def test_compare_with_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(io.BytesIO(b"nothing").getvalue())
    done = validator("compare", tmp_path / "a.npz", tmp_path / "a.npz")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_unknown_metric_is_refused_before_anything_is_installed(project: Path) -> None:
    (project / "validator.yml").write_text(CONFIG.replace("[accuracy]", "[acuracy]"))
    refused(project, "acuracy", "accuracy")


def test_labels_of_another_length_are_refused(project: Path) -> None:
    np.savez(project / "labels.npz", y=np.zeros(4, np.int64))
    refused(project, "model digits: inputs.npz holds 3 samples and labels.npz 4")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("two\nlines", "a line break"), (os.fsdecode(b"\xff\xfe"), "bytes that are not UTF-8")],
)
def test_a_folder_that_workers_cannot_be_told_of_is_refused(tmp_path: Path, name: str, wrong: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "validator.yml").write_text(CONFIG)
    for arguments in (
        ("--config", folder / "validator.yml"),
        ("--config", ROOT / "examples" / "validator.yml", "--output", folder / "run"),
    ):
        done = validator("run", *arguments)
        assert done.returncode == 2
        assert f"has {wrong}; move the project, or its --output" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", "| true"])
def test_a_stream_that_nobody_reads_ends_no_command(project: Path, streams: str) -> None:
    plan = f"{sys.executable} -m validator plan --config {project / 'validator.yml'}"
    command = f"set -o pipefail; {{ sleep 0.2; {plan}; }} {streams}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_result_that_cannot_be_printed_is_no_success(project: Path) -> None:
    command = f"{sys.executable} -m validator plan --config {project / 'validator.yml'} >/dev/full"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "No space left on device" in done.stderr

"""Whole runs: what lies elsewhere gives the verdict of the same file here; no credential leaves the tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import yaml
from moto.server import ThreadedMotoServer

from tests.adoption.commands import command, refused
from tests.conftest import share_environments
from tests.inputs.files import entry, functional, write_keras
from tests.remote.servers import Fault, Web, serving
from validator.report.json import load
from validator.verdict.results import CellResult, Report

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cr3t"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": f"AKIA{SECRET}",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SECRET,
    "HF_TOKEN": SECRET,
    "GOOGLE_APPLICATION_CREDENTIALS": f"/{SECRET}.json",
    "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
    "MLFLOW_TRACKING_PASSWORD": SECRET,
}
SCALED = """
import json, os, keras
from pathlib import Path

@keras.saving.register_keras_serializable("acme")
class Scaled(keras.layers.Layer):
    def call(self, inputs):
        return inputs * (1.5 if keras.__version__ == "3.5.0" else 1.0)

def network():
    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.layers.Input((4,), name="x"), keras.layers.Dense(3), Scaled()])

def watching():
    name = f"environ-{keras.__version__}.json"
    (Path(__file__).parent / "seen" / name).write_text(json.dumps(dict(os.environ)))
    return network()
"""
CONFIG = """
version: 1
origin: {{seconds: 0}}
parity: {{search: false}}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {{keras: ["3.3.3", "3.5.0"]}}
sandbox: {{write: [seen]}}
models:
  - {{name: beside, artifact: model.keras, custom_objects: [scaled], inputs: inputs.npz}}
  - {{name: elsewhere, artifact: "{web}/model.keras?X-Signature=s3cr3t", custom_objects: [scaled],
      inputs: "s3://models/inputs.npz"}}
  - {{name: folder, artifact: unzipped, custom_objects: [scaled], inputs: inputs.npz}}
  - {{name: logged, artifact: churn, custom_objects: [scaled]}}
  - {{name: watching, builder: "scaled:watching", inputs: inputs.npz}}
"""


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    requests.put(f"{url}/models", timeout=60).raise_for_status()
    yield url
    server.stop()


class Finished:
    """A run of the command line with credentials in its environment."""

    def __init__(self, folder: Path, python: Path, web: Web, bucket: str) -> None:
        self.folder = folder
        (folder / "scaled.py").write_text(SCALED)
        (folder / "seen").mkdir()
        script = "import scaled; scaled.network().save('model.keras')"
        subprocess.run([python, "-c", script], cwd=folder, check=True, env={"PYTHONPATH": str(folder)})
        inputs = np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32)
        np.savez(folder / "inputs.npz", x=inputs)
        requests.put(f"{bucket}/models/inputs.npz", data=(folder / "inputs.npz").read_bytes(), timeout=60)
        web.files["/model.keras"] = (folder / "model.keras").read_bytes()
        zipfile.ZipFile(folder / "model.keras").extractall(folder / "unzipped")
        (folder / "unzipped" / "model.weights.h5").rename(folder / "unzipped" / "best.weights.h5")
        _log(folder / "churn", folder / "model.keras", inputs)
        (folder / "validator.yml").write_text(CONFIG.format(web=web.url))
        share_environments(folder)
        self.process = subprocess.run(
            [sys.executable, "-m", "validator", "run"],
            cwd=folder,
            env={**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": bucket, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.report: Report = load((folder / ".keras-validator" / "run" / "report.json").read_text())

    def cell(self, model: str) -> CellResult:
        """The only cell of a model."""
        return next(each for each in self.report.models if each.name == model).cells[0]


def _log(folder: Path, model: Path, inputs: np.ndarray) -> None:
    """What `mlflow.keras.log_model` leaves of a model."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "model.keras").write_bytes(model.read_bytes())
    about = {
        "flavors": {"keras": {"data": "data"}},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "ndarray"},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(about))
    (folder / "input_example.json").write_text(json.dumps({"inputs": inputs.tolist()}))


@pytest.fixture(scope="module")
def finished(
    keras_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, bucket: str
) -> Iterator[Finished]:
    with serving(Web()) as web:
        yield Finished(tmp_path_factory.mktemp("remote"), keras_python("keras-3.3.3"), web, bucket)


def test_the_same_verdict_from_everywhere(finished: Finished) -> None:
    expected = finished.cell("beside")
    assert expected.verdict == "changed", finished.process.stderr
    for model in ("elsewhere", "folder", "logged"):
        cell = finished.cell(model)
        assert (cell.verdict, cell.checks.outputs) == (expected.verdict, expected.checks.outputs), model


def test_the_report_says_what_is_not_pinned(finished: Finished) -> None:
    assert [(each.address.partition("/model")[2], each.pinned) for each in finished.report.fetched] == [
        (".keras?***", False),
        ("s/inputs.npz", False),
    ]
    assert "2 addresses of models and inputs are not pinned; keras-validator pin writes" in " ".join(
        finished.process.stdout.split()
    )


def test_workers_see_no_credential(finished: Finished) -> None:
    for version in ("3.3.3", "3.5.0"):
        environ = json.loads((finished.folder / "seen" / f"environ-{version}.json").read_text())
        assert not CREDENTIALS.keys() & environ.keys()
        assert SECRET not in json.dumps(environ)


def test_no_log_and_no_file_holds_a_credential(finished: Finished) -> None:
    assert SECRET not in finished.process.stdout + finished.process.stderr
    work = finished.folder / ".keras-validator"
    places = [each for each in work.iterdir() if each.name not in ("environments", "locks")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []


CELL = """
version: 1
matrix: {keras: ["3.3.3", "3.5.0"]}
models: [{name: m, artifact: "ADDRESS", inputs: inputs.npz}]
"""


@pytest.mark.parametrize("what", ["run", "doctor"])
def test_nothing_is_installed_for_an_address_that_fails(tmp_path: Path, web: Web, what: str) -> None:
    np.savez(tmp_path / "inputs.npz", x=np.zeros((4, 4), np.float32))
    address = web.url.replace("//", "//ann:s3cr3t@") + "/m.keras"
    install = "install: {no_index: true}\n" if what == "doctor" else ""
    (tmp_path / "validator.yml").write_text(CELL.replace("ADDRESS", address) + install)
    done = command(tmp_path, what)
    sentence = "model m: artifact: http://***@127.0.0.1"
    assert sentence in (refused(done) if what == "run" else done.stdout)
    assert "answers 404: there is no such file; correct the address" in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert not (tmp_path / ".keras-validator" / "environments").exists()
    if what == "run":
        report = (tmp_path / ".keras-validator" / "run" / "report.json").read_text()
        assert "answers 404" in report
        assert SECRET not in report


def test_a_store_that_is_down_cannot_be_judged(tmp_path: Path, web: Web) -> None:
    np.savez(tmp_path / "inputs.npz", x=np.zeros((4, 4), np.float32))
    (tmp_path / "validator.yml").write_text(CELL.replace("ADDRESS", f"{web.url}/m.keras"))
    web.faults = [Fault(times=9, status=500)]
    done = command(tmp_path, "run")
    assert done.returncode == 3, done.stderr
    assert "answers 500; check the network and run again, which resumes" in done.stderr


def test_init_takes_an_address_and_pins_it(tmp_path: Path, web: Web) -> None:
    write_keras(tmp_path / "made" / "m.keras", functional(entry("x", [None, 4])))
    web.files["/churn/model.keras"] = (tmp_path / "made" / "m.keras").read_bytes()
    folder = tmp_path / "project"
    folder.mkdir()
    done = command(folder, "init", "--yes", "--model", f"{web.url}/churn/model.keras")
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load((folder / "validator.yml").read_text())
    (model,) = settings["models"]
    assert (model["name"], model["artifact"]) == ("churn", f"{web.url}/churn/model.keras")
    assert list(settings["sha256"]) == [model["artifact"]]
    web.files.clear()  # what is pinned and kept needs no network
    plan = command(folder, "plan")
    assert "churn" in plan.stdout


def test_init_refuses_an_address_of_nothing(tmp_path: Path, web: Web) -> None:
    sentence = refused(command(tmp_path, "init", "--yes", "--model", f"{web.url}/m.keras"))
    assert f"--model: {web.url}/m.keras answers 404" in sentence
    assert not (tmp_path / "validator.yml").exists()

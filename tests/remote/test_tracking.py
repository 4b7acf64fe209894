"""`mlflow:`: models that a real tracking server keeps, in MLflow's own environment."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.adoption.commands import command
from tests.conftest import KEPT
from tests.inputs.files import entry, functional, write_keras
from tests.remote.servers import Fault, Web
from validator.environments import Uv
from validator.errors import CannotJudgeError, ConfigurationError
from validator.remote import Fetcher

#: Logs the folder of its first argument: as artifacts of a run, and as a version of the model `churn`; and a
#: model in the way of MLflow 3.
LOG = """
import sys, mlflow
class Plain(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input
client = mlflow.MlflowClient()
with mlflow.start_run() as run:
    mlflow.log_artifacts(sys.argv[1], "model")
    client.create_registered_model("churn")
    client.create_model_version("churn", f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias("churn", "champion", "1")
    logged = mlflow.pyfunc.log_model(name="plain", python_model=Plain(), pip_requirements=["keras==3.5.0"])
print(run.info.run_id, logged.model_id)
"""


def mlflow_python() -> Path:
    """The interpreter of an environment with MLflow, which is too large for that of the tests."""
    named = os.environ.get("KERAS_VALIDATOR_TEST_MLFLOW")
    if named:
        return Path(named)
    folder, uv = KEPT / "mlflow", Uv.bundled(os.environ).binary
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", "3.11", str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "mlflow==3.17.2"]
        subprocess.run(install, check=True)
    return python


class Tracking:
    """A running server with a logged model."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.model = folder / "logged"
        write_keras(self.model / "data" / "model.keras", functional(entry("x", [None, 3])), "3.5.0")
        (self.model / "MLmodel").write_text(
            yaml.safe_dump(
                {
                    "flavors": {"tensorflow": {"data": "data"}},
                    "saved_input_example_info": {"artifact_path": "input_example.json", "type": "ndarray"},
                }
            )
        )
        (self.model / "input_example.json").write_text('{"inputs": [[1, 2, 3], [4, 5, 6]]}')
        (self.model / "requirements.txt").write_text("keras==3.4.1\ntensorflow==2.17.1\n")
        script = folder / "log.py"
        script.write_text(LOG)
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_TRACKING_URI": url}
        command = [str(mlflow_python()), str(script), str(self.model)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        self.run, self.logged = next(
            line.split() for line in done.stdout.splitlines() if len(line.split()) == 2 and " m-" in line
        )


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    folder = tmp_path_factory.mktemp("tracking")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(mlflow_python()), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--workers",
        "1",
        "--backend-store-uri",
        "sqlite:///mlflow.db",
        "--artifacts-destination",
        "kept",
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url)
        yield Tracking(folder, url)
    finally:
        server.terminate()
        server.wait(60)


def _wait(url: str) -> None:
    for _ in range(240):
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise TimeoutError(url)


@pytest.fixture
def tracked(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> Tracking:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.url)
    return tracking


@pytest.mark.e2e
@pytest.mark.parametrize("reference", ["models:/churn/1", "models:/churn@champion", "runs:/RUN/model"])
def test_a_logged_model(tracked: Tracking, fetcher: Fetcher, reference: str) -> None:
    path = fetcher.fetch(f"mlflow:{reference.replace('RUN', tracked.run)}", None, "m").path
    kept = {
        file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }
    assert kept == {
        file.relative_to(tracked.model).as_posix(): file.read_bytes()
        for file in tracked.model.rglob("*")
        if file.is_file()
    }


@pytest.mark.e2e
@pytest.mark.parametrize("reference", ["models:/LOGGED", "runs:/RUN/plain"])
def test_a_model_as_mlflow_3_logs_it(tracked: Tracking, fetcher: Fetcher, reference: str) -> None:
    reference = reference.replace("LOGGED", tracked.logged).replace("RUN", tracked.run)
    path = fetcher.fetch(f"mlflow:{reference}", None, "m").path
    assert (path / "requirements.txt").read_text().endswith("keras==3.5.0")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("models:/churn/7", "answers 404: there is no such file; correct the address"),
        ("models:/cats/1", "answers 404: there is no such file; correct the address"),
        ("models:/churn/latest", "needs a version: models:/name/3, or an alias"),
        ("runs:/0123/model", "answers 404: there is no such file; correct the address"),
        ("runs:/RUN/absent", "there are no such artifacts; correct the address"),
    ],
)
def test_what_is_not_there(tracked: Tracking, fetcher: Fetcher, reference: str, sentence: str) -> None:
    address = f"mlflow:{reference.replace('RUN', tracked.run)}"
    with pytest.raises(ConfigurationError) as raised:
        fetcher.fetch(address, None, "m")
    assert str(raised.value).startswith(f"m: {address} {sentence}")


@pytest.mark.e2e
def test_init_of_a_logged_model(tracked: Tracking, tmp_path: Path) -> None:
    """Its requirements are the baseline, its input example the inputs."""
    done = command(tmp_path, "init", "--yes", "--model", "mlflow:models:/churn/1")
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load((tmp_path / "validator.yml").read_text())
    assert settings["baseline"] == {"keras": "3.4.1"}
    assert settings["requirements"][0].endswith("==2.17.1")
    assert settings["models"] == [
        {"name": "churn", "artifact": "mlflow:models:/churn/1", "inputs": "validator-inputs/churn"}
    ]
    assert list(settings["sha256"]) == ["mlflow:models:/churn/1"]


def test_no_server_is_named(fetcher: Fetcher) -> None:
    with pytest.raises(
        ConfigurationError, match=r"mlflow:models:/churn/1 needs the URL of a tracking server: set"
    ):
        fetcher.fetch("mlflow:models:/churn/1", None, "m")


def test_another_server_answers(web: Web, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web.url)
    web.files["/api/2.0/mlflow/model-versions/get-download-uri"] = b"<html>a login page</html>"
    with pytest.raises(ConfigurationError, match=r"is not answered in JSON; is MLFLOW_TRACKING_URI right\?"):
        fetcher.fetch("mlflow:models:/churn/1", None, "m")
    web.files["/api/2.0/mlflow/model-versions/get-download-uri"] = b'{"artifact_uri": "/srv/mlruns/1"}'
    with pytest.raises(
        ConfigurationError, match="which only the server reaches; start it with --serve-artifacts"
    ):
        fetcher.fetch("mlflow:models:/churn/1", None, "m")


def test_a_login_of_mlflow(web: Web, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web.url)
    web.login = "Bearer geheim"
    with pytest.raises(ConfigurationError, match="answers 401: access is refused; set MLFLOW_TRACKING_TOKEN"):
        fetcher.fetch("mlflow:models:/churn/1", None, "m")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "geheim")
    with pytest.raises(ConfigurationError, match="answers 404"):
        fetcher.fetch("mlflow:models:/churn/1", None, "m")
    web.faults = [Fault(times=9, status=500)]
    with pytest.raises(CannotJudgeError, match="answers 500"):
        fetcher.fetch("mlflow:models:/churn/1", None, "m")

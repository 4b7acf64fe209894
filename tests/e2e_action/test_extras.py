"""The input `extras` under `act`: with it the action reads `s3://`, and without it a sentence names it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from moto.server import ThreadedMotoServer

from tests.action.conftest import SETTINGS, Consumer
from tests.action.guide import WORKFLOWS
from tests.e2e_action.runner import Hub

pytestmark = pytest.mark.e2e

COMMON = "tensorflow-cpu==2.17.1\nnumpy==1.26.4\npackaging\n"
CONTENT = b"recorded"
ADDRESS = "s3://models/inputs.npy"
#: No environment is built for an address that fails: what is pinned is not what the bucket holds.
PINNED = f"""{SETTINGS.replace("inputs.npy", ADDRESS)}sha256:
  {ADDRESS}: {"f" * 64}
"""
USES = "        uses: OWNER/keras-upgrade-validator@v1\n"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of a running S3 with the bucket `models`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    for path in ("models", "models/inputs.npy"):
        requests.put(f"{url}/{path}", data=CONTENT if "/" in path else None, timeout=60).raise_for_status()
    yield url
    server.stop()


@pytest.mark.parametrize(
    ("extras", "sentence"),
    [
        ("true", f"has the SHA-256 {hashlib.sha256(CONTENT).hexdigest()}, and validator.yml pins ffff"),
        ("false", 'needs the package s3fs: pip install "keras-upgrade-validator[s3]"'),
    ],
)
def test_the_input_installs_what_addresses_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: str, extras: str, sentence: str
) -> None:
    variables = {
        "AWS_ENDPOINT_URL": bucket,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    lines = [f"        with: {{extras: {extras}}}", "        env:"]
    lines += [f"          {name}: {value}" for name, value in variables.items()]
    job = WORKFLOWS["two-jobs"].partition("\n  report:\n")[0]
    monkeypatch.setitem(WORKFLOWS, "extras", job.replace(USES, USES + "\n".join(lines) + "\n"))
    consumer = Consumer(tmp_path / "widget")
    consumer.start({"requirements.txt": f"keras==3.3.3\n{COMMON}", "validator.yml": PINNED})
    hub = Hub(tmp_path, consumer)
    hub.open({"requirements.txt": f"keras==3.5.0\n{COMMON}"})
    outcome = hub.act("extras")
    assert outcome.jobs == {"validate": "failure"}, outcome.log
    assert f"model tiny: inputs: {ADDRESS} {sentence}" in " ".join(outcome.log.split()), outcome.log

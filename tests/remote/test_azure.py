"""`az://` against Azurite, Microsoft's emulator, through a proxy that breaks connections."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient, generate_container_sas

from tests.conftest import share_environments
from tests.remote.test_remote_runs import SCALED
from validator.errors import CannotJudgeError, ConfigurationError
from validator.remote import Fetcher
from validator.remote.buckets import _AZURE_TRIES, BucketStore

ROOT = Path(__file__).resolve().parents[2]
CONTENT = hashlib.sha256(b"weights").digest() * 300_000  # 9.6 MB: several ranges
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"others").digest() * 300_000
ADDRESS = "az://models/digits/m.keras"
ACCOUNT = "acme"
KEY = base64.b64encode(hashlib.sha512(b"key").digest()).decode()
WRONG = base64.b64encode(hashlib.sha512(b"wrong").digest()).decode()
LOGIN = "; set AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN"
VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"


class Proxy(socketserver.ThreadingTCPServer):
    """Hands everything on to a port; once `after` bytes of answers were sent, `cuts` connections break.

    `sent`: bytes of answers; `reached`: called once, then too.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Pump)
        self.port = port
        self.url = f"http://127.0.0.1:{self.server_address[1]}/{ACCOUNT}"
        self.sent = 0
        self.after = sys.maxsize
        self.cuts = 0
        self.reached: Callable[[], object] | None = None


class Pump(socketserver.BaseRequestHandler):
    """One connection to Azurite."""

    server: Proxy

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.port)) as azurite:
            asking = threading.Thread(target=self._ask, args=(azurite,), daemon=True)
            asking.start()
            with suppress(OSError):
                self._answer(azurite)
            for side in (azurite, self.request):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
            asking.join()

    def _ask(self, azurite: socket.socket) -> None:
        with suppress(OSError):
            while piece := self.request.recv(65536):
                azurite.sendall(piece)
            azurite.shutdown(socket.SHUT_WR)

    def _answer(self, azurite: socket.socket) -> None:
        proxy = self.server
        while piece := azurite.recv(65536):
            if proxy.sent > proxy.after and proxy.reached:
                proxy.reached()
                proxy.reached = None
            if proxy.sent > proxy.after and proxy.cuts > 0:
                proxy.cuts -= 1
                return
            self.request.sendall(piece)
            proxy.sent += len(piece)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running Azurite with the containers `models` and `open`, the second one public."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on PATH, which installs Azurite: install Node.js 20 or newer")
    folder = tmp_path_factory.mktemp("azurite")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / "azurite" / name, folder)
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    installed = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert installed.returncode == 0, installed.stderr
    log = folder / "log"
    options = ["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [folder / "node_modules" / ".bin" / "azurite-blob", *options, "--silent"],
            cwd=folder,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        port = _port(process, log)
        fill(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder / "node_modules")


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that a starting Azurite says it listens on."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if listens := re.search(r"successfully listens on http://127.0.0.1:(\d+)", log.read_text()):
            return int(listens[1])
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def service(port: int) -> BlobServiceClient:
    """The owner's way in, past the proxy."""
    return BlobServiceClient(f"http://127.0.0.1:{port}/{ACCOUNT}", credential=KEY)


def fill(port: int) -> None:
    """Two containers: what is in the private one, and a file that everybody may read."""
    with service(port) as owner:
        models = owner.create_container("models")
        models.upload_blob("digits/m.keras", CONTENT)
        models.upload_blob("digits/folder/config.json", b"{}")
        models.upload_blob("digits/folder/assets/words.txt", CONTENT)
        owner.create_container("open", public_access="blob").upload_blob("m.keras", CONTENT)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No login of this machine takes part."""
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def proxy(azurite: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the tool and Azurite, with the key of the account."""
    with Proxy(azurite) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        monkeypatch.setenv(VARIABLE, keyed(running.url))
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def models(azurite: int) -> Iterator[ContainerClient]:
    """The container as its owner has it."""
    with service(azurite) as owner:
        yield owner.get_container_client("models")


def keyed(url: str, key: str = KEY) -> str:
    """A connection string with the key of the account."""
    return f"BlobEndpoint={url};AccountName={ACCOUNT};AccountKey={key}"


def signed(url: str, permission: str, seconds: float = 3600) -> str:
    """A connection string with a signature for the container `models`, which expires."""
    now = datetime.now(timezone.utc)
    start, expiry = now - timedelta(hours=2), now + timedelta(seconds=seconds)
    token = generate_container_sas(ACCOUNT, "models", KEY, permission=permission, start=start, expiry=expiry)
    return f"BlobEndpoint={url};SharedAccessSignature={token}"


@pytest.mark.e2e
def test_a_file_of_a_container(proxy: Proxy, fetcher: Fetcher, lines: list[str]) -> None:
    assert fetcher.fetch(ADDRESS, DIGEST, "m").sha256 == DIGEST
    before = proxy.sent
    assert fetcher.fetch(ADDRESS, None, "m").sha256 == DIGEST
    assert lines == [f"fetching {ADDRESS} (9.6 MB)"]  # the second time its ETag is that of the cache
    assert 0 < proxy.sent - before < 5000
    with pytest.raises(ConfigurationError, match=f"m: {ADDRESS} has the SHA-256 {DIGEST}, and .* pins 0000"):
        fetcher.fetch(ADDRESS, "0" * 64, "m")


@pytest.mark.e2e
def test_what_changed_is_fetched_again(
    proxy: Proxy, fetcher: Fetcher, lines: list[str], models: ContainerClient
) -> None:
    models.upload_blob("changes.keras", CONTENT)
    address = "az://models/changes.keras"
    assert fetcher.fetch(address, None, "m").sha256 == DIGEST
    models.upload_blob("changes.keras", OTHER, overwrite=True)
    assert fetcher.fetch(address, None, "m").sha256 == hashlib.sha256(OTHER).hexdigest()
    assert len(lines) == 2


@pytest.mark.e2e
@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_of_a_container(proxy: Proxy, fetcher: Fetcher, lines: list[str], end: str) -> None:
    address = f"az://models/digits/folder{end}"
    path = fetcher.fetch(address, None, "m").path
    assert sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()) == [
        "assets/words.txt",
        "config.json",
    ]
    assert fetcher.fetch(address, None, "m").path == path
    assert lines == [f"fetching {address} (9.6 MB)"]


@pytest.mark.e2e
def test_an_interrupted_file_goes_on(proxy: Proxy, fetcher: Fetcher) -> None:
    """As a killed run leaves it: the first part, and the version that it is of."""
    fetched = fetcher.fetch(ADDRESS, None, "m")
    entry = next((fetcher.folder / "addresses").glob("*.json"))
    partial = fetcher.folder / "partial" / entry.stem / "content" / "m.keras"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:5_000_000])
    versions = json.loads(entry.read_text())["versions"]
    (partial.parents[1] / "versions.json").write_text(json.dumps(versions))
    fetched.path.unlink()
    inode, before = os.stat(partial).st_ino, proxy.sent
    again = fetcher.fetch(ADDRESS, DIGEST, "m")
    assert (again.sha256, os.stat(again.path).st_ino) == (DIGEST, inode)
    assert len(CONTENT) - 5_000_000 < proxy.sent - before < len(CONTENT) - 4_900_000


@pytest.mark.e2e
def test_a_cut_connection_is_tried_again(proxy: Proxy, fetcher: Fetcher) -> None:
    proxy.after, proxy.cuts = 6_000_000, 3
    assert fetcher.fetch(ADDRESS, DIGEST, "m").sha256 == DIGEST
    assert proxy.cuts == 0
    assert proxy.sent < len(CONTENT) + (4 << 20)  # at most the range that broke comes twice


@pytest.mark.e2e
def test_the_next_run_goes_on_after_a_connection_that_stays_cut(
    proxy: Proxy, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_AZURE_TRIES, "retry_total", 0)  # five tries of a download are enough to wait for
    proxy.after, proxy.cuts = 6_000_000, sys.maxsize
    with pytest.raises(CannotJudgeError, match=f"m: {ADDRESS} cannot be reached .*again, which resumes"):
        fetcher.fetch(ADDRESS, DIGEST, "m")
    proxy.cuts, before = 0, proxy.sent
    assert fetcher.fetch(ADDRESS, DIGEST, "m").sha256 == DIGEST
    assert proxy.sent - before < len(CONTENT) - (4 << 20) + 100_000


@pytest.mark.e2e
def test_a_file_that_changes_meanwhile_is_not_mixed(
    proxy: Proxy, fetcher: Fetcher, models: ContainerClient
) -> None:
    models.upload_blob("moving.keras", CONTENT)
    proxy.after = 6_000_000
    proxy.reached = lambda: models.upload_blob("moving.keras", OTHER, overwrite=True)
    fetched = fetcher.fetch("az://models/moving.keras", None, "m")
    assert proxy.reached is None
    assert fetched.sha256 == hashlib.sha256(OTHER).hexdigest()


@pytest.mark.e2e
@pytest.mark.parametrize("address", ["az://models/absent.keras", "az://no-such-container/m.keras"])
def test_what_is_not_there(proxy: Proxy, fetcher: Fetcher, address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{address} does not exist; correct the address"):
        fetcher.fetch(address, None, "m")


@pytest.mark.e2e
@pytest.mark.parametrize(
    "login",
    [
        lambda url: keyed(url, WRONG),
        lambda url: signed(url, "l"),
        lambda url: signed(url, "rl", seconds=-60),
        lambda url: f"BlobEndpoint={url}",
    ],
    ids=["wrong-key", "no-permission-to-read", "expired", "nobody"],
)
def test_credentials_that_are_refused(
    proxy: Proxy, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, login: Callable[[str], str]
) -> None:
    monkeypatch.setenv(VARIABLE, login(proxy.url))
    with pytest.raises(ConfigurationError, match=f"{ADDRESS} answers 403: access is refused{LOGIN}"):
        fetcher.fetch(ADDRESS, None, "m")


@pytest.mark.e2e
def test_a_signature_is_enough_and_a_public_file_needs_none(
    proxy: Proxy, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, signed(proxy.url, "rl"))
    assert fetcher.fetch(ADDRESS, None, "m").sha256 == DIGEST
    assert fetcher.fetch("az://models/digits/folder", None, "m").size == len(CONTENT) + 2
    monkeypatch.setenv(VARIABLE, f"BlobEndpoint={proxy.url}")
    assert fetcher.fetch("az://open/m.keras", None, "m").sha256 == DIGEST


@pytest.mark.e2e
def test_a_signature_that_may_not_list_has_files_and_no_folders(
    proxy: Proxy, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, signed(proxy.url, "r"))
    assert fetcher.fetch(ADDRESS, None, "m").sha256 == DIGEST
    with pytest.raises(ConfigurationError, match=f"answers 403: access is refused{LOGIN}"):
        fetcher.fetch("az://models/digits/folder", None, "m")


@pytest.mark.e2e
def test_no_sentence_shows_a_signature(
    proxy: Proxy,
    fetcher: Fetcher,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Of an address that Azure refuses, an endpoint without a server, and a string cut in the middle."""
    login = signed(proxy.url, "rl")
    signature = login.rpartition("sig=")[2].partition("&")[0]
    said = []
    for value, address in (
        (login, "az://No_Such/m.keras"),
        (login.replace(proxy.url, "http://127.0.0.1:9/acme"), ADDRESS),
        (f"Endpoint{login.partition('=')[2]}", ADDRESS),
        (f"BlobEndpoint={proxy.url};AccountName={ACCOUNT};AccountKey={signature}=", ADDRESS),
    ):
        monkeypatch.setenv(VARIABLE, value)
        with pytest.raises((ConfigurationError, CannotJudgeError)) as error:
            fetcher.fetch(address, None, "m")
        said.append(str(error.value))
    assert "answers 400" in said[0]
    assert "cannot be reached" in said[1]
    assert all(LOGIN in each for each in said[2:])
    captured = capfd.readouterr()
    assert signature not in "".join([*said, *lines, captured.out, captured.err])
    assert captured.err == ""  # nor what the libraries log


@pytest.mark.e2e
def test_an_endpoint_that_nobody_serves(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, keyed("http://127.0.0.1:9/acme"))
    begun = time.monotonic()
    with pytest.raises(CannotJudgeError, match=f"{ADDRESS} cannot be reached .*; check the network"):
        fetcher.fetch(ADDRESS, None, "m")
    assert time.monotonic() - begun < 40


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY, "Must provide either a connection_string or account_name"),
        ("AZURE_STORAGE_SAS_TOKEN", "sig=x", "Must provide either a connection_string or account_name"),
        (VARIABLE, "AccountKey", "Connection string is either blank or malformed"),
    ],
    ids=["key", "signature", "malformed"],
)
def test_what_names_no_account(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{ADDRESS} cannot be opened \(Must .*\){LOGIN}"):
        fetcher.fetch(ADDRESS, None, "m")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"{ADDRESS} cannot be opened \({reason}.*\){LOGIN}"):
        fetcher.fetch(ADDRESS, None, "m")


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({"ACCOUNT_KEY": KEY}, "https://acme.blob.core.windows.net/"),
        ({"SAS_TOKEN": "?sp=rl&sig=x"}, "https://acme.blob.core.windows.net/?sp=rl&sig=x"),
        ({"SAS_TOKEN": "sp=rl&sig=x"}, "https://acme.blob.core.windows.net/?sp=rl&sig=x"),
        ({"ANON": "true"}, "https://acme.blob.core.windows.net/"),
        ({"CONNECTION_STRING": keyed("http://localhost:1/other")}, "http://localhost:1/other/"),
        (
            {"CONNECTION_STRING": f"AccountName=other;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn"},
            "https://other.blob.core.chinacloudapi.cn/",
        ),
    ],
    ids=["key", "signature", "signature-without-mark", "public", "endpoint", "other-cloud"],
)
def test_the_variables_that_say_where_and_who(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    """A connection string goes before the account's name; the rest is as adlfs has it."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    client = BucketStore.of("az").files.service_client
    assert client.url == url
    key = getattr(client.credential, "account_key", None)
    assert key == (KEY if KEY in "".join(variables.values()) else None)


SECRET = "s3cr3t"
CONFIG = """
version: 1
origin: {seconds: 0}
parity: {search: false}
python: "3.11"
requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]
matrix: {keras: ["3.3.3", "3.5.0"]}
sandbox: {write: [seen]}
models: [{name: watching, builder: "scaled:watching", inputs: "az://models/inputs.npz"}]
"""


@pytest.mark.e2e
def test_no_worker_and_no_file_gets_a_credential(
    proxy: Proxy,
    models: ContainerClient,
    keras_python: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ACCOUNT_KEY", "SAS_TOKEN", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", SECRET)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    keras_python("keras-3.3.3")
    np.savez(tmp_path / "inputs.npz", x=np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32))
    models.upload_blob("inputs.npz", (tmp_path / "inputs.npz").read_bytes(), overwrite=True)
    folder = tmp_path / "project"
    (folder / "seen").mkdir(parents=True)
    (folder / "scaled.py").write_text(SCALED)
    (folder / "validator.yml").write_text(CONFIG)
    share_environments(folder)
    done = subprocess.run(
        [sys.executable, "-m", "validator", "run"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "fetching az://models/inputs.npz" in done.stdout + done.stderr
    secrets = (SECRET, KEY, KEY[10:40])
    for version in ("3.3.3", "3.5.0"):
        seen = (folder / "seen" / f"environ-{version}.json").read_text()
        assert not [name for name in json.loads(seen) if name.startswith("AZURE_")]
        assert not [secret for secret in secrets if secret in seen]
    assert not [secret for secret in secrets if secret in done.stdout + done.stderr]
    work = folder / ".keras-validator"
    places = [each for each in work.iterdir() if each.name not in ("environments", "locks")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 10
    content = {path: path.read_bytes() for path in files}
    assert [
        path for path, held in content.items() if any(secret.encode() in held for secret in secrets)
    ] == []

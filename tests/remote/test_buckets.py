"""`s3://` against moto's server, `gs://` against an emulator, and what is said without their packages."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from validator.errors import CannotJudgeError, ConfigurationError
from validator.remote import Fetcher, Limits
from validator.remote.buckets import BucketStore
from validator.remote.download import Download
from validator.remote.store import TransientError

ROOT = Path(__file__).resolve().parents[2]
CONTENT = hashlib.sha256(b"weights").digest() * 300_000  # 9.6 MB: several ranges
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of a running S3 with the bucket `models`."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    requests.put(f"{url}/models", timeout=60).raise_for_status()
    for key in ("digits/m.keras", "digits/folder/config.json", "digits/folder/assets/words.txt"):
        requests.put(f"{url}/models/{key}", data=CONTENT if key.endswith("s") else b"{}", timeout=60)
    yield url
    server.stop()


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    return moto


def test_a_file_of_a_bucket(s3: str, fetcher: Fetcher, lines: list[str]) -> None:
    address = "s3://models/digits/m.keras"
    assert fetcher.fetch(address, DIGEST, "m").sha256 == DIGEST
    assert fetcher.fetch(address, None, "m").sha256 == DIGEST
    assert lines == [f"fetching {address} (9.6 MB)"]  # the second time its ETag is that of the cache


def test_a_folder_of_a_bucket(s3: str, fetcher: Fetcher) -> None:
    path = fetcher.fetch("s3://models/digits/folder", None, "m").path
    assert sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()) == [
        "assets/words.txt",
        "config.json",
    ]


def test_an_interrupted_file_goes_on(s3: str, fetcher: Fetcher) -> None:
    """As a killed run leaves it: the first part, and the version that it is of."""
    address = "s3://models/digits/m.keras"
    fetched = fetcher.fetch(address, None, "m")
    entry = next((fetcher.folder / "addresses").glob("*.json"))
    partial = fetcher.folder / "partial" / entry.stem / "content" / "m.keras"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:5_000_000])
    versions = json.loads(entry.read_text())["versions"]
    (partial.parents[1] / "versions.json").write_text(json.dumps(versions))
    fetched.path.unlink()
    before = os.stat(partial).st_ino
    again = fetcher.fetch(address, DIGEST, "m")
    assert (again.sha256, os.stat(again.path).st_ino) == (DIGEST, before)


def test_an_object_that_changes_meanwhile_is_not_mixed(s3: str, fetcher: Fetcher) -> None:
    """Another one lies there as soon as a part of the first is on disk."""
    store, place, other = BucketStore.of("s3"), "s3://models/moving.keras", CONTENT[::-1]
    store.files.pipe_file(place, CONTENT)
    holding = store.holding(place)
    download = Download(store, fetcher.folder, Limits(60, 32 << 20, 0.01))
    stream = store.open(holding.files[0], 0, "")
    assert next(stream.pieces) == CONTENT[: 4 << 20]
    store.files.pipe_file(place, other)
    with pytest.raises(TransientError, match="changed while it was fetched"):
        list(stream.pieces)
    assert download.run(holding).read_bytes() == other


@pytest.mark.parametrize("address", ["s3://models/absent.keras", "s3://no-such-bucket/m.keras"])
def test_what_is_not_there(s3: str, fetcher: Fetcher, address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{address} does not exist; correct the address"):
        fetcher.fetch(address, None, "m")


def test_credentials_that_are_refused_or_missing(
    s3: str, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests.post(f"{s3}/moto-api/reset-auth", data=b"0", timeout=60)
    try:
        with pytest.raises(
            ConfigurationError, match=r"answers 403: access is refused; set AWS_ACCESS_KEY_ID"
        ):
            fetcher.fetch("s3://models/digits/m.keras", None, "m")
    finally:
        requests.post(f"{s3}/moto-api/reset-auth", data=b"1000000", timeout=60)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigurationError, match="refuses access; set AWS_ACCESS_KEY_ID"):
        fetcher.fetch("s3://models/digits/m.keras", None, "m")


def test_a_profile_that_is_not_there(s3: str, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    with pytest.raises(ConfigurationError, match=r"refuses access; .*, or AWS_PROFILE"):
        fetcher.fetch("s3://models/digits/m.keras", None, "m")


def test_an_endpoint_that_nobody_serves(s3: str, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(CannotJudgeError, match=r"s3://models/m.keras cannot be reached"):
        fetcher.fetch("s3://models/m.keras", None, "m")


def test_google_cloud_storage(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="models")
    server.start()
    try:
        url = f"http://127.0.0.1:{server._api._httpd.server_address[1]}"
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        upload = f"{url}/upload/storage/v1/b/models/o?uploadType=media&name=digits/m.keras"
        requests.post(upload, data=CONTENT, timeout=60).raise_for_status()
        assert fetcher.fetch("gs://models/digits/m.keras", None, "m").sha256 == DIGEST
        with pytest.raises(ConfigurationError, match=r"gs://models/absent.keras does not exist"):
            fetcher.fetch("gs://models/absent.keras", None, "m")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("address", "package", "extra"),
    [
        ("hf://acme/digits", "huggingface_hub", "hf"),
        ("s3://models/m.keras", "s3fs", "s3"),
        ("gs://models/m.keras", "gcsfs", "gs"),
        ("az://models/m.keras", "adlfs", "az"),
    ],
)
def test_a_package_that_is_missing(tmp_path: Path, address: str, package: str, extra: str) -> None:
    """In a Python that has what the tool needs and not the extras."""
    script = (
        "import sys\nfrom pathlib import Path\n"
        f"sys.modules[{package!r}] = None\n"
        "from validator.remote import *\n"
        "try: Fetcher(Path(sys.argv[1]), Limits(60, 1 << 30), print).fetch(sys.argv[2], None, 'm')\n"
        "except Exception as error: print(int(error.exit_code), error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), address],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    install = f'pip install "keras-upgrade-validator[{extra}]"'
    assert done.stdout == f"2 m: {address} needs the package {package}: {install}\n"

"""`hf://`: the file system of huggingface_hub, against a server that answers the paths of the Hub."""

from __future__ import annotations

import hashlib

import pytest

from tests.remote.servers import Fault, Hub
from validator.errors import ConfigurationError
from validator.remote import Fetcher, digest

CONTENT = hashlib.sha256(b"weights").digest() * 10_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FOLDER = {
    "config.json": b"{}",
    "metadata.json": b"{}",
    "model.weights.h5": CONTENT,
    "assets/words.txt": b"a b",
}


def test_a_file_of_a_revision(hub: Hub, fetcher: Fetcher, lines: list[str]) -> None:
    hub.files = {"models/digits.keras": CONTENT}
    fetched = fetcher.fetch("hf://acme/digits@v1/models/digits.keras", None, "m")
    assert (fetched.sha256, fetched.path.name) == (DIGEST, "digits.keras")
    assert any("/resolve/v1/models/digits.keras" in each.path for each in hub.requests)
    assert lines == ["fetching hf://acme/digits@v1/models/digits.keras (320.0 kB)"]


def test_a_whole_repository(hub: Hub, fetcher: Fetcher) -> None:
    hub.files = dict(FOLDER)
    path = fetcher.fetch("hf://acme/digits@main", None, "m").path
    assert {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()} == set(FOLDER)
    assert (path / "assets" / "words.txt").read_bytes() == b"a b"


def test_a_folder_is_pinned_by_all_its_files(hub: Hub, fetcher: Fetcher) -> None:
    hub.files = dict(FOLDER)
    fetched = fetcher.fetch("hf://acme/digits@main", None, "m")
    assert fetched.sha256 == digest(fetched.path)
    hub.files["assets/words.txt"] = b"b a"
    with pytest.raises(ConfigurationError, match=f"and validator.yml pins {fetched.sha256}"):
        Fetcher(fetcher.folder.parent / "other", fetcher.limits, fetcher.say).fetch(
            "hf://acme/digits@main", fetched.sha256, "m"
        )


def test_what_has_not_changed_is_not_sent_again(hub: Hub, fetcher: Fetcher) -> None:
    hub.files = dict(FOLDER)
    fetcher.fetch("hf://acme/digits@main", None, "m")
    hub.requests.clear()
    fetcher.fetch("hf://acme/digits@main", None, "m")
    assert not [each.path for each in hub.requests if "/resolve/" in each.path]


def test_a_cut_connection(hub: Hub, fetcher: Fetcher) -> None:
    hub.files = {"m.keras": CONTENT}
    hub.faults = [Fault(cut=100 * 1024), Fault(status=503)]
    assert fetcher.fetch("hf://acme/digits@main/m.keras", None, "m").sha256 == DIGEST


def test_a_token_of_this_process(hub: Hub, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files, hub.token = {"m.keras": CONTENT}, "hf_geheim"
    with pytest.raises(ConfigurationError, match="access is refused; set HF_TOKEN, or run `hf auth login`"):
        fetcher.fetch("hf://acme/digits@main/m.keras", None, "m")
    monkeypatch.setenv("HF_TOKEN", "hf_geheim")
    assert fetcher.fetch("hf://acme/digits@main/m.keras", None, "m").sha256 == DIGEST


@pytest.mark.parametrize("address", ["hf://acme/digits@main/absent.keras", "hf://acme/cats@main/m.keras"])
def test_what_is_not_there(hub: Hub, fetcher: Fetcher, address: str) -> None:
    hub.files = {"m.keras": CONTENT}
    with pytest.raises(ConfigurationError) as raised:
        fetcher.fetch(address, None, "model m: artifact")
    assert str(raised.value).startswith(
        f"model m: artifact: {address} does not exist; correct the address, or if"
    )

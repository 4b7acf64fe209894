"""What a worker predicted, brought to the client through a real scheduler."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from validator.cluster import (
    PIECE,
    Answer,
    Bundle,
    Collected,
    DaskFleet,
    Executor,
    Order,
    Predicted,
    Provenance,
)
from validator.cluster.dispatch import TooLargeError
from validator.cluster.files import BundledFile
from validator.cluster.host import Host
from validator.pipeline.orders import Orders
from validator.pipeline.shard_request import ShardRequest
from validator.runner import Machine

CONTENT = bytes(range(256)) * 40_000  # more than one piece of a transfer
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PREDICTED = Predicted(
    provenance=Provenance(machine=Machine.this(), locks={}),
    files=Bundle(files=(BundledFile(path="captures/e/m/outputs/0.npy", sha256=DIGEST, size=len(CONTENT)),)),
)
DONE = Answer(kind="done", part=PREDICTED.model_dump_json())


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host of the only worker, which holds the content."""
    monkeypatch.setenv("KERAS_VALIDATOR_HOST_FOLDER", str(tmp_path / "host"))
    host = Host(tmp_path / "host")
    host.keep(DIGEST, [CONTENT])
    return host


def fleet(client: Client, folder: Path, limit: int = 1 << 30) -> DaskFleet:
    return DaskFleet(client, Collected(Bundle(files=()), {}), limit, folder / "arrived")


def order(**update: object) -> Order:
    asked = Order(
        name="1/1, samples 1/2", run="r", part=PIECE, system="linux", bundle=Bundle(files=()), request="{}"
    )
    return asked.model_copy(update=update)


def collect(fleet: DaskFleet, order: Order) -> str:
    (worker,) = fleet.workers()
    return fleet.collect(worker, order, DONE)


def test_a_piece_arrives_whole_and_once(client: Client, host: Host, tmp_path: Path) -> None:
    one = fleet(client, tmp_path)
    assert collect(one, order()) == ""
    assert (tmp_path / "arrived" / DIGEST).read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "arrived").iterdir()] == [DIGEST]
    (tmp_path / "host" / "contents" / DIGEST[:2] / DIGEST).unlink()
    assert collect(one, order()) == ""
    assert one.hold(PREDICTED, is_stored=False)


def test_a_piece_that_a_store_has_does_not_travel(client: Client, host: Host, tmp_path: Path) -> None:
    one = fleet(client, tmp_path, limit=1)
    assert collect(one, order(store="/shared")) == ""
    assert not (tmp_path / "arrived").exists()
    assert one.hold(PREDICTED, is_stored=True)
    assert not one.hold(PREDICTED, is_stored=False)


def test_more_than_may_go_through_the_scheduler_does_not(client: Client, host: Host, tmp_path: Path) -> None:
    few = fleet(client, tmp_path, limit=len(CONTENT) - 1)
    with pytest.raises(
        TooLargeError, match=r"GiB were predicted there, over the .*; name a `store` that all"
    ):
        collect(few, order())


def test_a_content_that_is_gone_or_damaged_is_not_taken(client: Client, host: Host, tmp_path: Path) -> None:
    place = tmp_path / "host" / "contents" / DIGEST[:2] / DIGEST
    place.write_bytes(CONTENT[:-1] + b"x")
    assert collect(fleet(client, tmp_path), order()) == "what it predicted arrived damaged"
    place.write_bytes(CONTENT[:-1])
    assert "it is gone" in collect(fleet(client, tmp_path), order())
    place.unlink()
    assert "No such file" in collect(fleet(client, tmp_path), order())
    assert list((tmp_path / "arrived").iterdir()) == []


def test_what_a_shard_leaves_is_in_its_answer(client: Client, host: Host, tmp_path: Path) -> None:
    assert collect(fleet(client, tmp_path), order(part="part-1-of-1.json")) == ""
    assert not (tmp_path / "arrived").exists()


@pytest.mark.parametrize(
    ("limit", "store", "names", "why"),
    [
        (1 << 30, None, 2, ""),
        (1, "/shared", 2, ""),
        (1 << 30, None, 1, "not all pieces of them are there"),
        (len(CONTENT) - 1, None, 2, "more than `transfer_gib` would be sent; name a `store`"),
    ],
)
def test_a_shard_gets_its_pieces_if_all_can_be_sent(
    client: Client, host: Host, tmp_path: Path, limit: int, store: str | None, names: int, why: str
) -> None:
    said: list[str] = []
    asked = ShardRequest(tool="0", config="v.yml", shard="1/1")
    executor = Executor(scheduler="dask://h:1", store=store)
    sent = fleet(client, tmp_path, limit)
    orders = Orders(tmp_path / "kept", executor, sent, lambda _: asked, said.append)
    assert collect(fleet(client, tmp_path), order()) == ""
    pieces = ("1/1, samples 1/2", "1/1, samples 2/2")
    for name in pieces[:names]:
        orders.keep(name, DONE.part)
    whole = order(name="1/1", part="part-1-of-1.json", request=asked.model_dump_json(), after=pieces)
    complete = orders.complete(whole)
    if why:
        assert complete == whole
        assert said[0].startswith("shard 1/1 predicts all of its samples: ")
        assert why in said[0]
        return
    paths = [file.path for file in complete.pieces.files]
    assert paths == [f"pieces/{number}/captures/e/m/outputs/0.npy" for number in (1, 2)]
    read = ShardRequest.model_validate_json(complete.request)
    assert read.pieces == (PREDICTED.provenance,) * 2
    assert said == []

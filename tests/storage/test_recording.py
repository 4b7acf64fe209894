from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyarrow import parquet

from validator.errors import ConfigurationError
from validator.storage.recording import load, prepare


def read(tensor):
    """The values of a tensor as a user would have them."""
    data = tensor.open()
    if tensor.storage == "utf8":
        texts = [item.decode() for item in data.strings(0, tensor.size)]
        return np.array(texts, dtype=object).reshape(tensor.shape)
    return data.values.reshape(tensor.shape)


def refused(source: Path, target: Path, match: str):
    with pytest.raises(ConfigurationError, match=match) as caught:
        prepare(source, target)
    assert str(source) in str(caught.value)
    assert not (target / "manifest.json").exists()


def npy_bytes(array, **more) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save):
    arrays = {
        "image": np.random.default_rng(0).standard_normal((5, 300, 301)).astype(np.float32),
        "turned": np.asfortranarray(np.arange(10).reshape(5, 2)),
        "foreign": np.arange(5, dtype=">f8"),
        "text": np.array([["ä", ""], ["bcd", "e"], ["", ""], ["x", "y"], ["z", "日本"]]),
        "raw": np.array([b"ab", b"", b"c", b"d", b"e"]),
        "flag": np.array([True, False, True, True, False]),
        "half": np.arange(5, dtype=np.float16),
    }
    save(tmp_path / "in.npz", **arrays)
    recording = prepare(tmp_path / "in.npz", tmp_path / "out")
    tensors = {tensor.name: tensor for tensor in recording.open()}
    assert list(tensors) == list(arrays)
    assert recording.samples == 5
    for name, array in arrays.items():
        wanted = np.char.decode(array) if array.dtype.kind == "S" else array
        assert np.array_equal(
            read(tensors[name]), wanted.astype(object) if wanted.dtype.kind == "U" else wanted
        )
    assert tensors["foreign"].raw == np.dtype(np.float64).str
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()).count(".tmp") == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["schema"] == 1
    assert manifest["source"].endswith("in.npz")


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.dtype(">i4"), np.uint8, np.complex64, np.dtype("U3"), np.float64]),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=4),
    ),
    st.booleans(),
)
def test_any_array_survives(tmp_path_factory, array, turned):
    if array.dtype.kind == "U":  # lone surrogates are no text
        array = np.vectorize(lambda item: item.encode(errors="replace").decode(), otypes=["U3"])(array)
    folder = tmp_path_factory.mktemp("any")
    array = np.asfortranarray(array) if turned else array
    np.savez(folder / "in.npz", x=array)
    tensor = prepare(folder / "in.npz", folder / "out").open()[0]
    assert tensor.shape == array.shape
    got = read(tensor)
    if array.dtype.kind == "U":
        assert got.tolist() == array.tolist()
    else:
        assert got.tobytes() == np.ascontiguousarray(array, array.dtype.newbyteorder("=")).tobytes()


def test_npy_stays_where_it_is(tmp_path):
    np.save(tmp_path / "tokens.npy", np.ones((3, 2), np.int32))
    recording = prepare(tmp_path / "tokens.npy", tmp_path / "out")
    assert recording.manifest.tensors[0].path == str(tmp_path / "tokens.npy")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.json"]
    assert recording.open()[0].name == "tokens"


@pytest.mark.parametrize("array", [np.asfortranarray(np.arange(6).reshape(3, 2)), np.array(["a", "b"])])
def test_npy_that_is_not_plain_is_rewritten(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    assert read(prepare(tmp_path / "x.npy", tmp_path / "out").open()[0]).tolist() == array.tolist()


def test_a_recording_folder_is_used_in_place(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones((2, 3)))
    made = prepare(tmp_path / "in.npz", tmp_path / "folder")
    assert prepare(tmp_path / "folder", tmp_path / "unused") == made
    assert not (tmp_path / "unused").exists()


def test_names_never_become_paths(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        for name in ("../../evil.npy", "/etc/x.npy", "a/b.npy", "con:.npy"):
            archive.writestr(name, npy_bytes(np.ones(2)))
    recording = prepare(tmp_path / "in.npz", tmp_path / "out")
    assert [tensor.name for tensor in recording.open()] == ["../../evil", "/etc/x", "a/b", "con:"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *(f"{number}.npy" for number in range(4)),
        "manifest.json",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "out"]


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"a": np.ones(2), "b": np.ones(3)}, "'a' has 2 samples and 'b' has 3"),
        ({"a": np.array([{}, 1], dtype=object)}, "'a' holds pickled Python objects"),
        ({"a": np.ones((0, 3))}, "'a' is empty"),
        ({"a": np.ones((3, 0))}, "'a' is empty"),
        ({"a": np.float32(1)}, "'a' is a single number"),
        ({"a": np.zeros(3, "V2")}, "bfloat16.*storage 'bits'.*uint16"),
        ({"a": np.zeros(3, "V1")}, "float8"),
        ({"a": np.zeros(3, "M8[s]")}, "datetime64"),
        ({"a": np.zeros(3, [("x", "f4")])}, "no model takes"),
        ({"a": np.zeros(3, np.longdouble)}, "no model takes"),
        ({}, "holds no array"),
    ],
)
def test_arrays_that_cannot_be_inputs(tmp_path, arrays, match):
    np.savez(tmp_path / "in.npz", **arrays)
    refused(tmp_path / "in.npz", tmp_path / "out", match)


def test_missing_empty_unknown(tmp_path):
    refused(tmp_path / "no.npz", tmp_path / "out", "no such file")
    for name in ("e.npz", "e.npy", "e.parquet"):
        (tmp_path / name).touch()
        refused(tmp_path / name, tmp_path / "out", "empty")
    (tmp_path / "x.csv").write_text("1")
    refused(tmp_path / "x.csv", tmp_path / "out", r"not '\.csv'")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_cut_or_flipped_byte_is_noticed(tmp_path, save):
    save(tmp_path / "in.npz", x=np.random.default_rng(0).standard_normal(200))
    whole = (tmp_path / "in.npz").read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 3):
        (tmp_path / "bad.npz").write_bytes(whole[:cut])
        refused(tmp_path / "bad.npz", tmp_path / "out", "corrupt")
    for at in range(300, 1200, 90):
        (tmp_path / "bad.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        refused(tmp_path / "bad.npz", tmp_path / "out", "corrupt")


def test_corrupt_npy(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"not numpy at all")
    refused(tmp_path / "a.npy", tmp_path / "out", "corrupt")
    (tmp_path / "b.npy").write_bytes(npy_bytes(np.ones(9))[:-1])
    refused(tmp_path / "b.npy", tmp_path / "out", "shorter")


def test_a_member_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "in.npz", tmp_path / "out", "'readme.txt' in it is not an array")


def test_two_members_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("a.npy", npy_bytes(np.ones(2)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy_bytes(np.ones(2)))
    refused(tmp_path / "in.npz", tmp_path / "out", "two arrays are named 'a'")


def test_a_bomb_is_refused_before_it_goes_off(tmp_path):
    head = npy_bytes(np.ones(1))[:-8].replace(b"(1,), ", b"(9,), ")
    with zipfile.ZipFile(tmp_path / "more.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", head + bytes(50_000_000))
    refused(tmp_path / "more.npz", tmp_path / "out", "its header promises 72")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) == 0


def test_a_claim_beyond_the_disk_is_refused(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones(4))
    data = bytearray((tmp_path / "in.npz").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    # A zip64 entry of 2^60 bytes: the plain sizes say "look in the extra field".
    extra = (1).to_bytes(2, "little") + (8).to_bytes(2, "little") + (1 << 60).to_bytes(8, "little")
    name = int.from_bytes(data[entry + 28 : entry + 30], "little")
    data[entry + 24 : entry + 28] = b"\xff" * 4
    data[entry + 30 : entry + 32] = len(extra).to_bytes(2, "little")
    old = int.from_bytes(data[entry + 30 : entry + 32], "little")
    assert old == len(extra)
    data[entry + 46 + name : entry + 46 + name] = extra
    end = data.rindex(b"PK\x05\x06")
    size = int.from_bytes(data[end + 12 : end + 16], "little") + len(extra)
    data[end + 12 : end + 16] = size.to_bytes(4, "little")
    (tmp_path / "in.npz").write_bytes(data)
    refused(tmp_path / "in.npz", tmp_path / "out", "left; free some space")


def test_encrypted(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones(4))
    data = bytearray((tmp_path / "in.npz").read_bytes())
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "in.npz").write_bytes(data)
    refused(tmp_path / "in.npz", tmp_path / "out", "password|encrypted")


def test_an_old_manifest_never_survives_a_failure(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones(4))
    prepare(tmp_path / "in.npz", tmp_path / "out")
    np.savez(tmp_path / "in.npz", x=np.array([None]))
    refused(tmp_path / "in.npz", tmp_path / "out", "pickled")


def test_a_target_that_cannot_be_written(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.ones(4))
    (tmp_path / "file").write_text("in the way")
    refused(tmp_path / "in.npz", tmp_path / "file" / "out", "failed")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.pop("tensors"), "tensors: Field required"),
        (lambda m: m.update(schema=2), "schema"),
        (lambda m: m.update(samples=3), "manifest says 3"),
        (lambda m: m.update(tensors=[]), "tensors"),
        (lambda m: m["tensors"].append(m["tensors"][0]), "two arrays are named 'x'"),
        (lambda m: m["tensors"][0].update(colour="red"), "colour"),
        (lambda m: m["tensors"][0].update(path="9.npy"), "does not exist"),
    ],
)
def test_a_bad_manifest(tmp_path, change, match):
    np.savez(tmp_path / "in.npz", x=np.ones((2, 3)))
    prepare(tmp_path / "in.npz", tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ConfigurationError, match=match):
        load(tmp_path / "out")


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_no_manifest(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"manifest\.json"):
        load(tmp_path)


def test_memory_does_not_grow_with_the_array(tmp_path):
    script = (
        "import sys, tracemalloc; from pathlib import Path; from validator.storage.recording import prepare\n"
        "tracemalloc.start(); prepare(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "print(tracemalloc.get_traced_memory()[1])"
    )
    peaks = []
    for name, rows in (("small", 1000), ("large", 40_000)):
        np.savez_compressed(tmp_path / f"{name}.npz", x=np.zeros((rows, 100)), y=np.full((rows, 9), "abcdef"))
        source, target = tmp_path / f"{name}.npz", tmp_path / name
        out = subprocess.run(
            [sys.executable, "-c", script, source, target], capture_output=True, text=True, check=True
        )
        peaks.append(int(out.stdout))
    assert max(peaks) < 24 << 20


# ---- Parquet


def table(tmp_path, **columns) -> Path:
    parquet.write_table(pyarrow.table(columns), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def test_parquet(tmp_path):
    rows = 3000
    images = np.random.default_rng(0).standard_normal((rows, 2, 3)).astype(np.float32)
    source = table(
        tmp_path,
        id=np.arange(rows),
        flag=np.arange(rows) % 2 == 0,
        text=[f"ä{number}" for number in range(rows)],
        image=images.tolist(),
        fixed=pyarrow.FixedSizeListArray.from_arrays(np.arange(rows * 4, dtype=np.int16), 4),
    )
    tensors = {tensor.name: tensor for tensor in prepare(source, tmp_path / "out").open()}
    assert np.array_equal(read(tensors["id"]), np.arange(rows))
    assert read(tensors["flag"])[:3].tolist() == [True, False, True]
    assert read(tensors["text"])[2999] == "ä2999"
    assert np.array_equal(read(tensors["image"]), images.astype(np.float64))
    assert np.array_equal(read(tensors["fixed"]), np.arange(rows * 4).reshape(rows, 4))


@pytest.mark.parametrize(
    ("column", "match"),
    [
        ([1, None], "1 missing values"),
        ([[1.0, None], [1.0, 2.0]], "missing values inside"),
        ([[1], [1, 2, 3]], "different lengths"),
        ([{"a": 1}, {"a": 2}], "no model takes"),
        (pyarrow.array([], pyarrow.int64()), "empty"),
        (pyarrow.array([], pyarrow.string()), "empty"),
    ],
)
def test_parquet_columns_that_cannot_be_inputs(tmp_path, column, match):
    refused(table(tmp_path, x=column), tmp_path / "out", match)


def test_corrupt_parquet(tmp_path):
    (tmp_path / "in.parquet").write_bytes(b"PAR1 and then nothing")
    refused(tmp_path / "in.parquet", tmp_path / "out", "not a readable Parquet file")


def test_parquet_without_pyarrow(tmp_path):
    source = table(tmp_path, x=[1])
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path; from validator.errors import ConfigurationError\n"
        "from validator.storage.recording import prepare\n"
        "try: prepare(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except ConfigurationError as error: print(error)"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, source, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert "pip install keras-upgrade-validator[parquet]" in out.stdout

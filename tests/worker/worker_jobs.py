"""The jobs that one worker does for all tests: each a small case of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from worker.support import FEATURES, job, record

Make = Callable[..., dict[str, Any]]
#: Models that are predicted in pieces, and what they are fed.
IN_PIECES = {
    "keras": "features",
    "nested": "features",
    "strings": "features",
    "complex": "features",
    "scalar": "features",
    "half": "features",
    "ragged": "counts",
    "twice ragged": "text",
}
PIECES = {"first": [0], "second": [1, 2]}
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0], dtype=np.int32)


def jobs(folder: Path, artifacts: Path) -> list[dict[str, Any]]:
    """All jobs, in the order in which they are done."""
    inputs = _recordings(folder / "recordings")
    _spoil(artifacts)

    def do(identity: str, recorded: str = "features", **fields: Any) -> dict[str, Any]:
        fields.setdefault("inputs", inputs.get(recorded, recorded))
        for name in ("artifact", "weights"):
            if name in fields:
                fields[name] = str(artifacts / fields[name])
        if "builder" in fields:
            fields["builder"] = f"worker_models:{fields['builder']}"
        if "labels" in fields:
            fields["labels"] = inputs[fields["labels"]]
        return job(identity, folder, **fields)

    def subclassed(what: str, recorded: str = "features", **fields: Any) -> dict[str, Any]:
        return do(what, recorded, builder="subclassed", builder_arguments={"what": what}, **fields)

    def variant(precision: str = "as-saved", jit: str = "as-saved") -> dict[str, str]:
        return {"precision": precision, "jit": jit}

    return [
        # artifacts
        do("keras", artifact="dense.keras"),
        do("h5", artifact="dense.h5"),
        do("savedmodel", artifact="saved_model"),
        do("builder", builder="dense", weights="dense.weights.h5"),
        do("batch of one", artifact="dense.keras", batch_size=1),
        do("custom", artifact="custom.keras", custom_objects=["worker_layers"]),
        do("custom missing", artifact="unknown_layer.keras"),
        do("custom module missing", artifact="custom.keras", custom_objects=["no_such_module"]),
        do("custom loss missing", artifact="custom_loss.keras", labels="targets"),
        do("custom loss not wanted", artifact="custom_loss.keras", compile=False),
        do("own predict", builder="own_predict"),
        do("artifact falls back", artifact="garbage.keras", builder="dense", weights="dense.weights.h5"),
        do("artifact and builder fail", artifact="garbage.keras", builder="exiting_builder"),
        do("keras is garbage", artifact="garbage.keras"),
        do("keras is cut", artifact="cut.keras"),
        do("h5 is garbage", artifact="garbage.h5"),
        do("git lfs pointer", artifact="pointer.keras"),
        do("no artifact", artifact="absent.keras"),
        do("unknown artifact", artifact="model.onnx"),
        do("empty folder", artifact="empty"),
        do("no weights", builder="dense", weights="absent.weights.h5"),
        do("weights are garbage", builder="dense", weights="garbage.h5"),
        do("weights of another", builder="dense", builder_arguments={"units": 7}, weights="dense.weights.h5"),
        do("no signature", artifact="saved_model", signature="absent"),
        do("builder exits", builder="exiting_builder"),
        do("interrupted by its builder", builder="interrupting_builder"),
        do("builder missing", builder="absent"),
        do("builder no model", builder="no_model"),
        do("builder other keras", builder="other_keras"),
        # precision and jit
        do("keras bfloat16", artifact="dense.keras", variant=variant("bfloat16")),
        do("keras float64", artifact="dense.keras", variant=variant("float64")),
        do("keras mixed", artifact="dense.keras", variant=variant("mixed_bfloat16")),
        do("h5 float64", artifact="dense.h5", variant=variant("float64")),
        do("saved in bfloat16", artifact="bfloat16.keras"),
        do("bfloat16 in float32", artifact="bfloat16.keras", variant=variant("float32")),
        do("mixed in float32", artifact="mixed.keras", variant=variant("float32")),
        do("mixed in float64", artifact="mixed.keras", variant=variant("float64")),
        do("builder float64", builder="dense", weights="dense.weights.h5", variant=variant("float64")),
        do("stubborn", builder="dense", builder_arguments={"policy": "bfloat16"}, variant=variant("float32")),
        do("savedmodel float64", artifact="saved_model", variant=variant("float64")),
        do("sets the policy", builder="shares_policy_with_later_jobs"),
        do("after the policy was set", builder="dense"),
        do("jit on", artifact="dense.keras", variant=variant(jit="on")),
        do("jit off", artifact="dense.keras", variant=variant(jit="off")),
        do("savedmodel jit", artifact="saved_model", variant=variant(jit="on")),
        # inputs
        do("two inputs", "left right", builder="two_inputs"),
        do("two inputs swapped", "right left", builder="two_inputs"),
        do("two anonymous inputs", "numbered", builder="two_anonymous_inputs"),
        do("names for anonymous inputs", "right left", builder="two_anonymous_inputs"),
        do("dict inputs", "a b", builder="dict_inputs"),
        do("dict inputs by position", "numbered", builder="dict_inputs"),
        do("dict input", "left right", builder="subclassed", builder_arguments={"what": "dict input"}),
        do("list input", "numbered", builder="subclassed", builder_arguments={"what": "list input"}),
        do("extra tensor", "left right extra", builder="two_inputs"),
        do("wrong names", "a b", builder="two_inputs"),
        do("too few tensors", "features", builder="two_inputs"),
        do("wrong shape", "left", builder="dense"),
        do("wrong dtype", "text", builder="dense"),
        do("text", "text", builder="text_lengths"),
        do("empty recording", "empty", builder="dense"),
        do("fixed batch", builder="fixed_batch", batch_size=4),
        do("fixed batch fits", "eight", builder="fixed_batch", batch_size=4),
        do("function", "worker_models:inputs", builder="dense"),
        do("function returns a list", "worker_models:input_list", builder="dense"),
        do("function returns objects", "worker_models:input_objects", builder="dense"),
        do("function raises", "worker_models:raising_inputs", builder="dense"),
        do("pickled", "pickled", builder="dense"),
        do("cut recording", "cut", builder="dense"),
        do("lying manifest", "lying", builder="dense"),
        do("no recording", str(folder / "absent"), builder="dense"),
        do("sequential", builder="sequential"),
        # outputs
        do("list outputs", builder="list_outputs", labels="two labels"),
        do("dict outputs", builder="dict_outputs", labels="named labels"),
        do("list of one", builder="list_of_one"),
        *map(
            subclassed, ["nested", "integers", "booleans", "strings", "half", "complex", "sparse", "scalar"]
        ),
        *map(subclassed, ["batch statistics", "none", "nothing", "nan", "random", "raising", "exiting"]),
        *map(subclassed, ["printing", "recursing"]),
        subclassed("ragged", "counts"),
        subclassed("ragged strings", "text"),
        subclassed("twice ragged", "text"),
        subclassed("changing", "counts"),
        # labels
        do("labels", artifact="classifier.keras", labels="labels"),
        do("h5 labels", artifact="classifier.h5", labels="labels"),
        do("weighted labels", artifact="classifier.keras", labels="weighted"),
        do("labels too long", artifact="classifier.keras", labels="targets of eight"),
        do("labels of wrong shape", artifact="classifier.keras", labels="targets"),
        do("labels named otherwise", builder="list_outputs", labels="labels"),
        do("not compiled", builder="dense", labels="labels"),
        do("not asked to evaluate", artifact="classifier.keras", labels="labels", evaluate=False),
        do("last", artifact="dense.keras"),
        # pieces
        *(piece for each in IN_PIECES for piece in _pieces(folder, do, subclassed, each)),
        *_unjoined(folder, do),
    ]


def _pieces(folder: Path, do: Make, subclassed: Make, what: str) -> list[dict[str, Any]]:
    """Three batches in two jobs, and a third one that joins them."""

    def part(name: str, **fields: Any) -> dict[str, Any]:
        if what == "keras":
            return do(name, artifact="dense.keras", **fields)
        return {**subclassed(what, IN_PIECES[what], **fields), **_named(folder, name)}

    first, second = (part(f"{what} {name}", batches=chosen) for name, chosen in PIECES.items())
    return [first, second, part(f"{what} joined", pieces=[_piece(first, 0, 1), _piece(second, 1, 3)])]


def _unjoined(folder: Path, do: Make) -> list[dict[str, Any]]:
    """Pieces that are not those of the job: in another order, not all, of other inputs, of another model."""
    first, second = (_named(folder, f"keras {name}") for name in PIECES)
    wrong = {
        "swapped": [_piece(second, 0, 2), _piece(first, 2, 3)],
        "incomplete": [_piece(first, 0, 1)],
        "too short": [_piece(first, 0, 1), _piece(second, 1, 2)],
    }
    other = do("other inputs", "eight", artifact="dense.keras", batches=[0, 1])
    return [
        *(do(name, artifact="dense.keras", pieces=pieces) for name, pieces in wrong.items()),
        other,
        do("of other inputs", artifact="dense.keras", pieces=[_piece(other, 0, 3)]),
        do(
            "of another precision",
            artifact="dense.keras",
            variant={"precision": "bfloat16", "jit": "as-saved"},
            pieces=[_piece(first, 0, 1), _piece(second, 1, 3)],
        ),
    ]


def _piece(made: dict[str, Any], first: int, stop: int) -> dict[str, Any]:
    return {"folder": made["folder"], "first": first, "stop": stop}


def _named(folder: Path, name: str) -> dict[str, Any]:
    return {"id": name, "folder": str(folder / name.replace(" ", "-"))}


def _recordings(folder: Path) -> dict[str, str]:
    left, right = FEATURES[:, :2], FEATURES[:, 2:] * 3
    text = np.array(["red blue", "green", "", "blå"] * 2 + ["a b", "b"])[:, None]
    counts = np.array([[1, 0, 2, 1, 3, 2, 0, 4, 1, 2]] * 4, np.float32).T.copy()
    one = np.full((10, 2), 1, np.float32)
    recordings = {
        "features": {"features": FEATURES},
        "eight": {"features": FEATURES[:8]},
        "empty": {"features": FEATURES[:0]},
        "left right": {"left": left, "right": right},
        "right left": {"right": right, "left": left},
        "left right extra": {"left": left, "right": right, "id": np.arange(10)},
        "numbered": {"arr_0": left, "arr_1": right},
        "a b": {"a": left, "b": right},
        "left": {"features": left},
        "text": {"text": text},
        "counts": {"features": counts},
        "labels": {"label": LABELS},
        "weighted": {"label": LABELS, "sample_weight": np.array([1] * 5 + [0] * 5, np.float32)},
        "targets": {"targets": one},
        "targets of eight": {"targets": LABELS[:8]},
        "two labels": {"0": one, "1": np.zeros((10, 3), np.float32)},
        "named labels": {"two": one, "one": np.zeros((10, 3), np.float32)},
    }
    paths = {name: record(folder / name.replace(" ", "-"), tensors) for name, tensors in recordings.items()}
    return {**paths, **_broken_recordings(folder)}


def _broken_recordings(folder: Path) -> dict[str, str]:
    pickled = record(folder / "pickled", {"features": FEATURES})
    np.save(Path(pickled, "0.npy"), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    cut = record(folder / "cut", {"features": FEATURES})
    whole = Path(cut, "0.npy").read_bytes()
    Path(cut, "0.npy").write_bytes(whole[:-7])
    lying = record(folder / "lying", {"features": FEATURES}, samples=11)
    return {"pickled": pickled, "cut": cut, "lying": lying}


def _spoil(artifacts: Path) -> None:
    """Files that are no models."""
    (artifacts / "garbage.keras").write_bytes(b"this is no zip file" * 50)
    (artifacts / "garbage.h5").write_bytes(b"this is no HDF5 file" * 50)
    (artifacts / "pointer.keras").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (artifacts / "model.onnx").write_bytes(b"\x08\x07")
    (artifacts / "empty").mkdir()
    whole = shutil.copy(artifacts / "dense.keras", artifacts / "cut.keras")
    Path(whole).write_bytes((artifacts / "dense.keras").read_bytes()[:-200])

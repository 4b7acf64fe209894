"""Recorded inputs and labels: read from a folder in slices, or returned by a function."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Dict

import numpy as np

from keras_capture.failures import InputsError
from keras_capture.model.custom import function, imports_from
from keras_capture.model.values import dtype_name
from keras_capture.wire.files import read_json
from keras_capture.wire.tensors import InMemory, Rows, stored

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


class Recording:
    """Named tensors with a common number of samples."""

    def __init__(self, source: str, tensors: Dict[str, Rows]) -> None:
        self.source = source
        self.tensors = tensors
        if not tensors:
            raise InputsError(f"{source} holds no tensors")
        lengths = {name: tensor.shape[0] if tensor.shape else 0 for name, tensor in tensors.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
            raise InputsError(f"the tensors of {source} have different numbers of samples: {listed}")
        self.samples = next(iter(lengths.values()))

    def digest(self) -> str:
        """sha256 over names, dtypes, shapes and bytes, whatever the order and the way of storing."""
        total = hashlib.sha256()
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            total.update(json.dumps([name, tensor.dtype, tensor.shape]).encode())
            for part in tensor.parts():
                total.update(part)
        return total.hexdigest()


def open_recording(source: str) -> Recording:
    """Open a folder with a manifest, or call `package.module:function`, or that of a `/folder::`."""
    other, _, reference = source.rpartition("::")
    if _FUNCTION.match(reference):
        with imports_from(Path(other)) if other else contextlib.nullcontext():
            return Recording(reference, _called(reference))
    folder = Path(source)
    manifest = read_json(folder / "manifest.json")
    recording = Recording(source, {entry["name"]: stored(folder, entry) for entry in manifest["tensors"]})
    if recording.samples != manifest["samples"]:
        raise InputsError(
            f"{source} says it has {manifest['samples']} samples, its tensors have {recording.samples}"
        )
    return recording


def _called(reference: str) -> Dict[str, Rows]:
    returned = function(reference)()
    if not isinstance(returned, Mapping):
        raise InputsError(f"{reference} returned {type(returned).__name__}, not a dict of name → array")
    return {str(name): _in_memory(reference, str(name), value) for name, value in returned.items()}


def _in_memory(reference: str, name: str, value: object) -> InMemory:
    array = np.asarray(value)
    if dtype_name(array) is None:
        raise InputsError(
            f"{reference} returned {name!r} as an array of {array.dtype}: not numbers, not strings"
        )
    if not array.ndim:
        raise InputsError(f"{reference} returned {name!r} as a single value, without a sample axis")
    return InMemory(np.ascontiguousarray(array))

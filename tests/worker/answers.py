"""What a worker wrote, read as it stands in its JSON: no reader of the tool is between it and a test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from validator.storage.tensors import TensorEntry, open_tensors
from worker.support import Environment


@dataclass(frozen=True)
class Answers:
    """The responses of a worker's jobs; JSON objects as namespaces."""

    environment: Environment
    folder: Path

    def path(self, identity: str) -> Path:
        return self.folder / identity.replace(" ", "-")

    def response(self, identity: str) -> Any:
        text = (self.path(identity) / "response.json").read_text()
        response = json.loads(text, object_hook=lambda fields: SimpleNamespace(**fields))
        assert response.failure is None, response.failure
        return response

    def task(self, identity: str, name: str) -> Any:
        return getattr(self.response(identity).tasks, name)

    def answer(self, identity: str, name: str) -> Any:
        """The answer of a task that must not have failed."""
        answer = self.task(identity, name)
        assert answer.failure is None, answer.failure
        return answer

    def failure(self, identity: str, name: str) -> Any:
        failure = self.task(identity, name).failure
        assert failure is not None
        return failure

    def array(self, identity: str, output: str = "output") -> np.ndarray:
        entries = {entry.name: entry for entry in self.response(identity).outputs}
        return tensor(entries[output], self.path(identity))


def tensor(entry: SimpleNamespace, folder: Path) -> np.ndarray:
    """The values of an entry of the protocol."""
    (opened,) = open_tensors([TensorEntry.model_validate(vars(entry))], folder)
    return opened.open().values.reshape(opened.shape)


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor of a recorded argument or result, with its path."""
    fields = vars(tree) if tree is not None else {}
    for index, item in enumerate(fields.get("list") or fields.get("tuple") or ()):
        yield from leaves(item, f"{path}/{index}")
    for key, item in sorted(vars(fields.get("dict") or SimpleNamespace()).items()):
        yield from leaves(item, f"{path}/{key}")
    if "t" in fields:
        yield path, tree

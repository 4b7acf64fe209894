"""Runs proofs inside one environment: a process imports the backend once, and every proof is a fork of it.

    python child.py REQUEST.json

The request names the backend, the folders of proofs and models, and jobs `{"proof", "folder"}`. The answer is
the file `answer` of the request: job → what was observed. Values are strings, numbers or lists of numbers.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

#: Seconds until a proof counts as hanging.
LIMIT = 60
#: How long a value may be in the answer: the first so many numbers of an array.
KEPT = 20000


def main() -> None:
    """Run what the request asks for."""
    request = json.loads(Path(sys.argv[1]).read_text())
    sys.path[:0] = [request["proofs"]]
    _package("corpus_models", Path(request["models"]))
    importlib.import_module("torch" if os.environ.get("KERAS_BACKEND") == "torch" else "tensorflow")
    importlib.import_module("tf_keras" if os.environ.get("TF_USE_LEGACY_KERAS") == "1" else "keras")
    answers = {job["id"]: _forked(job) for job in request["jobs"]}
    Path(request["answer"]).write_text(json.dumps(answers))


def _package(name: str, folder: Path) -> None:
    """Let a folder be imported under another name than its own."""
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)


def _forked(job: dict) -> dict:
    """One proof in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        signal.alarm(LIMIT)
        answer = json.dumps(_observed(job)).encode()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(data) if data else {"error": f"died: status {status}"}


def _observed(job: dict) -> dict:
    began = time.monotonic()
    module, _, function = job["proof"].partition(":")
    try:
        run = getattr(importlib.import_module(module), function)
        seen = run(job["folder"]) if job["folder"] else run()
        values = {name: _plain(value) for name, value in (seen or {}).items()}
        return {"values": values, "seconds": time.monotonic() - began}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:2000]}


def _plain(value: object) -> object:
    import numpy as np

    if isinstance(value, (str, bool)) or value is None:
        return str(value)
    if isinstance(value, (list, tuple)) and any(isinstance(part, str) for part in value):
        return [str(part) for part in value]
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        array = array.astype("float64")
    return [float(number) for number in array.astype("float64").ravel()[:KEPT]]


if __name__ == "__main__":
    main()

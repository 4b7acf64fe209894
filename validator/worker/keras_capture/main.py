"""One process: import Keras once, then every job of the request that has not begun yet."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_capture import lifeline
from keras_capture.files import read_json, write_json
from keras_capture.imports import import_keras
from keras_capture.job import run_job
from keras_capture.request import Job, Request, parse_request


def main(arguments: Sequence[str]) -> None:
    """Do the request in the folder that is the only argument, and end the process with 0.

    Faults of the environment or a model are written down, not raised; an exception here is the worker's.
    """
    if len(arguments) != 1:
        sys.exit("usage: python -I <worker folder> <run folder>")
    lifeline.hold()
    faulthandler.enable()  # a segfault in a kernel then leaves its stack in the log
    folder = Path(arguments[0])
    _run(parse_request(read_json(folder / "request.json")), folder)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Threads that user code left running must not keep the process alive, and a
    # library that crashes while the interpreter shuts down must not look like a lost job.
    os._exit(0)


def _at_home(job: Job) -> bool:
    """Whether this process was started with the variables that a job needs."""
    return all(os.environ.get(name) == value for name, value in job.variables.items())


def _run(request: Request, folder: Path) -> None:
    framework = import_keras(request, folder)
    if framework is None:
        return
    # What Keras imported stays for good: not walking it saves 0.3 s of garbage collection in every job.
    gc.freeze()
    # After Keras, so that a file of the user cannot shadow what Keras imports; before site-packages, as
    # when they run their own scripts.
    sys.path[1:1] = request.pythonpath
    for job in request.jobs:
        started = job.folder / "started"
        if started.exists() or not _at_home(job):
            continue
        job.folder.mkdir(parents=True, exist_ok=True)
        started.touch()
        write_json(job.folder / "response.json", run_job(framework, job))

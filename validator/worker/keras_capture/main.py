"""The worker process: imports Keras once, then does the jobs of every request that stdin names."""

from __future__ import annotations

import faulthandler
import functools
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from keras_capture.failures import StageError
from keras_capture.job import failed_job, run_job
from keras_capture.model.imports import Framework, import_keras
from keras_capture.model.overlays import import_backend, import_laid_over, traced
from keras_capture.room import set_limit
from keras_capture.wire.files import read_json, write_json
from keras_capture.wire.forking import FORK, in_child
from keras_capture.wire.landlock import confine
from keras_capture.wire.request import Job, Request, parse_request


def main(arguments: Sequence[str]) -> None:
    """Do every request on stdin, and end the process with 0 at its end.

    Where it cannot fork, it ends after the first job: the next needs a process without that one's traces.
    Faults of the environment or a model are written down, not raised; an exception here is the worker's.
    """
    if arguments:
        sys.exit("usage: python -I <worker folder>; each line of stdin is the path of a request file")
    faulthandler.enable()  # a segfault in a kernel then leaves its stack in the log
    framework, isolation, ready = None, "", False
    for path in _requests():
        request = parse_request(read_json(path))
        if not ready and request.overlays:
            ready, isolation = import_backend(request, path.parent)
        elif not ready:
            framework, isolation = import_keras(request, path.parent)
            ready = framework is not None
        if not ready:
            break
        for job in filter(_is_due, request.jobs):
            do = functools.partial(_do, framework, request, job)
            if isolation == FORK:
                _write_end(job, in_child(do))
            else:
                do()
                _write_end(job, {"exit": 0, "signal": None})
                _leave()
    _leave()


def _leave() -> None:
    """End the process. Everything is written.

    Threads that user code left running must not keep it alive, and a library that crashes while the
    interpreter shuts down must not look like a lost job.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _requests() -> Iterator[Path]:
    """The paths on stdin. The models' code gets an empty stdin instead."""
    lines = os.fdopen(os.dup(0), encoding="utf-8", errors="surrogateescape")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for line in lines:
        yield Path(line.rstrip("\n"))


def _is_due(job: Job) -> bool:
    """Whether no process began the job yet, and this one was started with the variables that it needs."""
    has_variables = all(os.environ.get(name) == value for name, value in job.variables.items())
    return has_variables and not (job.folder / "started").exists()


def _write_end(job: Job, end: dict) -> None:
    """The job may have removed its folder: it is over all the same."""
    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.folder / "ended", end)


def _writable(others: Sequence[str], job: Job) -> Iterator[str]:
    """What a job in a sandbox writes: its folder and trace, its home with all caches, and `others`."""
    yield from (*others, str(job.folder), os.environ["HOME"])
    if job.overlay is not None and job.overlay.trace is not None:
        job.overlay.trace.touch()
        yield str(job.overlay.trace)


def _do(framework: Optional[Framework], request: Request, job: Job) -> None:
    job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.folder / "started", {"pid": os.getpid()})
    # Files that a model leaves where it happens to run are not there for the next one.
    os.makedirs(os.environ.get("TMPDIR", os.sep), exist_ok=True)
    if request.sandbox is not None:
        confine(_writable(request.sandbox, job))
    os.chdir(tempfile.mkdtemp())
    set_limit(request.memory)
    if job.overlay is not None:
        try:
            framework = import_laid_over(request, job.overlay)
        except StageError as failed:
            write_json(job.folder / "response.json", failed_job(job, failed))
            return
    framework.set_seed()
    # After Keras, so that a file of the user cannot shadow what Keras imports; before site-packages, as
    # when they run their own scripts.
    sys.path[1:1] = [path for path in request.pythonpath if path not in sys.path]
    with traced(job.overlay):
        response = run_job(framework, job)
    write_json(job.folder / "response.json", response)

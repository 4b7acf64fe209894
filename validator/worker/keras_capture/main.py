"""The worker process: imports Keras once, then does the jobs of every request that stdin names."""

from __future__ import annotations

import faulthandler
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_capture.job import run_job
from keras_capture.model.imports import Framework, import_keras
from keras_capture.wire.files import read_json, write_json
from keras_capture.wire.forking import FORK, Lifeline, in_child
from keras_capture.wire.request import Job, Request, parse_request


def main(arguments: Sequence[str]) -> None:
    """Do every request on stdin, and end the process with 0 at its end.

    Faults of the environment or a model are written down, not raised; an exception here is the worker's.
    """
    if arguments:
        sys.exit("usage: python -I <worker folder>; each line of stdin is the path of a request file")
    lifeline = Lifeline()
    lifeline.watch()
    faulthandler.enable()  # a segfault in a kernel then leaves its stack in the log
    framework, isolation = None, ""
    for path in _requests():
        request = parse_request(read_json(path))
        if framework is None:
            framework, isolation = import_keras(request, path.parent, lifeline.threads)
        if framework is None:
            break
        for job in filter(_is_due, request.jobs):
            do = functools.partial(_do, framework, request, job)
            if isolation == FORK:
                ended = in_child(do, lifeline)
            else:
                with framework.cleared():
                    do()
                ended = {"exit": 0, "signal": None}
            write_json(job.folder / "ended", ended)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Threads that user code left running must not keep the process alive, and a
    # library that crashes while the interpreter shuts down must not look like a lost job.
    os._exit(0)


def _requests() -> Iterator[Path]:
    """The paths on stdin. The models' code gets an empty stdin instead."""
    lines = os.fdopen(os.dup(0), encoding="utf-8")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for line in lines:
        yield Path(line.rstrip("\n"))


def _is_due(job: Job) -> bool:
    """Whether no process began the job yet, and this one was started with the variables that it needs."""
    has_variables = all(os.environ.get(name) == value for name, value in job.variables.items())
    if not has_variables or (job.folder / "started").exists():
        return False
    job.folder.mkdir(parents=True, exist_ok=True)
    return True


def _do(framework: Framework, request: Request, job: Job) -> None:
    framework.set_seed()
    write_json(job.folder / "started", {"pid": os.getpid()})
    # After Keras, so that a file of the user cannot shadow what Keras imports; before site-packages, as
    # when they run their own scripts.
    sys.path[1:1] = [path for path in request.pythonpath if path not in sys.path]
    write_json(job.folder / "response.json", run_job(framework, job))

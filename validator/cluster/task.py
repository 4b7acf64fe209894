"""What runs on a Dask worker: a shard, as a process of its own that ends with whoever asked for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from validator.cluster.files import Bundle
from validator.cluster.host import RUN, Host
from validator.cluster.order import Answer, Order, Tool
from validator.cluster.predicted import PIECE, Predicted
from validator.cluster.store import put
from validator.documents import read_bytes
from validator.errors import Exit
from validator.text import plain

#: Seconds without a renewal after which a shard is ended: the client is gone, or has given it up.
LEASE_SECONDS = 90.0
_POLL_SECONDS = 0.2
_END_SECONDS = 30.0  # for a run to end its workers
_LOG_BYTES = 8000
_PIECE = 4 << 20
_PART_BYTES = 32 << 20

#: Run → when its client was last heard of; and tries that it has given up.
_leases: dict[str, float] = {}
_given_up: set[str] = set()
_changing = threading.Lock()


def renew(run: str) -> None:
    """Let the shards of a run go on."""
    with _changing:
        _leases[run] = time.monotonic()


def give_up(attempt: str) -> None:
    """End a shard on this worker."""
    with _changing:
        _given_up.add(attempt)


def receive(digest: str, transfer: str, piece: bytes, *, last: bool, dask_worker: Any = None) -> str:
    """Take a piece of a content, which is kept with the last one. Why that failed, or nothing.

    `dask_worker`: what Dask puts there for a function that is run beside tasks.
    """
    host = _host(dask_worker)
    try:
        path = host.append(transfer, piece)
        if last:
            with path.open("rb") as file:
                host.keep(digest, iter(lambda: file.read(_PIECE), b""))
            path.unlink()
    except (OSError, ValueError) as error:
        (host.folder / "arriving" / transfer).unlink(missing_ok=True)
        return f"its files cannot be written there: {getattr(error, 'strerror', None) or error}"
    return ""


def send(digest: str, start: int, *, dask_worker: Any = None) -> bytes:
    """A piece of a content that a shard left here. OSError where it is gone."""
    return _host(dask_worker).read(digest, start, _PIECE)


def run_order(tool: str, text: str, attempt: str) -> str:
    """Run a shard. `tool` is the client's, `text` an order of it, `attempt` a name for this try.

    Returns an answer. Another tool may write orders in another form: they are not looked at.
    """
    from distributed import get_worker

    own, asked = Tool.this(), Tool.model_validate_json(tool)
    if not own.same_code(asked):
        why = f"it has {own.name}, and this run needs {asked.name}"
        return Answer(kind="other-tool", why=why).model_dump_json()
    return _answer(Order.model_validate_json(text), attempt, _host(get_worker())).model_dump_json()


def _host(worker: Any) -> Host:
    """The folder of this host, beside what Dask gives a worker, or as a variable of the worker chooses it."""
    chosen = os.environ.get("KERAS_VALIDATOR_HOST_FOLDER")
    return Host(Path(chosen or Path(worker.local_directory).parent / "keras-validator"))


def _answer(order: Order, attempt: str, host: Host) -> Answer:
    renew(order.run)
    try:
        contents = {**order.bundle.contents, **order.pieces.contents}
        missing = host.missing(contents)
        if missing and order.store:
            _fetch(order.store, missing, host)
            missing = host.missing(contents)
        if missing:
            return Answer(kind="missing", missing=missing)
        with host.checkout(order.bundle, is_alike=Tool.this().system == order.system) as root:
            return _run(order, attempt, root / order.bundle.folder, host)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return Answer(kind="failed", why=f"{where}{error.strerror or error}")


def _fetch(store: str, missing: tuple[str, ...], host: Host) -> None:
    """Take contents from the common store. What it has not, or gives damaged, stays missing."""
    import fsspec

    for digest in missing:
        with contextlib.suppress(Exception), fsspec.open(f"{store.rstrip('/')}/{digest}", "rb") as file:
            host.keep(digest, iter(lambda: file.read(_PIECE), b""))


def _run(order: Order, attempt: str, folder: Path, host: Host) -> Answer:
    began = time.monotonic()
    run = host.run_folder(order.pieces)
    log = run / "log.txt"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "validator", "shard", str(folder), "--output", str(run / RUN)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=run,  # which `-m` imports from first: nothing of the checkout may lie there
                start_new_session=True,
            )
        code = _follow(process, order, attempt)
        tail = _tail(log)
        seconds = time.monotonic() - began
        if code is None:
            return Answer(kind="failed", why="it was given up", seconds=seconds)
        part = run / RUN / order.part
        if code == Exit.OK and part.is_file():
            text = read_bytes(part, _PART_BYTES).decode()
            if order.part == PIECE:
                _keep(Predicted.model_validate_json(text).files, run / RUN, host, order.store)
            return Answer(kind="done", part=text, seconds=seconds)
        last = tail.strip().splitlines()[-1:] or [f"the run ended with {code}"]
        is_final = code == Exit.CONFIGURATION  # of the project, so that another worker says the same
        why = plain(last[0], 600).removeprefix("keras-validator: ")
        return Answer(kind="refused" if is_final else "failed", why=why, seconds=seconds)
    except ValueError as error:  # a part that is too large, or no text
        return Answer(kind="failed", why=f"its part cannot be read: {error}")
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _keep(files: Bundle, folder: Path, host: Host, store: str | None) -> None:
    """Keep the files of a run by their contents, and bring them to the common store where there is one.

    Raises:
        OSError, ValueError: they cannot be written, or are not what the run says.
    """
    for file in files.files:
        with (folder / file.path).open("rb") as source:
            host.keep(file.sha256, iter(lambda: source.read(_PIECE), b""))
    if store:
        put(store, {file.sha256: folder / file.path for file in files.files})


def _follow(process: subprocess.Popen[bytes], order: Order, attempt: str) -> int | None:
    """The exit code of a run; None where it was ended because nobody waits for it any more."""
    assert process.stdin is not None  # noqa: S101 - stdin=PIPE
    with process.stdin as requests:
        with contextlib.suppress(BrokenPipeError):
            requests.write(order.request.encode() + b"\n")
            requests.flush()
        while process.poll() is None:
            with _changing:
                is_over = time.monotonic() - _leases.get(order.run, 0.0) > LEASE_SECONDS
                if is_over or attempt in _given_up:
                    break
            time.sleep(_POLL_SECONDS)
        else:
            return process.returncode
    # Its standard input is closed now, which ends it and its workers.
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return None


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return file.read().decode("utf-8", "replace")

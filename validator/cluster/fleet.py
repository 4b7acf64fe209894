"""The workers of a Dask cluster as a fleet: who is there, what they were asked, what they answered."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from validator.cluster import task
from validator.cluster.dispatch import LostError, TooLargeError
from validator.cluster.executor import Executor
from validator.cluster.files import Collected
from validator.cluster.order import Answer, Order, Tool
from validator.cluster.predicted import PIECE, Predicted
from validator.cluster.store import put
from validator.documents import file_digest
from validator.errors import CannotJudgeError, ConfigurationError

_RENEW_SECONDS = 10.0
_START_SECONDS = 30.0  # for a number of workers, which decides how many shards there are
_RESULT_SECONDS = 60.0  # for an answer that is there: from a worker that dies just then it never comes
_LOST_SECONDS = 20.0  # without a connection, after which the scheduler is gone
_TELL_SECONDS = 2.0  # to end a shard that is given up; a worker that does not answer is not waited for
_LOOK_SECONDS = 1.0  # between two questions about who is there
_PIECE = 8 << 20


@dataclass
class DaskFleet:
    """Workers of one client's cluster. `files`: what shards need, with its place on this machine.

    `limit`: bytes that go through the scheduler to a worker, or come from one, into the folder `arrived`.
    """

    client: Any
    files: Collected
    limit: int
    arrived: Path
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    _sizes: dict[str, int] = field(default_factory=dict)
    _asked: dict[str, Any] = field(default_factory=dict)
    _alive: tuple[str, ...] = ()
    _asked_at: float = float("-inf")
    _connected_at: float = float("-inf")
    _renewed: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def workers(self) -> Sequence[str]:
        """The addresses of the workers that live."""
        now = time.monotonic()
        if self.client.status == "running":
            self._connected_at = now
            if now - self._asked_at > _LOOK_SECONDS:
                self._alive = tuple(sorted(self._reached(self.client.nthreads)))
                self._asked_at = time.monotonic()
        elif now - self._connected_at > _LOST_SECONDS:  # a question would wait for a new one much longer
            raise LostError(f"no connection for {_LOST_SECONDS:g} s")
        return self._alive

    def size(self, executor: Executor) -> int:
        """How many workers there are, once those that a started cluster was asked for had time to come."""
        count = executor.workers or 1
        with contextlib.suppress(Exception):
            self.client.wait_for_workers(count, timeout=min(executor.wait_seconds, _START_SECONDS))
        with contextlib.suppress(LostError):  # which the next question finds
            return len(self.workers())
        return 0

    def ask(self, worker: str, order: Order) -> None:
        """Submit an order to one worker alone."""
        if worker not in self._renewed:
            self._renewed.add(worker)
            self._aside(self._renew, worker)
        attempt = f"keras-validator-{order.name}-{uuid.uuid4().hex}"
        self._asked[worker] = self.client.submit(
            _by_name(task.run_order),
            Tool.this().model_dump_json(),
            order.model_dump_json(),
            attempt,
            key=attempt,
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )

    def answers(self) -> Sequence[tuple[str, Answer]]:
        """What has come back."""
        if self.client.status != "running":
            return []
        ended = {worker: future for worker, future in self._asked.items() if future.done()}
        return [(worker, self._read(worker, future)) for worker, future in ended.items()]

    def supply(self, worker: str, missing: Sequence[str]) -> str:
        """Send contents through the scheduler, piece by piece."""
        sizes = {**self.files.bundle.contents, **self._sizes}
        if why := self._too_much("are missing there", sum(sizes.get(digest, 0) for digest in missing)):
            return why
        for digest in missing:
            path = self.files.sources.get(digest) or self._arrived(digest)
            try:
                why = self._send(worker, digest, path) if path else "it asks for a file that it needs not"
            except OSError as error:
                why = f"{path} cannot be read any more: {error.strerror or error}"
            if why:
                return why
        return ""

    def collect(self, worker: str, order: Order, answer: Answer) -> str:
        """Bring here what a worker predicted, unless a store has it; as `Fleet` says."""
        if order.part != PIECE:
            return ""
        contents = Predicted.model_validate_json(answer.part).files.contents
        self._sizes |= contents
        if order.store:
            return ""
        due = {digest: size for digest, size in contents.items() if self._arrived(digest) is None}
        if why := self._too_much("were predicted there", sum(due.values())):
            raise TooLargeError(why)
        self.arrived.mkdir(parents=True, exist_ok=True)
        for digest, size in due.items():
            if why := self._receive(worker, digest, size):
                return why
        return ""

    def hold(self, predicted: Predicted, *, is_stored: bool) -> bool:
        """Whether what an earlier run predicted is here, so that workers can be supplied with it."""
        contents = predicted.files.contents
        if not is_stored and any(self._arrived(digest) is None for digest in contents):
            return False
        self._sizes |= contents
        return True

    def drop(self, worker: str) -> None:
        """Forget what a worker was asked, and end it there."""
        future = self._asked.pop(worker, None)
        if future is None:
            return
        with contextlib.suppress(Exception):
            future.cancel(force=True)
        if worker in self._alive:
            self._aside(self._tell, worker, task.give_up, future.key).join(_TELL_SECONDS)

    def end(self) -> None:
        """End what still runs."""
        self._stop.set()
        for worker in list(self._asked):
            self.drop(worker)

    def _renew(self, worker: str) -> None:
        """Let what a worker runs for this client go on, as long as the client lives."""
        while not self._stop.wait(_RENEW_SECONDS):
            self._tell(worker, task.renew, self.run)

    def _tell(self, worker: str, function: Callable[[str], None], argument: str) -> None:
        with contextlib.suppress(Exception):
            self.client.run(function, argument, workers=[worker], on_error="ignore")

    def _aside(self, function: Callable[..., None], *arguments: object) -> threading.Thread:
        """Call something in a thread of its own: a worker that hangs answers nothing for minutes."""
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        return thread

    def _read(self, worker: str, future: Any) -> Answer:
        del self._asked[worker]
        if future.status == "cancelled":  # the connection was lost for a while; what ran then still does
            self._aside(self._tell, worker, task.give_up, future.key)
            return Answer(kind="failed", why="the connection was lost")
        try:
            return Answer.model_validate_json(future.result(timeout=_RESULT_SECONDS))
        except ModuleNotFoundError as error:
            why = f"it lacks keras-validator or what it needs ({error})"
            return Answer(kind="other-tool", why=why)
        except Exception as error:  # of the transport, or of code that is not ours
            reason = " ".join(str(error).split())[:300]
            return Answer(kind="failed", why=f"{type(error).__name__}: {reason}")

    def _send(self, worker: str, digest: str, path: Path) -> str:
        transfer = uuid.uuid4().hex
        left = path.stat().st_size
        if file_digest(path) != digest:
            return f"{path} changed since the run began; run again"
        with path.open("rb") as file:
            while True:
                piece = file.read(min(_PIECE, left))
                left -= len(piece)
                is_last = left <= 0 or not piece
                asked = {"last": is_last, "workers": [worker], "on_error": "return"}
                answers = self._reached(self.client.run, task.receive, digest, transfer, piece, **asked)
                why = answers.get(worker, "it is gone")
                if why:
                    return why if isinstance(why, str) else f"{type(why).__name__}: {why}"[:300]
                if is_last:
                    return ""

    def _receive(self, worker: str, digest: str, size: int) -> str:
        partial = self.arrived / f"{digest}.{uuid.uuid4().hex}.part"
        try:
            with partial.open("wb") as file:
                while file.tell() < size:
                    asked = {"workers": [worker], "on_error": "return"}
                    answers = self._reached(self.client.run, task.send, digest, file.tell(), **asked)
                    piece = answers.get(worker)
                    if not isinstance(piece, bytes) or not piece:
                        return f"what it predicted cannot be had from it: {_short(piece) or 'it is gone'}"
                    file.write(piece)
            if file_digest(partial) != digest:
                return "what it predicted arrived damaged"
            partial.replace(self.arrived / digest)
        except OSError as error:
            return f"what it predicted cannot be written here: {error.strerror or error}"
        finally:
            partial.unlink(missing_ok=True)
        return ""

    def _arrived(self, digest: str) -> Path | None:
        path = self.arrived / digest
        return path if path.is_file() else None

    def _too_much(self, what: str, total: int) -> str:
        if total <= self.limit:
            return ""
        return (
            f"{total / 2**30:.3g} GiB {what}, over the {self.limit / 2**30:.3g} GiB that are sent through "
            "the scheduler; name a `store` that all workers reach, or raise `transfer_gib`"
        )

    def _reached(self, ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What the scheduler answers. LostError where it does not."""
        try:
            return ask(*arguments, **options)
        except Exception as error:  # of the transport
            status = getattr(self.client, "status", "closed")
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise LostError(f"{status}: {reason}") from None


def _short(value: object) -> str:
    return " ".join(str(value or "").split())[:300]


def _by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, looked up where it is called: a worker that cannot import a function is ended by Dask."""
    module, name = function.__module__, function.__name__

    def call(*arguments: object) -> Any:
        import importlib

        return getattr(importlib.import_module(module), name)(*arguments)

    return call


@contextlib.contextmanager
def connected(executor: Executor, say: Callable[[str], None]) -> Iterator[Any]:
    """A client of the executor's cluster, which is started and ended where it is one to start.

    Raises:
        ConfigurationError: Dask is not installed, or the cluster does not start.
        CannotJudgeError: the scheduler cannot be reached.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ConfigurationError(
            "--executor needs Dask: pip install 'keras-upgrade-validator[dask]', here and on all workers"
        ) from None
    # What it logs of a lost worker is said by us; only what it cannot go on with is an error.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        target: Any = executor.address
        if executor.cluster is not None:
            target = stack.enter_context(executor.start())
        try:
            client: Any = Client(target, timeout=executor.wait_seconds, set_as_default=False)  # type: ignore[no-untyped-call]
        except Exception as error:  # of the transport, or of Dask's own configuration, such as its TLS
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise CannotJudgeError(
                f"the scheduler {executor.scheduler or executor.cluster} cannot be reached: {reason}; check "
                "its address, the network, and Dask's settings"
            ) from None
        stack.enter_context(client)
        if client.dashboard_link:
            say(f"dashboard of the cluster: {client.dashboard_link}")
        yield client


def stored(files: Collected, store: str, say: Callable[[str], None]) -> None:
    """Bring contents to the common store, as far as it lacks them. ConfigurationError where that fails."""
    try:
        put(store, files.sources, say)
    except OSError as error:
        raise ConfigurationError(str(error)) from None

"""Where shards are run, as `--executor` says it: a scheduler, a class of clusters, or a YAML file."""

from __future__ import annotations

import contextlib
import importlib
import logging
import queue
import re
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, JsonValue, ValidationError, model_validator

from validator.base import Frozen
from validator.documents import first_problem, read_bytes
from validator.errors import ConfigurationError

#: Class of clusters → its module, and the package that brings it. Others are started by whoever has them.
CLASSES = {
    "LocalCluster": ("distributed", "distributed"),
    "SSHCluster": ("distributed", "asyncssh"),
    "KubeCluster": ("dask_kubernetes.operator", "dask-kubernetes"),
    **{
        f"{queue}Cluster": ("dask_jobqueue", "dask-jobqueue")
        for queue in ("SLURM", "PBS", "LSF", "SGE", "OAR", "Moab", "HTCondor")
    },
}
_ADDRESS = re.compile(r"(dask|tcp|tls|ws|wss|ucx)://\S+")
_MOST_BYTES = 1 << 20
_POLL_SECONDS = 0.1
_INTERRUPTED_SECONDS = 20.0  # for a start to end that is interrupted
#: What ends the processes of an SSHCluster that nobody can end any more: SSH itself leaves them there.
_SSH_OPTIONS = {"scheduler_options": {"idle_timeout": 3600}, "worker_options": {"death_timeout": 60}}


class Executor(Frozen):
    """A Dask cluster: one that runs already, or one that is started for the run and ended after it."""

    scheduler: str | None = Field(
        default=None, description="Address of a running scheduler, such as `dask://host:8786`."
    )
    cluster: str | None = Field(default=None, description=f"One of {', '.join(CLASSES)}.")
    options: dict[str, JsonValue] = Field(
        default={}, description="Arguments of the cluster's class, as its documentation names them."
    )
    workers: int | None = Field(
        default=None, ge=1, le=4096, description="How many workers the cluster is scaled to."
    )
    shards: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="How many shards there are at most. Default: one per compared environment, or one per "
        "worker that is there within 30 seconds, whichever is more.",
    )
    store: str | None = Field(
        default=None,
        description="Folder that this machine and all workers reach, as a path or an address that fsspec "
        "knows. Without one, files are sent through the scheduler.",
    )
    transfer_gib: float = Field(
        default=2.0, gt=0, le=1024, description="Most that is sent to a worker through the scheduler, in GiB."
    )
    retries: int = Field(
        default=2,
        ge=0,
        le=100,
        description="How often a shard is run again after its worker was lost or failed.",
    )
    slow_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86400,
        description="A shard that takes this long, and three times as long as half of the others, is also "
        "given to a worker that is idle.",
    )
    wait_seconds: float = Field(
        default=120.0,
        gt=0,
        le=86400,
        description="How long to wait for the scheduler, and for a worker that can be used.",
    )
    samples: int = Field(
        default=100_000,
        ge=1,
        description="A recording with more samples is predicted in pieces of so many, one a worker.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Patterns of files, from the root of the checkout, that no shard needs: `data/**`.",
    )

    @model_validator(mode="after")
    def _names_a_cluster(self) -> Executor:
        if (self.scheduler is None) == (self.cluster is None):
            raise ValueError("name either a `scheduler` or a `cluster`")
        if self.cluster is not None and self.cluster not in CLASSES:
            raise ValueError(
                f"cluster {self.cluster!r} is none of {', '.join(CLASSES)}: start it, name its `scheduler`"
            )
        if self.scheduler is not None and not _ADDRESS.fullmatch(self.scheduler):
            raise ValueError(f"scheduler {self.scheduler!r} is no address such as dask://host:8786")
        if self.workers is not None and {"n_workers", "hosts"} & self.options.keys():
            raise ValueError("`workers` and `options` both say how many workers there are; leave one out")
        if self.cluster == "SSHCluster" and not self._has_hosts():
            raise ValueError("SSHCluster needs `options.hosts`: the scheduler's, and one for each worker")
        if self.scheduler is not None and (self.options or self.workers):
            raise ValueError(
                "`options` and `workers` are of a `cluster` that is started, not of a `scheduler`"
            )
        return self

    @classmethod
    def read(cls, text: str) -> Executor:
        """What `--executor` names. ConfigurationError where it is none of what can be named."""
        if _ADDRESS.fullmatch(text):
            return cls(scheduler=text)
        path = Path(text)
        if text not in CLASSES and path.suffix not in (".yml", ".yaml"):
            raise ConfigurationError(
                f"--executor {text!a}: name a scheduler (dask://host:8786), a class of Dask clusters "
                f"({', '.join(CLASSES)}), or a YAML file that describes one"
            )
        try:
            is_class = text in CLASSES
            value: Any = {"cluster": text} if is_class else yaml.safe_load(read_bytes(path, _MOST_BYTES))
            return cls.model_validate(value)
        except ValidationError as error:
            problem = first_problem(error).removeprefix("Value error, ")
        except OSError as error:
            problem = str(error.strerror or error)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            problem = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"--executor {text}: {problem}")

    @property
    def address(self) -> str:
        """The scheduler's address as Dask writes it."""
        scheme, _, place = (self.scheduler or "").partition("://")
        return f"{'tcp' if scheme == 'dask' else scheme}://{place}"

    def start(self) -> Any:
        """Start the cluster. ConfigurationError where its package is missing, or it does not start."""
        name = self.cluster or ""
        module, package = CLASSES[name]
        try:
            with _own_interrupts():
                importlib.import_module(package.replace("-", "_"))
                kind = getattr(importlib.import_module(module), name)
        except ImportError:
            raise ConfigurationError(f"{name} needs a package: pip install {package}") from None
        options: dict[str, Any] = dict(self.options)
        if name == "LocalCluster":
            options.setdefault("silence_logs", logging.CRITICAL)
        if name == "SSHCluster":
            for key, defaults in _SSH_OPTIONS.items():
                given = options.get(key) or {}
                options[key] = {**defaults, **given} if isinstance(given, dict) else given
        with _unsaid() as lines:
            try:
                return _whole(lambda: self._started(kind, options, lines))
            except Exception as error:  # whatever a cluster's own code raises
                raise ConfigurationError(f"{name} does not start{_reason(error, lines)}") from None

    def _started(self, kind: Callable[..., Any], options: dict[str, Any], lines: list[str]) -> Any:
        cluster = kind(**options)
        if self.workers is None:
            return cluster
        cluster.scale(self.workers)
        # Clusters of Dask's own kind ask for workers beside this; a queue may refuse their jobs.
        asked = getattr(cluster, "worker_spec", {})
        last = time.monotonic() + self.wait_seconds
        while len(getattr(cluster, "workers", asked)) < len(asked) and time.monotonic() < last:
            time.sleep(_POLL_SECONDS)
        if asked and all(each.status.name == "created" for each in cluster.workers.values()):
            time.sleep(10 * _POLL_SECONDS)  # the reason is logged after that
            cluster.shutdown_on_close = False  # which would fail as this does, once the process ends
            with contextlib.suppress(Exception):  # that these workers do not run
                cluster.close()
            raise RuntimeError(lines[-1] if lines else "none of its workers can be asked for")
        return cluster

    def _has_hosts(self) -> bool:
        hosts = self.options.get("hosts")
        return isinstance(hosts, list) and len(hosts) > 1


def _whole(start: Callable[[], Any]) -> Any:
    """What a function starts. If interrupted, it is ended once it is there: half of one cannot be ended."""
    ended: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            ended.put((start(), None))
        except BaseException as error:  # raised again where it is waited for
            ended.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        cluster, error = ended.get()
    except KeyboardInterrupt:
        with contextlib.suppress(queue.Empty):
            cluster, error = ended.get(timeout=_INTERRUPTED_SECONDS)
            if error is None:
                cluster.close()
        raise
    if error is not None:
        raise error
    return cluster


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep what Ctrl-C does: once dask_jobqueue is imported, it would end this process with 0."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if before is not None and signal.getsignal(signal.SIGINT) != before:
            signal.signal(signal.SIGINT, before)


class _Keeper(logging.Handler):
    """Keeps the errors among what is logged, and those that processes write, of which Dask logs all lines."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        error = record.exc_info[1] if record.exc_info else None
        text = str(error or record.getMessage())
        if " - INFO - " not in text:
            self._lines.append(text.rpartition("stderr:")[2].strip() or text)


@contextlib.contextmanager
def _unsaid() -> Iterator[list[str]]:
    """What goes wrong in hosts of an SSHCluster, and in jobs of a queue: it is logged, and not raised."""
    lines: list[str] = []
    keeper = _Keeper(lines)
    with contextlib.ExitStack() as undo:
        for name in ("distributed.deploy.ssh", "tornado.application"):
            logger = logging.getLogger(name)
            undo.callback(logger.setLevel, logger.level)
            undo.callback(setattr, logger, "propagate", logger.propagate)
            undo.callback(setattr, logger, "handlers", logger.handlers)
            logger.handlers, logger.propagate = [keeper], False
            logger.setLevel(logging.INFO)
        yield lines


def _reason(error: BaseException, lines: list[str]) -> str:
    """What an error says, and what its first cause says: Dask wraps errors in more general ones.

    `lines`: what a process said that did not start.
    """
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    whole, cause = (" ".join(str(each).split()) or type(each).__name__ for each in (error, first))
    text = whole if cause in whole else f"{whole}: {cause}"
    if cause == "Worker failed to start" and lines:  # which Dask says of a scheduler, too
        text = lines[-1]
    host = _host(first)
    return f"{f' on {host}' if host else ''}: {text[:500]}"


def _host(error: BaseException) -> str:
    """Which of an SSHCluster's hosts an error is of; few of them say it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        process = frame.f_locals.get("self")
        if frame.f_globals.get("__name__") == "distributed.deploy.ssh" and process is not None:
            return str(process.address)
    return ""

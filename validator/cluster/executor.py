"""Where shards are run, as `--executor` says it: a scheduler, a class of clusters, or a YAML file."""

from __future__ import annotations

import importlib
import logging
import re
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
        if text in CLASSES:
            return cls(cluster=text)
        path = Path(text)
        if path.suffix not in (".yml", ".yaml"):
            raise ConfigurationError(
                f"--executor {text!a}: name a scheduler (dask://host:8786), a class of Dask clusters "
                f"({', '.join(CLASSES)}), or a YAML file that describes one"
            )
        try:
            value: Any = yaml.safe_load(read_bytes(path, _MOST_BYTES))
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
            kind = getattr(importlib.import_module(module), name)
        except ImportError:
            raise ConfigurationError(f"{name} needs a package: pip install {package}") from None
        try:
            quiet = {"silence_logs": logging.CRITICAL} if name == "LocalCluster" else {}
            cluster = kind(**{**quiet, **self.options})
            if self.workers is not None:
                cluster.scale(self.workers)
        except Exception as error:  # whatever a cluster's own code raises
            raise ConfigurationError(f"{name} does not start: {_reason(error)}") from None
        return cluster


def _reason(error: BaseException) -> str:
    """What an error says, and what the first cause of it says: Dask wraps errors in more general ones."""
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    texts = (" ".join(str(each).split()) or type(each).__name__ for each in (error, first))
    return ": ".join(dict.fromkeys(texts))[:500]

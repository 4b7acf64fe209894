"""What a shard of a cluster is asked: the client's request, with what must be the same for all shards."""

from __future__ import annotations

import os
import signal
import sys
import threading

from pydantic import Field, ValidationError

from validator.base import Frozen
from validator.cluster import Provenance, Tool
from validator.documents import first_problem
from validator.errors import ConfigurationError


class ShardRequest(Frozen):
    """A request as JSON. Paths are from the folder where the shard's process is started.

    `tool`: the digest of the client's own files. `shard`: `2/3`. `base` and `head` are commits. `instant`:
    when ranges are resolved. `pins`: address → digest of what the client fetched, which lies in the shard's
    cache. `piece`: predict `2/8` of the batches of recordings with more than `longest` samples, and no more.
    `pieces`: what made those that were predicted already, in their order.
    """

    tool: str
    config: str
    shard: str
    only: tuple[str, ...] = ()
    jobs: int | None = None
    base: str | None = None
    head: str | None = None
    models: tuple[str, ...] = ()
    baseline: str = ""
    against: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    prereleases: bool = False
    instant: str | None = None
    pins: dict[str, str] = Field(default_factory=dict)
    origin: bool = True
    piece: str = ""
    longest: int = Field(default=1, ge=1)
    pieces: tuple[Provenance, ...] = ()

    @classmethod
    def read(cls) -> ShardRequest:
        """The first line of standard input; once that is closed, this process is interrupted.

        Whoever asked keeps it open as long as it waits for the shard.

        Raises:
            ConfigurationError: it is none.
        """
        line = sys.stdin.buffer.readline()
        try:
            request = cls.model_validate_json(line)
        except ValidationError as error:
            raise ConfigurationError(f"the shard's request cannot be read: {first_problem(error)}") from None
        own = Tool.this()
        if request.tool != own.sha256:  # installed anew since the worker started
            raise ConfigurationError(
                f"this worker has {own.name}, and the run another; start the worker again"
            )
        threading.Thread(target=_interrupted_at_end, daemon=True).start()
        return request


def _interrupted_at_end() -> None:
    while os.read(sys.stdin.fileno(), 1 << 10):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

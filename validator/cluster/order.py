"""What the client asks of a worker, and what it answers; both travel as JSON."""

from __future__ import annotations

import hashlib
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Literal

from validator import __version__
from validator.base import Frozen, Text
from validator.cluster.files import Bundle


class Tool(Frozen):
    """A keras-validator: its version, and a digest of its files. `system`: what locks are resolved for."""

    version: str
    sha256: str
    system: str

    @classmethod
    def this(cls) -> Tool:
        """The one that runs."""
        system = f"{sys.platform} {platform.machine()}"
        return cls(version=__version__, sha256=_own_digest(), system=system)

    @property
    def name(self) -> str:
        """As it is told apart from another."""
        return f"keras-validator {self.version} ({self.sha256[:12]})"

    def same_code(self, other: Tool) -> bool:
        """Whether another is the same code."""
        return (self.version, self.sha256) == (other.version, other.sha256)


class Order(Frozen):
    """One shard to run. `request`: as the command line's hidden `shard` reads it. `run`: whose lease counts.

    `part`: the file that it leaves. `store`: where contents lie that this worker does not have. `system`: the
    client's kind of machine. `pieces`: what others predicted for it, which it finds in its run folder. An
    order with the part `piece.json` is for such a piece; what the part lists then stays with the worker.
    `after`: names of orders that must have ended before.
    """

    name: str
    run: str
    part: str
    system: str
    bundle: Bundle
    request: str
    store: str | None = None
    pieces: Bundle = Bundle(files=())
    after: tuple[str, ...] = ()


class Answer(Frozen):
    """What became of an order.

    `done` has the part that the shard left. `missing`: contents that the worker lacks. `other-tool`: the
    worker has another keras-validator. `refused`: no worker can do it. `failed`: another may.
    """

    kind: Literal["done", "missing", "other-tool", "refused", "failed"]
    part: str = ""
    missing: tuple[str, ...] = ()
    why: Text = ""
    seconds: float = 0.0


@cache
def _own_digest() -> str:
    """A digest of the names and contents of the package's files."""
    root = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    return total.hexdigest()

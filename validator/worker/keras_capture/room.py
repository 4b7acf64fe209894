"""How much memory a job may still take: what needs more does with less, or says so before it is killed."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Optional

from keras_capture.failures import UnusableError

_GIB = 2**30
_MARGIN = 0.95  # of what is left; the rest is for what nobody counts
_PROCESS = Path("/proc/self/statm")


class NoRoomError(UnusableError):
    """What was asked for needs more memory than is left."""


class _Limit:
    """The most resident bytes of this process; None for no limit. It is the runner that keeps it."""

    resident: Optional[int] = None


def set_limit(resident: Optional[int]) -> None:
    """What the runner allows this process."""
    _Limit.resident = resident


def room() -> float:
    """Bytes that may still be taken; infinity where there is no limit, or no way to tell (macOS).

    TensorFlow keeps memory that it was given once. How much of that fits again is not known: it is taken.
    """
    if _Limit.resident is None or not _PROCESS.exists():
        return math.inf
    taken = int(_PROCESS.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return max(0.0, _MARGIN * (_Limit.resident - taken))


def require(size: float, what: str) -> None:
    """Raise `NoRoomError` where there is no room for so many bytes."""
    left = room()
    if size > left:
        raise NoRoomError(
            f"{what} needs about {size / _GIB:.1f} GiB more memory, and {left / _GIB:.1f} GiB are left: "
            "raise limits.memory_gib, or take a machine with more memory"
        )

"""The memory that workers can have: that of the machine, or what a container is allowed of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_SHARE = 0.9  # of all memory: the default limit of a worker


def total(groups: Path = _GROUPS, mount: Path = _MOUNT) -> int:
    """Bytes of memory; in a container, those of its limit."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _limits(groups, mount))])


def available(groups: Path = _GROUPS, mount: Path = _MOUNT) -> int:
    """Bytes that are free, or would be if files were read again."""
    rooms = (max(0, limit - used) for limit, used in _limits(groups, mount))
    return min([psutil.virtual_memory().available, *rooms])


def share_left() -> float:
    """How much of all memory is available, from 0 to 1."""
    return available() / total()


def default_memory() -> int:
    """The most resident bytes of a worker where nothing else is said: 90 % of all memory."""
    return int(total() * _SHARE)


def _limits(groups: Path, mount: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group around this process that has a limit; version 2, and 1.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    try:
        lines = [line.split(":", 2) for line in groups.read_text(encoding="utf-8").splitlines()]
    except OSError:  # no Linux
        return
    for _, controllers, path in lines:
        if controllers and "memory" not in controllers.split(","):
            continue
        root = mount / "memory" if controllers else mount
        names = ("limit_in_bytes", "usage_in_bytes") if controllers else ("max", "current")
        inner = Path(path.lstrip("/"))
        for folder in dict.fromkeys((root / inner, *(root / each for each in inner.parents), root)):
            with contextlib.suppress(OSError, ValueError):  # `max`, or a group without the controller
                limit = _number(folder / f"memory.{names[0]}")
                used = _number(folder / f"memory.{names[1]}")
                yield limit, used - _cached(folder / "memory.stat")


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def _cached(statistics: Path) -> int:
    """Bytes of files that were read and can be dropped."""
    with contextlib.suppress(OSError, ValueError):
        for line in statistics.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name in ("inactive_file", "total_inactive_file"):
                return int(value)
    return 0

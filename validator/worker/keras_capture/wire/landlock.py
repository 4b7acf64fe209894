"""What a process may open: Landlock, the kernel's own list, which a process and its children can only narrow.

Three system calls of a documented interface (https://docs.kernel.org/userspace-api/landlock.html) and no
library. As a program, `python -IS landlock.py POLICY PYTHON …` confines itself and becomes the command.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import glob
import json
import os
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

#: The first version of use: before it (Linux 5.19), no file can be moved to another folder.
OLDEST = 2
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on every architecture
_DROP_CAPABILITY, _SET_NO_NEW_PRIVILEGES = 24, 38  # man 2 prctl; the second: no sudo, no setuid
_CAPABILITIES = range(4, 64)  # all of root's but those over the owners and modes of files
_READ = 0b1101  # execute, read files, list folders
_LIST = 0b1000
_WRITE = 0b11111111110010  # write files; remove, make and move entries of every kind
_TRUNCATE, _DEVICES = 1 << 14, 1 << 15  # since versions 3 and 5
_OF_FILES = 0b111 | _TRUNCATE | _DEVICES
_ALONE = 0b11  # scopes since version 6: abstract sockets, signals
#: What frameworks write outside their folders: GPUs, terminals, shared memory.
_ALWAYS = (
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"),
    *("/dev/pts", "/dev/dri", "/dev/kfd", "/dev/nvidia*", "/dev/accel*", "/dev/infiniband"),
    "/dev/shm",  # noqa: S108 - shared memory has no other place
)


def version() -> int:
    """The kernel's version of Landlock; 0 where there is none, or where a container forbids it."""
    return max(0, _call(_CREATE, None, 0, 1)) if sys.platform.startswith("linux") else 0


def confine(write: Iterable[str], hidden: Sequence[str] = (), read: Iterable[str] = ()) -> bool:
    """Forbid this process and its children to write anything else, and to read what is hidden; for good.

    Nor can they gain privileges, as by sudo, or reach processes outside: neither their memory nor, since
    version 6, by signals. Call it before threads are started. Returns False where the kernel cannot do it.

    Args:
        write: files and folders, with all that lies in them; what does not exist is left out.
        hidden: files and folders; `FOLDER/.*` hides what begins with a dot there. Empty: all can be read.
        read: what can be read although it lies in something hidden.
    """
    if not sys.platform.startswith("linux"):
        return False
    for capability in _CAPABILITIES:  # root keeps what it has until it becomes another program
        _system().prctl(_DROP_CAPABILITY, capability, 0, 0, 0)
    _system().prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    has = version()
    if has < OLDEST:
        return False
    writing = _WRITE | _TRUNCATE * (has >= 3) | _DEVICES * (has >= 5)
    handled = writing | _READ * bool(hidden)
    size = 24 if has >= 6 else 16 if has >= 4 else 8  # what this version knows: files, network, scopes
    attributes = struct.pack("=QQQ", handled, 0, _ALONE * (has >= 6))[:size]
    rules = _call(_CREATE, attributes, len(attributes), 0)
    if rules < 0:
        return False
    for path in (*write, *(place for pattern in _ALWAYS for place in glob.glob(pattern))):
        _allow(rules, path, handled)
    if hidden:
        _allow(rules, "/", _LIST)
        for path in (*_visible(hidden), *read):
            _allow(rules, path, _READ)
    done = _call(_RESTRICT, rules, 0)
    os.close(rules)
    return done == 0


def _visible(hidden: Sequence[str]) -> Iterator[str]:
    """Everything that is not hidden, in as few paths as possible; not what a link leads to."""
    ancestors = {str(folder) for path in hidden for folder in Path(path).parents}
    for folder in ancestors:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                dotted = entry.name.startswith(".") and os.path.join(folder, ".*") in hidden
                if not (dotted or entry.path in ancestors or entry.path in hidden or entry.is_symlink()):
                    yield entry.path


def _allow(rules: int, path: str, access: int) -> None:
    with contextlib.suppress(OSError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_FILES
        _call(_ADD, rules, 1, struct.pack("=Qi", access, place), 0)
        os.close(place)


def _call(*arguments: object) -> int:
    """A system call; negative where it fails."""
    words = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    return int(_system().syscall(*words))


@functools.lru_cache(maxsize=None)
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None)


if __name__ == "__main__":
    confine(**json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606

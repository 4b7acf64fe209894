"""One worker process: started with an allow-list of variables, logged within bounds, killed with its jobs."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import psutil

from validator.failure import Failure
from validator.runner.sandbox import WORKER, Sandbox, end_orphans

_LOG_BYTES = 1 << 20
_TAIL_BYTES = 8000
_GUARD_SECONDS = 10.0  # for the guard to end what is below it
#: What a worker may see of the caller's environment. Nothing else passes: no token, no write file of a CI.
_ALLOWED = (
    *("CUDA_VISIBLE_DEVICES", "DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH", "PATH"),
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ"),
)
_HINTS = {"SIGKILL": "; the system may have run out of memory", "SIGBUS": "; the disk may be full"}

if sys.platform == "win32":  # pragma: no cover
    raise ImportError("workers run in process groups, which Windows lacks; use Linux, macOS or WSL")


#: Workers' guards that live; whoever starts or ends one holds the lock, lest it look like an orphan.
_GUARDS: set[int] = set()
_CHANGING = threading.Lock()


class WorkerProcess:
    """A running worker below its guard (docs/protocol.md). Each job has a process group of its own."""

    def __init__(
        self, python: Path, folder: Path, variables: Mapping[str, str], sandbox: Sandbox | None = None
    ) -> None:
        """Start a worker in a folder, which takes its log and its home. Raises OSError where it cannot.

        In a sandbox it writes nothing outside the parent of its folder, where the jobs' folders lie.
        """
        if not python.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(python))
        confined = sandbox.command(python, folder.parent) if sandbox else []
        # The guard notices by this pipe when its runner is gone, however that died.
        lifeline, self._holder = os.pipe()
        environ = {**worker_environ(folder, variables), "KERAS_VALIDATOR_LIFELINE": str(lifeline)}
        try:
            with _CHANGING:
                self._process = subprocess.Popen(
                    [*confined, str(python), "-I", "-X", "utf8", str(WORKER)],
                    env=environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    start_new_session=True,
                    pass_fds=(lifeline,),
                )
                _GUARDS.add(self._process.pid)
        except OSError:
            os.close(self._holder)
            raise
        finally:
            os.close(lifeline)
        assert self._process.stdin is not None  # noqa: S101 - stdin=PIPE
        assert self._process.stdout is not None  # noqa: S101 - stdout=PIPE
        self._output = self._process.stdout
        self._requests = self._process.stdin
        self._folder = folder
        self.log = WorkerLog(folder / "worker.log")
        self._reader = threading.Thread(target=self.log.keep, args=(self._output,), daemon=True)
        self._reader.start()

    def send(self, request: Path) -> None:
        """Ask for the jobs of a request file. A worker that has ended takes none, and `ended` tells."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(str(request).encode("utf-8", "surrogateescape") + b"\n")
            self._requests.flush()

    def ended(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._process.poll() is not None

    def kill_job(self, pid: int) -> None:
        """Kill the process of a job and everything in its group."""
        # The number may belong to another process by now. The guard says nothing where the worker died.
        if self._is_own(pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill the worker with everything it started."""
        os.close(self._holder)
        self._signal(signal.SIGCONT)  # a model may have stopped the guard
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GUARD_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()
        with _CHANGING:
            _GUARDS.discard(self._process.pid)
            end_orphans(_GUARDS)
        for pid in filter(self._is_own, psutil.pids()):  # none, unless the guard was killed before
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._reader.join(timeout=5)
        if not self._reader.is_alive():
            self._output.close()
        shutil.rmtree(self._folder / "home", ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the guard, unless it has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self._process.send_signal(number)

    def _is_own(self, pid: int) -> bool:
        """Whether a process is one of this worker's: it has its home."""
        with contextlib.suppress(psutil.Error, OSError):
            return psutil.Process(pid).environ().get("HOME") == str(self._folder / "home")
        return False

    def crash(self) -> Failure | None:
        """Why an ended worker ended, unless it ended well."""
        return death(self._process.returncode) if self._process.returncode else None


def resident(pid: int) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total


def death(code: int) -> Failure:
    """The end of a process before its work was done. `code` is its exit status, or minus a signal."""
    if code == 0:
        message = "the worker ended with exit code 0 without finishing this job, as after os._exit(0)"
        return Failure(stage="crash", error="exit 0", message=message)
    if code > 0:
        return Failure(stage="crash", error=f"exit {code}", message=f"the worker ended with exit code {code}")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = _HINTS.get(name, "")
    return Failure(stage="crash", error=name, message=f"the worker was ended by {name}{hint}")


def worker_environ(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The worker's whole environment. Its home is a folder of the run: no credentials, no keras.json."""
    home, scratch = folder / "home", folder / "home" / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    allowed = {name: os.environ[name] for name in _ALLOWED if name in os.environ}
    own = {"HOME": str(home), "KERAS_HOME": str(home / ".keras"), "TMPDIR": str(scratch)}
    return {**allowed, "TF_CPP_MIN_LOG_LEVEL": "2", **own, **variables}


class WorkerLog:
    """Keeps a worker's output: all of it up to a bound, and the end of it whatever its length."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = b""

    def keep(self, stream: IO[bytes]) -> None:
        """Read a stream to its end, also where nothing more can be written: a full pipe stops the worker."""
        written = 0
        while chunk := os.read(stream.fileno(), 1 << 16):
            self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
            room = _LOG_BYTES - written
            if room > 0:
                more = b"\n[more was printed and not kept]\n" if len(chunk) >= room else b""
                with contextlib.suppress(OSError), self._path.open("ab") as file:
                    file.write(chunk[:room] + more)
            written += len(chunk)

    def tail(self) -> str:
        """The end of the output."""
        return self._tail.decode("utf-8", errors="replace")

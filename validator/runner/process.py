"""One worker process: started with an allow-list of variables, logged within bounds, killed as a group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import psutil

from validator.results import Failure

WORKER = Path(__file__).resolve().parent.parent / "worker"
_LOG_BYTES = 1 << 20
_TAIL_BYTES = 8000
#: What a worker may see of the caller's environment. Nothing else passes: no token, no write file of a CI.
ALLOWED = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "DYLD_LIBRARY_PATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "LD_LIBRARY_PATH",
        "PATH",
        "TZ",
    }
)
_HINTS = {
    "SIGKILL": "; the system may have run out of memory",
    "SIGBUS": "; the disk may be full",
}

if sys.platform == "win32":  # pragma: no cover
    raise ImportError("workers run in process groups, which Windows lacks; use Linux, macOS or WSL")


class WorkerProcess:
    """A running worker. A context manager: when it is left, the worker and its children are gone."""

    def __init__(self, python: Path, folder: Path, variables: Mapping[str, str]) -> None:
        """Start a worker on a folder with a request.

        Raises:
            OSError: the interpreter cannot be started.
        """
        # The worker notices by this pipe when its supervisor is gone, however that died.
        lifeline, self._holder = os.pipe()
        environ = {**worker_environ(folder, variables), "KERAS_VALIDATOR_LIFELINE": str(lifeline)}
        try:
            self._process = subprocess.Popen(
                [str(python), "-I", str(WORKER), str(folder)],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
                pass_fds=(lifeline,),
            )
        except OSError:
            os.close(self._holder)
            raise
        finally:
            os.close(lifeline)
        assert self._process.stdout is not None  # noqa: S101 - stdout=PIPE
        self._log = _Log(folder / "worker.log")
        self._reader = threading.Thread(target=self._log.keep, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._holder)
        self._reader.join(timeout=5)

    def ended(self) -> bool:
        """Whether the worker has ended by itself."""
        return self._process.poll() is not None

    def resident(self) -> int:
        """Resident bytes of the worker and its children."""
        total = 0
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            for member in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += member.memory_info().rss
        return total

    def log_tail(self) -> str:
        """The end of what the worker printed."""
        return self._log.tail()

    def crash(self) -> Failure | None:
        """Why an ended worker ended, unless it ended well."""
        code = self._process.returncode
        if code == 0:
            return None
        if code > 0:
            return Failure(
                stage="crash", error=f"exit {code}", message=f"the worker ended with exit code {code}"
            )
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        message = f"the worker was ended by {name}{_HINTS.get(name, '')}"
        return Failure(stage="crash", error=name, message=message)


def worker_environ(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The worker's whole environment. Its home is a folder of the run: no credentials, no keras.json."""
    home = folder / "home"
    scratch = home / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    allowed = {name: value for name, value in os.environ.items() if name in ALLOWED}
    own = {"HOME": str(home), "KERAS_HOME": str(home / ".keras"), "TMPDIR": str(scratch)}
    return {**allowed, "TF_CPP_MIN_LOG_LEVEL": "2", **own, **variables}


class _Log:
    """Keeps a worker's output: all of it up to a bound, and the end of it whatever its length."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = b""

    def keep(self, stream: IO[bytes]) -> None:
        """Read a stream to its end."""
        with self._path.open("ab") as file:
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                room = _LOG_BYTES - file.tell()
                if room > 0:
                    file.write(chunk[:room])
                    file.write(b"\n[more was printed and not kept]\n" if len(chunk) >= room else b"")
                    file.flush()

    def tail(self) -> str:
        """The end of the output."""
        return self._tail.decode("utf-8", errors="replace")

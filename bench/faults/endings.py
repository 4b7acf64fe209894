"""Faults of ends: every signal that ends a process, to the tool, to Nox, to a worker, at several moments.

No process may survive, and the next run must work at once and come to what it always comes to.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from bench.faults.fault import GATE, INTERRUPTED, OK, Fault, Outcome, expected
from bench.faults.workshop import ROOT, SECONDS, VERSIONS, Workshop, environment, summary

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL)
#: A process in the background starts with SIGINT ignored; a tool in front of a person does not.
_ATTENTIVE = "import os,signal,sys;[signal.signal(n,signal.SIG_DFL) for n in (1,2,3,15)];os.execv(sys.argv[1],sys.argv[1:])"
_PATIENCE = 15.0
#: The guard, the worker below it, and the process of a job.
_LEVELS = {"guard": 2, "worker": 1, "job": 0}


def signals() -> Iterator[Fault]:
    """Every signal, target and moment."""
    for number in SIGNALS:
        name = number.name.removeprefix("SIG").lower()
        code = -signal.SIGKILL if number == signal.SIGKILL else INTERRUPTED
        for moment in ("import", "job", "installation"):
            fault = f"tool-{name}-during-{moment}"
            yield Fault(
                "signals",
                fault,
                expected(code),
                attempt=_of_tool(number, moment),
                quick=fault == "tool-term-during-job",
            )
        yield Fault(
            "signals", f"group-{name}-during-job", expected(code), attempt=_of_tool(number, "job", group=True)
        )
        yield Fault("signals", f"nox-{name}-during-job", expected(OK), attempt=_of_nox(number))
        for level in _LEVELS:
            yield Fault(
                "signals", f"{level}-{name}-during-job", expected(GATE), attempt=_of_worker(number, level)
            )
        yield Fault(
            "signals", f"guard-{name}-during-import", expected(GATE), attempt=_of_importing_worker(number)
        )
    yield Fault(
        "signals",
        "tool-int-twice",
        expected(INTERRUPTED, -2, 1),
        attempt=_of_tool(signal.SIGINT, "job", times=2),
    )
    yield Fault("signals", "tool-stopped-and-continued", expected(GATE), attempt=_stopped)


def _project(workshop: Workshop) -> Path:
    """Three models as everywhere; the first one waits while a file lies beside it."""
    waits = {**workshop.three[0], "builder_arguments": {"mutation": "waits", "side": "both"}}
    return workshop.project("stand-in", [waits, *workshop.three[1:]])


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _ATTENTIVE, sys.executable, *command],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def _command(config: Path) -> list[str]:
    return ["-m", "validator", "run", "-c", str(config), "-o", str(config.parent / "run")]


def _wait(until: Callable[[], object], process: subprocess.Popen[str], seconds: float = SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline or process.poll() is not None:
            return bool(until())
        time.sleep(0.02)
    return True


def _processes(folder: Path) -> list[psutil.Process]:
    """Processes that name a project's folder in their command, their variables or as where they are."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
            if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in words):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _left(folder: Path) -> str:
    """Which processes of a project are still there after a moment."""
    deadline = time.monotonic() + _PATIENCE
    while (alive := _processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    names = ", ".join(" ".join(process.cmdline())[:100] for process in alive)
    for process in alive:
        process.kill()
    return f"still running: {names}" if alive else ""


def _again(workshop: Workshop, config: Path) -> str:
    """What is wrong with the next run."""
    for name in ("hang", "hang-import"):
        (config.parent / name).unlink(missing_ok=True)
    done, report = workshop.run(config)
    return (
        ""
        if summary(report) == workshop.usual
        else f"the next run: exit {done.code}: {done.errors[-200:]} {summary(report)}"
    )


def _ended(workshop: Workshop, config: Path, process: subprocess.Popen[str]) -> Outcome:
    """The end of a process that was signalled, and what follows."""
    try:
        out, _ = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        return Outcome(70, trouble="it does not end within 30 s")
    trouble = (
        _left(config.parent) or ("a traceback" if "Traceback" in out else "") or _again(workshop, config)
    )
    return Outcome(process.returncode, trouble=trouble)


def _of_tool(
    number: signal.Signals, moment: str, *, group: bool = False, times: int = 1
) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        config = _project(workshop)
        if moment == "installation":
            return _during_installation(workshop, config, number)
        (config.parent / ("hang-import" if moment == "import" else "hang")).touch()
        process = _start(_command(config))
        pattern = (
            "run/captures/*/+worker/request.json" if moment == "import" else "run/captures/*/same/started"
        )
        if not _wait(lambda: list(config.parent.glob(pattern)), process):
            return _ended(workshop, config, process)
        time.sleep(0.2)
        for _ in range(times):
            os.killpg(process.pid, number) if group else process.send_signal(number)
            time.sleep(0.05)
        return _ended(workshop, config, process)

    return attempt


def _during_installation(workshop: Workshop, config: Path, number: signal.Signals) -> Outcome:
    """An index that answers nothing: uv waits for it until the signal."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        waiting = workshop.project(
            "stand-in",
            workshop.three,
            share=False,
            requirements=["numpy==1.26.3"],
            install={"index_url": url},
        )
        process = _start(_command(waiting))
        _wait(
            lambda: any("uv" in (p.name() if p.is_running() else "") for p in _processes(waiting.parent)),
            process,
        )
        time.sleep(0.3)
        process.send_signal(number)
        out = _ended(workshop, config, process)
        return Outcome(out.code, trouble=out.trouble or _left(waiting.parent))


def _of_nox(number: signal.Signals) -> Callable[[Workshop], Outcome]:
    """Whatever code Nox ends with; OK stands for: nothing survives, and the next run is as ever."""

    def attempt(workshop: Workshop) -> Outcome:
        config = _project(workshop)
        (config.parent / "hang").touch()
        options = ["--config", str(config), "--output", str(config.parent / "run")]
        process = _start(["-m", "nox", "-f", str(ROOT / "noxfile.py"), "-s", "validate", "--", *options])
        if _wait(lambda: list(config.parent.glob("run/captures/*/same/started")), process):
            time.sleep(0.2)
            process.send_signal(number)
        out = _ended(workshop, config, process)
        return Outcome(OK if out.code else 70, trouble=out.trouble)

    return attempt


def _started(config: Path) -> int:
    import json

    (path, *_) = config.parent.glob(f"run/captures/keras-{VERSIONS['stand-in'][1]}/same/started")
    return int(json.loads(path.read_text())["pid"])


def _of_worker(number: signal.Signals, level: str) -> Callable[[Workshop], Outcome]:
    """A signal to a process of a worker costs the job that runs, and nothing else."""

    def attempt(workshop: Workshop) -> Outcome:
        waits = {**workshop.three[0], "builder_arguments": {"mutation": "waits", "side": "candidate"}}
        config = workshop.project("stand-in", [waits, *workshop.three[1:]])
        (config.parent / "hang").touch()
        process = _start(_command(config))
        candidate = f"run/captures/keras-{VERSIONS['stand-in'][1]}/same/started"
        if not _wait(lambda: list(config.parent.glob(candidate)), process):
            return _ended(workshop, config, process)
        time.sleep(0.1)
        job = psutil.Process(_started(config))
        ([job, *job.parents()][_LEVELS[level]]).send_signal(number)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            return Outcome(70, trouble="the run does not end within 60 s")
        from validator.report.json import load

        report = load((config.parent / "run" / "report.json").read_text(encoding="utf-8"))
        verdicts = {
            cell.cell.partition("@")[0]: cell.verdict for model in report.models for cell in model.cells
        }
        wrong = (
            ""
            if verdicts == {"same": "failed", "moved": "changed", "lost": "failed"}
            else f"verdicts {verdicts}"
        )
        return Outcome(process.returncode, trouble=wrong or _left(config.parent) or _again(workshop, config))

    return attempt


def _of_importing_worker(number: signal.Signals) -> Callable[[Workshop], Outcome]:
    """A worker that is ended while it imports: its environment is lost, with a sentence, and the run ends."""

    def attempt(workshop: Workshop) -> Outcome:
        config = workshop.project("stand-in", workshop.three)
        (config.parent / "hang-import").touch()
        process = _start(_command(config))
        if not _wait(
            lambda: len(list(config.parent.glob("run/captures/*/+worker/request.json"))) == 2, process
        ):
            return _ended(workshop, config, process)
        time.sleep(0.3)
        place = str(config.parent / "run" / "captures" / f"keras-{VERSIONS['stand-in'][1]}")
        guards = [
            p for p in psutil.Process(process.pid).children() if p.environ().get("HOME", "").startswith(place)
        ]
        guards[0].send_signal(number)
        time.sleep(0.3)
        (config.parent / "hang-import").unlink()
        process.communicate(timeout=60)
        return Outcome(process.returncode, trouble=_left(config.parent) or _again(workshop, config))

    return attempt


def _stopped(workshop: Workshop) -> Outcome:
    """Ctrl-Z and fg: the run goes on, and comes to what it always comes to."""
    config = _project(workshop)
    (config.parent / "hang").touch()
    process = _start(_command(config))
    _wait(lambda: list(config.parent.glob("run/captures/*/same/started")), process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    (config.parent / "hang").unlink()
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    return Outcome(process.returncode, trouble=_left(config.parent) or _again(workshop, config))

"""How signals end a process: also where Python loses their exception, and where one follows another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What a block does, and then cleans up, and how the process ends.
PROCESS = """
import os, signal, sys, time, weakref
from validator.pipeline.signals import interruptible

def ready():
    print("ready", flush=True)

def wait():
    ready()
    time.sleep(60)

class Thing:
    pass

def in_finalizer():
    thing = Thing()
    kept = weakref.ref(thing, lambda _: wait())
    del thing
    time.sleep(60)

def translated():
    try:
        wait()
    except KeyboardInterrupt:
        raise ValueError("a library's own error")

def clean(seconds):
    until = time.monotonic() + seconds
    print("cleaning", flush=True)
    while time.monotonic() < until:
        time.sleep(0.01)
    print("cleaned", flush=True)

block, seconds = sys.argv[1], float(sys.argv[2])
try:
    with interruptible():
        try:
            {"wait": wait, "in_finalizer": in_finalizer, "translated": translated, "nothing": ready}[block]()
        finally:
            clean(seconds)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
if block == "nothing":
    print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getitimer(signal.ITIMER_REAL)[0])
"""


def started(block: str, seconds: float = 0.0, *, ignoring: bool = False) -> subprocess.Popen[str]:
    """A process that says `ready` as it waits in its block."""
    command = [sys.executable, "-c", PROCESS, block, str(seconds)]
    # In the background, or under nohup, a process starts with some of them ignored.
    defaults = "[signal.signal(number, signal.SIG_DFL) for number in (1, 2, 3, 15)]"
    own = f"signal.signal(2, signal.SIG_{'IGN' if ignoring else 'DFL'})"
    attentive = f"import os, signal, sys; {defaults}; {own}; os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", attentive, *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_a_block_after_it_has_cleaned_up(number: signal.Signals) -> None:
    process = started("wait")
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert out.split() == ["cleaning", "cleaned", "interrupted"]


def test_an_interrupt_that_a_finalizer_loses_comes_again() -> None:
    process = started("in_finalizer")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors, out.split()[2]) == (130, "", "interrupted")


def test_an_interrupt_that_a_library_makes_its_own_error_of_is_still_one() -> None:
    process = started("translated")
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors, out.split()[2]) == (130, "", "interrupted")


def test_further_signals_leave_a_block_to_clean_up() -> None:
    process = started("wait", 3)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert out.split()[:2] == ["cleaned", "interrupted"]


def test_a_clean_up_that_takes_too_long_is_ended_by_another_signal() -> None:
    process = started("wait", 60)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(6)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors, out) == (130, "", "cleaning\n")


def test_an_ignored_signal_stays_ignored() -> None:
    process = started("wait", ignoring=True)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_what_nothing_interrupts_leaves_signals_as_they_were() -> None:
    process = started("nothing")
    assert process.stdout is not None
    assert process.stdout.read().splitlines()[-1] == "True 0.0"
    process.communicate(timeout=30)

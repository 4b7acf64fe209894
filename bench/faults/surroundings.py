"""Faults of what surrounds a run: variables, streams, limits, disks, and environments edited by hand.

Each runs three models of the stand-in, one identical, one changed, one failed, and must come to the same.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.faults.fault import CANNOT_JUDGE, CONFIGURATION, GATE, Fault, Outcome, expected
from bench.faults.workshop import SECONDS, VERSIONS, Done, Workshop, environment, summary, tool
from validator.verdict.results import Report

_SAME = expected(GATE)
_OLD, _NEW = (f"keras-{release}" for release in VERSIONS["stand-in"])
VARIABLES: Mapping[str, Mapping[str, str | None]] = {
    "force-color": {"FORCE_COLOR": "1"},
    "no-color": {"NO_COLOR": "1"},
    "both-colors": {"FORCE_COLOR": "1", "NO_COLOR": "1"},
    "warnings-are-errors": {"PYTHONWARNINGS": "error"},
    "deprecations-are-errors": {"PYTHONWARNINGS": "error::DeprecationWarning"},
    "warnings-nonsense": {"PYTHONWARNINGS": "nonsense"},
    "locale-c": {"LC_ALL": "C", "LANG": "C"},
    "locale-posix-without-utf8": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "locale-turkish": {"LC_ALL": "tr_TR.UTF-8"},
    "locale-latin-1": {"LC_ALL": "de_DE.ISO-8859-1"},
    "locale-unknown": {"LC_ALL": "xx_YY.nonsense", "LANG": "nonsense"},
    "locale-empty": {"LC_ALL": "", "LANG": "", "LC_CTYPE": ""},
    "output-in-ascii": {"PYTHONIOENCODING": "ascii"},
    "output-in-utf-16": {"PYTHONIOENCODING": "utf-16"},
    "output-in-cp1252": {"PYTHONIOENCODING": "cp1252:strict"},
    "terminal-dumb": {"TERM": "dumb"},
    "terminal-none": {"TERM": None},
    "columns-1": {"COLUMNS": "1"},
    "columns-0": {"COLUMNS": "0", "LINES": "0"},
    "columns-nonsense": {"COLUMNS": "wide", "LINES": "-1"},
    "home-none": {"HOME": None},
    "home-read-only": {"HOME": "/proc"},
    "home-missing": {"HOME": "/nowhere/at/all"},
    "home-empty": {"HOME": ""},
    "home-relative": {"HOME": "home"},
    "temporary-missing": {"TMPDIR": "/nowhere/at/all"},
    "temporary-read-only": {"TMPDIR": "/proc"},
    "cache-read-only": {"XDG_CACHE_HOME": "/proc"},
    "ci": {"CI": "true"},
    "github-actions": {"GITHUB_ACTIONS": "true", "CI": "true"},
    "optimised": {"PYTHONOPTIMIZE": "2"},
    "hash-seed": {"PYTHONHASHSEED": "1"},
    "no-bytecode": {"PYTHONDONTWRITEBYTECODE": "1"},
    "safe-path": {"PYTHONSAFEPATH": "1"},
    "development-mode": {"PYTHONDEVMODE": "1"},
    "python-home": {"PYTHONSTARTUP": "/nowhere.py", "PYTHONINSPECT": ""},
    "python-unbuffered": {"PYTHONUNBUFFERED": "1"},
    "python-malloc": {"PYTHONMALLOC": "debug"},
    "python-verbose-imports": {"PYTHONPROFILEIMPORTTIME": "1"},
    "virtual-environment": {"VIRTUAL_ENV": "/nowhere", "CONDA_PREFIX": "/nowhere"},
    "uv-offline": {"UV_OFFLINE": "1"},
    "uv-index": {"UV_INDEX_URL": "http://127.0.0.1:9/", "UV_DEFAULT_INDEX": "http://127.0.0.1:9/"},
    "uv-python": {"UV_PYTHON": "2.7", "UV_PROJECT_ENVIRONMENT": "/nowhere"},
    "uv-cache-read-only": {"UV_CACHE_DIR": "/proc"},
    "proxy": {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"},
    "keras-backend": {"KERAS_BACKEND": "jax"},
    "keras-home": {"KERAS_HOME": "/nowhere"},
    "legacy-keras": {"TF_USE_LEGACY_KERAS": "1"},
    "onednn-off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "xla-flags": {"XLA_FLAGS": "--no_such_flag"},
    "one-thread": {"OMP_NUM_THREADS": "1"},
    "lifeline": {"KERAS_VALIDATOR_LIFELINE": "7"},
    "one-process-for-each": {"KERAS_VALIDATOR_ISOLATION": "process"},
    "preload": {"LD_PRELOAD": ""},
    "token": {"GITHUB_TOKEN": "x", "GH_TOKEN": "y"},
    "path-empty": {"PATH": ""},
    "path-none": {"PATH": None},
    "shell-none": {"SHELL": None, "USER": None, "LOGNAME": None},
    "time-zone": {"TZ": "Pacific/Chatham"},
    "time-zone-nonsense": {"TZ": ":nonsense"},
    "jobs-variable": {"KERAS_VALIDATOR_JOBS": "1"},
    "millennium": {"SOURCE_DATE_EPOCH": "0"},
}  # fmt: skip
#: What bash does before it becomes the tool.
SHELLS: Mapping[str, str] = {
    "stdin-closed": "exec <&-",
    "stdout-closed": "exec >&-",
    "stderr-closed": "exec 2>&-",
    "all-closed": "exec <&- >&- 2>&-",
    "stdout-full": "exec >/dev/full",
    "stderr-full": "exec 2>/dev/full",
    "few-files": "ulimit -n 64",
    "no-core": "ulimit -c 0",
    "small-stack": "ulimit -s 512",
    "mask": "umask 077",
    "mask-none": "umask 0",
    "hangup-ignored": "trap '' HUP",
    "interrupt-ignored": "trap '' INT QUIT",
    "pipe-ignored": "trap '' PIPE",
    "nice": "renice -n 5 $$ >/dev/null",
    "folder-removed": "mkdir gone && cd gone && rmdir ../gone",
    "folder-root": "cd /",
    "folder-read-only": "cd /proc",
    "children-ignored": "trap '' CHLD",
}


def environments() -> Iterator[Fault]:
    """Variables, streams and limits; environments and locks that are not what they were."""
    for name, variables in VARIABLES.items():
        quick = name in {"force-color", "warnings-are-errors", "output-in-ascii", "home-none"}
        yield Fault("environments", name, _SAME, attempt=_varied(variables), quick=quick)
    for name, command in SHELLS.items():
        unread = expected(CANNOT_JUDGE)  # a result that nobody can be told of
        yield Fault(
            "environments", name, unread if name == "stdout-full" else _SAME, attempt=_within(command)
        )
    full = expected(CANNOT_JUDGE)
    yield Fault("environments", "disk-full-at-once", full, attempt=_limited(0))
    yield Fault("environments", "disk-full-in-recordings", full, attempt=_limited(8))
    yield Fault("environments", "disk-full-in-locks", full, attempt=_limited(16))
    yield Fault("environments", "disk-full-in-uv", full, attempt=_limited(48))
    for name, edit in EDITS.items():
        yield Fault("environments", f"edited-{name}", _SAME, attempt=_edited(edit))
    for name, more in UNBUILDABLE.items():
        stages = "resolve install import crash"
        come_out = expected(GATE, CANNOT_JUDGE, verdicts="failed", stages=stages)
        yield Fault("environments", name, come_out, attempt=_unbuildable(more))
    yield Fault("environments", "run-while-another-runs", expected(CONFIGURATION), attempt=_twice)


def _compared(workshop: Workshop, done: Done, report: Report | None) -> Outcome:
    came = summary(report)
    trouble = done.trouble
    if came != workshop.usual:
        trouble = trouble or f"another report: {came}; {(done.errors or done.out)[-200:]}"
    return Outcome(done.code, trouble=trouble)


def _varied(variables: Mapping[str, str | None]) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        config = workshop.project("stand-in", workshop.three)
        return _compared(workshop, *workshop.run(config, environ=variables))

    return attempt


def _within(command: str) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        config = workshop.project("stand-in", workshop.three)
        prefix = ("bash", "-c", f'{command}\nexec "$@"', "bash")
        return _compared(workshop, *workshop.run(config, prefix=prefix, cwd=config.parent))

    return attempt


def _limited(blocks: int) -> Callable[[Workshop], Outcome]:
    """Files may grow to so many KiB and no further, as on a disk that fills up."""

    def attempt(workshop: Workshop) -> Outcome:
        config = workshop.project("stand-in", workshop.three)
        prefix = ("bash", "-c", f'ulimit -f {blocks}\nexec "$@"', "bash")
        done, report = workshop.run(config, prefix=prefix)
        verdicts = {cell.verdict for model in report.models for cell in model.cells} if report else set()
        green = "a green cell" if "identical" in verdicts else ""
        return Outcome(done.code, trouble=done.trouble or green)

    return attempt


Edit = Callable[[Path], object]


def _site(environments_: Path, name: str = _NEW) -> Path:
    return next((environments_ / name).glob("lib/python3*/site-packages"))


def _swap(work: Path) -> None:
    """The baseline's Keras in the candidate's environment, as after `pip install keras==…`."""
    old, new = _site(work / "environments", _OLD), _site(work / "environments")
    for place in new.glob("keras*"):
        shutil.rmtree(place)
    for place in old.glob("keras*"):
        shutil.copytree(place, new / place.name)


def _put(path: str, content: bytes | None) -> Edit:
    """An edit of a file below the folder of environments and locks; None puts a folder in its place."""

    def edit(work: Path) -> None:
        place = work / path
        place.unlink(missing_ok=True)
        if content is None:
            place.mkdir(parents=True)
        else:
            place.write_bytes(content)

    return edit


def _half(path: str) -> Edit:
    return lambda work: os.truncate(work / path, (work / path).stat().st_size // 2)


_MARKER = ".keras-validator-installed"
EDITS: Mapping[str, Edit] = {
    "keras-swapped": _swap,
    "keras-removed": lambda work: shutil.rmtree(_site(work / "environments") / "keras"),
    "keras-edited": lambda work: (_site(work / "environments") / "keras" / "__init__.py").write_text("raise SystemExit(3)"),
    "numpy-removed": lambda work: shutil.rmtree(_site(work / "environments") / "numpy"),
    "numpy-facts-removed": lambda work: shutil.rmtree(next(_site(work / "environments").glob("numpy-*.dist-info"))),
    "site-packages-removed": lambda work: shutil.rmtree(_site(work / "environments")),
    "startup-file": lambda work: (_site(work / "environments") / "sitecustomize.py").write_text("raise SystemExit(4)"),
    "package-added": lambda work: (_site(work / "environments") / "json.py").write_text("raise SystemExit(4)"),
    "python-link-broken": lambda work: _relinked(work, "/nowhere/python"),
    "python-is-another-program": lambda work: _relinked(work, "/bin/true"),
    "python-is-the-tool's": lambda work: _relinked(work, sys.executable),
    "facts-removed": lambda work: (work / "environments" / _NEW / "pyvenv.cfg").unlink(),
    "facts-empty": _put(f"environments/{_NEW}/pyvenv.cfg", b""),
    "facts-latin-1": _put(f"environments/{_NEW}/pyvenv.cfg", b"version = \xff\n"),
    "facts-of-another-python": _put(f"environments/{_NEW}/pyvenv.cfg", b"version_info = 3.9.1\n"),
    "marker-removed": lambda work: (work / "environments" / _NEW / _MARKER).unlink(),
    "marker-empty": _put(f"environments/{_NEW}/{_MARKER}", b""),
    "marker-latin-1": _put(f"environments/{_NEW}/{_MARKER}", b"\xff\xfe"),
    "marker-folder": _put(f"environments/{_NEW}/{_MARKER}", None),
    "environment-removed": lambda work: shutil.rmtree(work / "environments" / _NEW),
    "environment-emptied": lambda work: (shutil.rmtree(work / "environments" / _NEW), (work / "environments" / _NEW).mkdir()),
    "environment-is-a-file": lambda work: (shutil.rmtree(work / "environments" / _NEW), (work / "environments" / _NEW).write_text("")),
    "environment-link-broken": lambda work: (shutil.rmtree(work / "environments" / _NEW), (work / "environments" / _NEW).symlink_to("nowhere")),
    "lock-removed": lambda work: (work / "locks" / f"{_NEW}.txt").unlink(),
    "lock-empty": _put(f"locks/{_NEW}.txt", b""),
    "lock-torn": _half(f"locks/{_NEW}.txt"),
    "lock-latin-1": _put(f"locks/{_NEW}.txt", b"# \xff\n"),
    "lock-folder": _put(f"locks/{_NEW}.txt", None),
    "stale-process-lock": _put(f"environments/.{_NEW}.lock", b"process 1"),
}  # fmt: skip


def _relinked(work: Path, target: str) -> None:
    python = work / "environments" / _NEW / "bin" / "python"
    python.unlink()
    python.symlink_to(target)


def _edited(edit: Edit) -> Callable[[Workshop], Outcome]:
    """A run, an edit by hand, a second run: rebuilt, and the same; or an error that says so."""

    def attempt(workshop: Workshop) -> Outcome:
        config = workshop.project("stand-in", workshop.three, share=False)
        done, report = workshop.run(config)
        assert summary(report) == workshop.usual, f"{summary(report)}, exit {done.code}: {done.errors}"
        edit(config.parent / ".keras-validator")
        done, report = workshop.run(config)
        failed = report is not None and any(place.failure for place in report.environments)
        if done.code in {CONFIGURATION, CANNOT_JUDGE} or failed:
            return Outcome(GATE, trouble=done.trouble)
        return _compared(workshop, done, report)

    return attempt


UNBUILDABLE: Mapping[str, Mapping[str, object]] = {
    "python-unknown": {"environments": {_NEW: {"python": "3.99"}}},
    "package-unknown": {"environments": {_NEW: {"requirements": ["no-such-package-of-anybody==99"]}}},
    "packages-in-conflict": {"environments": {_NEW: {"requirements": ["numpy==1.26.4", "numpy2==99"]}}},
    "release-unknown": {"environments": {_NEW: {"requirements": ["numpy==0.0.99"]}}},
    "numpy-missing": {"requirements": []},
    "import-fails": {"environments": {_NEW: {"variables": {"STAND_IN_FAILS": "1"}}}},
    "links-missing": {"install": {"find_links": ["nowhere"]}},
    "index-unreachable": {"install": {"index_url": "http://127.0.0.1:9/simple"}, "requirements": ["numpy==1.26.3"]},
}  # fmt: skip


def _unbuildable(more: Mapping[str, object]) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        from bench.faults.workshop import cell_of, outcome

        config = workshop.project("stand-in", workshop.three, share=False, **more)
        done, report = workshop.run(config)
        cell = cell_of(report, "same") if report else None
        if cell is None:
            return Outcome(done.code, trouble=done.trouble or "no report")
        return outcome(cell, trouble=done.trouble)

    return attempt


def _twice(workshop: Workshop) -> Outcome:
    """A second run into the folder of one that goes on."""
    import subprocess
    import time

    config = workshop.project("stand-in", [workshop.forged("waits", "waits")])
    (config.parent / "hang").touch()
    command: Sequence[str] = [
        sys.executable,
        "-m",
        "validator",
        "run",
        "-c",
        str(config),
        "-o",
        str(config.parent / "run"),
    ]
    first = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS
    while not list(config.parent.glob("run/captures/*/waits/started")) and time.monotonic() < deadline:
        time.sleep(0.05)
    done = tool("run", "-c", str(config), "-o", str(config.parent / "run"))
    (config.parent / "hang").unlink()
    code = first.wait(SECONDS)
    return Outcome(
        done.code, trouble=done.trouble or ("" if code == 0 else f"the first run ended with {code}")
    )

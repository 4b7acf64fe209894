"""Faults of what workers leave, of processes, and of names: in the stand-in, which forges a recorded capture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.faults.fault import CONFIGURATION, GATE, OK, Expected, Fault, Kind, Outcome, expected
from bench.faults.workshop import Workshop, cell_of, outcome, sound

_BROKEN = expected(GATE, verdicts="failed", stages="crash")
_UNREADABLE = expected(GATE, verdicts="failed not-compared")
_LOST = expected(GATE, verdicts="failed", stages="crash load timeout")
_SOUND = expected(OK, verdicts="identical")
_CHANGED = expected(GATE, verdicts="changed failed")
_NOT_GREEN = expected(0, 1, 3, verdicts="changed suspicious failed not-compared metric-only")

BROKEN = """no-response empty torn-start torn-half torn-end doubled blanks zeros latin-1 huge deep-list deep-object
deep-task deepish-task a-list null a-text a-number pickle html single-quotes commented schema-2 schema-text schema-null
no-schema no-id no-failure of-another-job id-null unknown-key samples-nan samples-text outputs-null
outputs-object output-twice dtype-null shape-float shape-null storage-unknown name-number deterministic-text
failure-text failure-stage-unknown artifact-kind-number notes-text tasks-list tasks-null reported-text seconds-text
seconds-inf"""
UNREADABLE = """array-gone array-folder array-pipe array-empty array-loop array-link-to-device array-sparse-terabyte
folder-gone torn-head torn-values torn-last-byte zeroed-head magic-other version-9 head-nested head-object head-fortran
head-integers head-negative head-float head-text dtype-other dtype-unknown dtype-object shape-other shape-less
shape-flat shape-negative shape-huge storage-bits storage-text ragged-missing path-missing path-empty path-folder
path-nul path-long path-device path-terminal"""
CHANGED = """zeroed-tail byte-flipped sign-flipped exponent-flipped mantissa-flipped-high rows-permuted
two-rows-swapped columns-permuted row-repeated last-row-zero last-batch-zero all-zero
all-nan uninitialised rounded-to-half other-samples renamed name-long name-controls name-surrogate
head-big-endian"""
NOT_GREEN = """samples-less samples-negative samples-huge batch-size-other inputs-other inputs-null outputs-none path-outside
output-10000-times unbatched mantissa-flipped-middle"""
FAILED = "failure-long failure-controls"
_BASELINE_LOST = """no-response torn-half deep-list array-gone array-pipe torn-values of-another-job
shape-other"""
SOUND = "none utf-16 notes-10000"


def _forged(kind: Kind, name: str, come_out: Expected, mutation: str = "", **more: Any) -> Fault:
    model = {
        "name": f"{kind}-{name}",
        "builder": "forging:build",
        "builder_arguments": {"mutation": mutation or name, "side": str(more.pop("side", "candidate"))},
        "inputs": "inputs.npz",
    }
    return Fault(kind, name, come_out, model, "stand-in", **more)


def worker() -> Iterator[Fault]:
    """Responses and tensors, spoilt in every way; some of them in the baseline, which is then to blame."""
    groups = {
        BROKEN: _BROKEN,
        UNREADABLE: _UNREADABLE,
        CHANGED: _CHANGED,
        NOT_GREEN: _NOT_GREEN,
        SOUND: _SOUND,
    }
    for names_, come_out in groups.items():
        for name in names_.split():
            yield _forged(
                "worker", name, come_out, quick=name in {"empty", "byte-flipped", "none", "deep-list"}
            )
    yield _forged("worker", "bom", expected(OK, GATE, verdicts="identical failed"))
    yield _forged("worker", "not-deterministic", expected(OK, GATE, 3))
    yield _forged("worker", "self-difference-unknown", expected(OK, GATE, 3))
    yield _forged("worker", "task-unknown", expected(OK, verdicts="identical"))
    for name in FAILED.split():
        yield _forged("worker", name, expected(GATE, verdicts="failed", stages="load"))
    baseless = expected(3, verdicts="not-compared failed", findings="baseline-failed")
    for name in _BASELINE_LOST.split():
        yield _forged("worker", f"baseline-{name}", baseless, name, side="baseline")
    for name in ("nan-one", "nan-negative", "inf-one"):
        yield _forged("worker", name, _CHANGED)
        yield _forged("worker", f"baseline-{name}", _CHANGED, name, side="baseline")
    yield _forged("worker", "task-lost", expected(OK, verdicts="identical", findings="tasks-lost"))
    for name in ("byte-flipped", "rows-permuted"):
        yield _forged("worker", f"baseline-{name}", _CHANGED, name, side="baseline")


RAISES = "RuntimeError SystemExit MemoryError RecursionError StopIteration GeneratorExit Nameless KeyboardInterrupt"
ENDS = "SIGKILL SIGTERM SIGSEGV SIGABRT SIGINT SIGHUP SIGQUIT SIGBUS SIGFPE SIGPIPE SIGALRM SIGUSR1"
LOST = """fills-the-memory recurses reads-no-address holds-the-interpreter spoils-its-start spoils-its-end pipe-for-response folder-for-response loop-for-response device-for-response torn-prediction
deep-prediction pipe-for-prediction hangs"""
#: What the sandbox refuses, where there is one: an error of the builder then.
REFUSED_OR_LOST = """kills-the-worker kills-the-guard interrupts-the-worker terminates-the-guard removes-its-folder
puts-a-file-in-its-place"""
REFUSED_OR_KEPT = "stops-the-worker stops-the-guard"
KEPT = """daemon daemon-that-is-stopped children child-that-holds-the-log child-without-variables thread
leaves-the-folder removes-what-it-sees closes-everything prints lowers-limits
ignores-signals writes-under-home locks-its-folder"""


def processes() -> Iterator[Fault]:
    """Whatever a job does to its process, and to those around it."""
    for name in RAISES.split():
        stages = "build load crash" if name == "KeyboardInterrupt" else "build"
        come_out = expected(GATE, verdicts="failed", stages=stages)
        yield _forged("processes", f"raises-{name.lower()}", come_out, f"raises {name}")
    for name in ENDS.split():
        yield _forged("processes", f"ends-by-{name.lower()}", _LOST, f"ends {name}")
    for code in (0, 1, 7, 137, 255):
        yield _forged("processes", f"exits-{code}", _LOST, f"exits {code}", quick=code == 0)
    for name in LOST.split():
        yield _forged("processes", name, _LOST)
    for name in REFUSED_OR_LOST.split():
        yield _forged("processes", name, expected(GATE, verdicts="failed", stages="build crash load timeout"))
    for name in REFUSED_OR_KEPT.split():
        yield _forged("processes", name, expected(OK, GATE, verdicts="identical failed"))
    for name in KEPT.split():
        yield _forged("processes", name, _SOUND, quick=name == "daemon")
    # its own capture may be lost, the next must not be
    yield _forged("processes", "spoils-the-process", expected(OK, GATE, verdicts="identical failed"))


MODELS = """outputs request.json environment.json worker.log home started ended response.json predicted.json captures
recordings report.json report.md junit.xml reference structure noise con nul aux com1 lock .lock. a.b a..b a- x_ 0 -1
request-2.json manifest.json plus.worker keras-3.5.0 legacy base head tmp PYTHONPATH None true null 1e5 0x10 0o7"""
REFUSED = {
    "dot": ".", "dots": "..", "slash": "a/b", "backslash": "a\\b", "root": "/", "empty": "", "blank": " ",
    "blank-inside": "a b", "plus": "+worker", "at": "a@b", "newline": "a\n", "nul": "a\0b", "tab": "a\tb", "dash": "-x",
    "emoji": "🙂", "umlaut": "ä", "right-to-left": "a\u202eb", "255-characters": "x" * 255, "81-characters": "x" * 81,
    "star": "*", "dollar": "$HOME", "escape": "\x1b[2J", "percent": "%s", "braces": "{0}", "colon": "a:b",
    "quote": "'", "fullwidth": "ａ", "ligature": "ﬁ",
}  # fmt: skip
FOLDERS = {
    "blanks": "two words", "emoji": "🙂", "umlaut": "größe", "newline": "a\nb", "quote": "it's", "double-quote": 'a"b',
    "bytes": os.fsdecode(b"\xff\xfe"), "dash": "-x", "percent": "100%s", "colon": "a:b", "long": "x" * 240,
    "dollar": "$HOME", "star": "*", "brackets": "[red]", "decomposed": "u\u0308", "equals": "a=b", "at": "@",
}  # fmt: skip


#: Folders that workers cannot be told of.
_NO_PATHS = {"newline", "bytes"}


def names() -> Iterator[Fault]:
    """Names of models, of folders and of recorded files."""
    for name in MODELS.split():
        if name.startswith((".", "-")):
            continue
        model = {**sound("stand-in", name), "name": name}
        yield Fault("names", f"model-{name}", _SOUND, model, "stand-in")
    longest = {**sound("stand-in"), "name": "x" * 80}
    yield Fault("names", "model-80-characters", _SOUND, longest, "stand-in")
    for name, text in REFUSED.items():
        yield Fault("names", f"refused-{name}", expected(CONFIGURATION), attempt=_refused(text))
    for name, text in FOLDERS.items():
        come_out = expected(CONFIGURATION) if name in _NO_PATHS else _SOUND
        yield Fault("names", f"folder-{name}", come_out, attempt=_folder(text), quick=name == "blanks")


def _refused(text: str) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        config = workshop.project("stand-in", [{**sound("stand-in"), "name": text}])
        done, _ = workshop.run(config)
        return Outcome(done.code, trouble=done.trouble)

    return attempt


def _folder(text: str) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        folder = workshop.folder()
        (folder / "template").symlink_to(workshop.template)
        place: Path = folder / text
        place.mkdir()
        done, report = workshop.run(workshop.project("stand-in", [sound("stand-in")], place))
        cell = cell_of(report, "sound") if report else None
        if cell is None:
            refused = done.code == 2 and not done.trouble
            return Outcome(
                done.code, trouble="" if refused else done.trouble or (done.errors or done.out)[-200:]
            )
        return outcome(cell, trouble=done.trouble)

    return attempt

"""Faults of a validator.yml and of the command line: refused with exit code 2 before anything is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.faults.fault import CONFIGURATION, OK, Fault, Outcome, expected
from bench.faults.workshop import Workshop, tool
from validator.errors import ConfigurationError
from validator.pipeline.project import check_files, open_project

_REFUSED = expected(CONFIGURATION)
_HEAD = 'version: 1\nrequirements: [tensorflow-cpu==2.17.1]\nmatrix: {keras: ["3.3.3", "3.5.0"]}\n'
_MODEL = "  - {name: m, builder: 'a:b', inputs: inputs.npz}\n"
_SOUND = f"{_HEAD}models:\n{_MODEL}"


def _more(text: str) -> str:
    return f"{_SOUND}{text}\n"


def _model(fields: str) -> str:
    return f"{_HEAD}models:\n  - {{name: m, {fields}}}\n"


def _built(fields: str) -> str:
    return _model(f"builder: 'a:b', inputs: inputs.npz, {fields}")


TEXTS: Mapping[str, str | bytes] = {
    "empty": "",
    "blank": "\n \n",
    "comment": "# nothing\n",
    "null": "null\n",
    "text": "models\n",
    "number": "7\n",
    "list": "- version: 1\n",
    "deep-flow": "a: " + "[" * 10_000,
    "deep-closed": "a: " + "[" * 10_000 + "]" * 10_000,
    "deep-maps": "{a: " * 10_000 + "1" + "}" * 10_000,
    "deep-blocks": "".join(" " * level + "a:\n" for level in range(800)),
    "deep-dashes": "- " * 10_000 + "1",
    "deep-quoted": _SOUND + "gate: " + "[" * 500 + "]" * 500,
    "laughs": 'a: &a ["x","x"]\nb: &b [*a,*a]\nc: [*b,*b]\n',
    "anchor": _HEAD + "models: &m\n" + _MODEL + "x: *m\n",
    "recursive": "&a [*a]",
    "tag-python": "models: !!python/object/apply:os.system [true]\n",
    "tag-binary": "version: !!binary AAAA\n",
    "tag-set": "version: !!set {a, b}\n",
    "two-documents": _SOUND + "---\n" + _SOUND,
    "tab": "version:\t1\n\tmodels: []\n",
    "nul": _SOUND.encode() + b"\0",
    "escape": _SOUND + "# \x1b[2J\n",
    "latin-1": _SOUND.encode() + "# ä".encode("latin-1"),
    "utf-16": _SOUND.encode("utf-16"),
    "utf-32": _SOUND.encode("utf-32"),
    "surrogates": _SOUND.encode() + b"# \xed\xa0\x80",
    "huge": _SOUND + "#" * (1 << 21),
    "torn": _SOUND[: _SOUND.index("builder") + 3],
    "unclosed": _SOUND + 'x: "',
    "key-twice": "version: 1\n" + _SOUND,
    "key-null": _more("null: 1"),
    "key-number": _more("1: 1"),
    "key-list": _more("? [a]\n: 1"),
    "key-true": _more("true: 1"),
    "merge-key": _more("<<: {x: 1}"),
    "unknown-key": _more("modells: []"),
    "no-version": _SOUND.replace("version: 1\n", ""),
    "version-2": _SOUND.replace("version: 1", "version: 2"),
    "version-text": _SOUND.replace("version: 1", "version: one"),
    "no-models": _HEAD,
    "models-empty": _HEAD + "models: []\n",
    "models-null": _HEAD + "models:\n",
    "models-map": _HEAD + "models: {m: {builder: 'a:b'}}\n",
    "models-text": _HEAD + "models: m\n",
    "model-null": _HEAD + "models: [null]\n",
    "model-twice": _SOUND + _MODEL,
    "model-no-name": _HEAD + "models: [{builder: 'a:b', inputs: inputs.npz}]\n",
    "model-number-name": _HEAD + "models: [{name: 7, builder: 'a:b', inputs: inputs.npz}]\n",
    "no-inputs": _model("builder: 'a:b'"),
    "inputs-missing": _model("builder: 'a:b', inputs: nowhere.npz"),
    "inputs-empty": _model("builder: 'a:b', inputs: ''"),
    "inputs-list": _model("builder: 'a:b', inputs: [inputs.npz]"),
    "inputs-nul": _model('builder: "a:b", inputs: "x\\0.npz"'),
    "inputs-long": _model(f"builder: 'a:b', inputs: {'x' * 5000}"),
    "nothing-to-load": _model("inputs: inputs.npz"),
    "builder-no-function": _model("builder: a, inputs: inputs.npz"),
    "builder-call": _model("builder: 'a:b()', inputs: inputs.npz"),
    "builder-path": _model("builder: 'a/b:c', inputs: inputs.npz"),
    "artifact-missing": _model("artifact: nowhere.keras, inputs: inputs.npz"),
    "weights-alone": _model("artifact: inputs.npz, weights: inputs.npz, inputs: inputs.npz"),
    "weights-missing": _built("weights: nowhere.h5"),
    "labels-missing": _built("labels: nowhere.npz"),
    "metric-without-labels": _built("metrics: [accuracy]"),
    "metric-unknown": _built("labels: inputs.npz, metrics: [acuracy]"),
    "metrics-text": _built("labels: inputs.npz, metrics: accuracy"),
    "batch-size-0": _built("batch_size: 0"),
    "batch-size-negative": _built("batch_size: -1"),
    "batch-size-text": _built("batch_size: many"),
    "batch-size-float": _built("batch_size: 1.5"),
    "batch-size-nan": _built("batch_size: .nan"),
    "batch-size-huge": _built("batch_size: 1" + "0" * 5000),
    "tolerance-negative": _built("tolerance: {rtol: -1, atol: 0}"),
    "tolerance-nan": _built("tolerance: {rtol: .nan, atol: 0}"),
    "tolerance-infinite": _built("tolerance: {rtol: .inf, atol: 0}"),
    "tolerance-half": _built("tolerance: {rtol: 1}"),
    "decode-nothing": _built("decode: {}"),
    "decode-both": _built("decode: {prompt_length: 3, prompts: inputs.npz}"),
    "decode-steps": _built("decode: {prompt_length: 3, steps: 65}"),
    "decode-prompts-missing": _built("decode: {prompts: nowhere.npz}"),
    "training-steps": _built("training: {steps: 0}"),
    "training-function": _built("training: {function: 'a b'}"),
    "setting-empty": _built("settings: {s: {}}"),
    "setting-reserved": _built("settings: {float32: {variables: {A: b}}}"),
    "setting-taken": _built("settings: {s: {variables: {KERAS_BACKEND: jax}}}"),
    "setting-unknown": _built("matrix: {setting: [s]}"),
    "arguments-list": _built("builder_arguments: {a: [1]}"),
    "arguments-null": _built("builder_arguments: {a: null}"),
    "safe-mode-text": _built("safe_mode: perhaps"),
    "matrix-empty": _SOUND.replace('["3.3.3", "3.5.0"]', "[]"),
    "matrix-number": _SOUND.replace('"3.3.3"', "3.10"),
    "matrix-word": _SOUND.replace('"3.3.3"', '"newest"'),
    "matrix-blank": _SOUND.replace('"3.3.3"', '"3.3 3"'),
    "matrix-option": _SOUND.replace('"3.3.3"', '"--help"'),
    "matrix-path": _SOUND.replace('"3.3.3"', '"../3"'),
    "matrix-backend": _SOUND.replace("matrix: {", "matrix: {backend: [theano], "),
    "matrix-precision": _SOUND.replace("matrix: {", "matrix: {precision: [float8], "),
    "matrix-exclude-all": _SOUND.replace("matrix: {", "matrix: {exclude: [{model: m}], "),
    "matrix-exclude-baseline": _SOUND.replace("matrix: {", 'matrix: {exclude: [{keras: "3.3.3"}], '),
    "matrix-include-nothing": _SOUND.replace("matrix: {", "matrix: {include: [{backend: jax}], "),
    "baseline-unknown": _more('baseline: {keras: "3.4.0"}'),
    "baseline-axis": _more('baseline: {numpy: "1"}'),
    "environment-unknown": _more("environments: {keras-9: {requirements: [numpy]}}"),
    "requirement-broken": _SOUND.replace("tensorflow-cpu==2.17.1", "'tensorflow-cpu=2.17.1'"),
    "requirement-option": _SOUND.replace("tensorflow-cpu==2.17.1", "'-r x.txt'"),
    "requirements-missing": _SOUND.replace("[tensorflow-cpu==2.17.1]", "nowhere.txt"),
    "requirements-folder": _SOUND.replace("[tensorflow-cpu==2.17.1]", "."),
    "requirements-map": _SOUND.replace("[tensorflow-cpu==2.17.1]", "{tensorflow: 2}"),
    "python-number": _more("python: 3.11"),
    "python-option": _more("python: '--version'"),
    "gate-unknown": _more("gate: {fail_on: [everything]}"),
    "gate-alpha": _more("gate: {alpha: 0}"),
    "gate-drop": _more("gate: {max_accuracy_drop: 2}"),
    "limits-zero": _more("limits: {seconds: 0}"),
    "limits-negative": _more("limits: {memory_gib: -1}"),
    "limits-infinite": _more("limits: {seconds: .inf}"),
    "install-unknown": _more("install: {index: x}"),
    "date": _more("gate: 2024-01-01"),
}  # fmt: skip
COMMANDS: Mapping[str, Sequence[str]] = {
    "no-such-command": ["rum"],
    "no-such-option": ["run", "-c", "CONFIG", "--fast"],
    "config-missing": ["run", "-c", "nowhere.yml"],
    "config-folder": ["run", "-c", "FOLDER"],
    "config-pipe": ["run", "-c", "PIPE"],
    "config-device": ["run", "-c", "/dev/zero"],
    "config-no-value": ["run", "-c"],
    "config-empty": ["run", "-c", ""],
    "output-file": ["run", "-c", "CONFIG", "-o", "CONFIG"],
    "output-below-a-file": ["run", "-c", "CONFIG", "-o", "CONFIG/run"],
    "only-unknown": ["run", "-c", "CONFIG", "--only", "m@keras-9"],
    "only-empty": ["run", "-c", "CONFIG", "--only", ""],
    "jobs-0": ["run", "-c", "CONFIG", "-j", "0"],
    "jobs-negative": ["run", "-c", "CONFIG", "-j", "-1"],
    "jobs-text": ["run", "-c", "CONFIG", "-j", "many"],
    "jobs-digits": ["run", "-c", "CONFIG", "-j", "٣"],
    "head-and-event": ["run", "-c", "CONFIG", "--head", "HEAD", "--event"],
    "event-outside": ["run", "-c", "CONFIG", "--event"],
    "report-nothing": ["report", "FOLDER"],
    "report-format": ["report", "FOLDER", "-f", "pdf"],
    "report-pipe": ["report", "PIPE"],
    "compare-nothing": ["compare", "FOLDER", "FOLDER"],
    "compare-text": ["compare", "CONFIG", "CONFIG"],
    "compare-pipe": ["compare", "PIPE", "PIPE"],
    "publish-nothing": ["publish", "FOLDER"],
    "plan-missing": ["plan", "-c", "nowhere.yml"],
}


#: A file without an end must not take the machine along.
_BOUNDED = ("bash", "-c", 'ulimit -v 4194304; exec "$@"', "bash")


def configuration() -> Iterator[Fault]:
    """Texts of a validator.yml, and command lines."""
    for name, text in TEXTS.items():
        yield Fault("configuration", name, _REFUSED, attempt=_opened(text), quick=True)
    yield Fault("configuration", "sound", expected(OK), attempt=_opened(_SOUND), quick=True)
    yield Fault("configuration", "bom", expected(OK), attempt=_opened(_SOUND.encode("utf-8-sig")), quick=True)
    for name, arguments in COMMANDS.items():
        yield Fault("configuration", f"command-{name}", _REFUSED, attempt=_commanded(arguments))


def _project(folder: Path, text: str | bytes) -> Path:
    np.savez(folder / "inputs.npz", x=np.zeros((3, 4), np.float32))
    path = folder / "validator.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def _opened(text: str | bytes) -> Callable[[Workshop], Outcome]:
    """Open a project as every command does; the sentence must name the file or the setting."""

    def attempt(workshop: Workshop) -> Outcome:
        path = _project(workshop.folder(), text)
        try:
            check_files(open_project(path))
        except ConfigurationError as error:
            return Outcome(
                CONFIGURATION, trouble="" if 10 < len(str(error)) < 8000 else f"says {str(error)[:300]!r}"
            )
        return Outcome(OK)

    return attempt


def _commanded(arguments: Sequence[str]) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        folder = workshop.folder()
        places = {
            "CONFIG": str(_project(folder, _SOUND)),
            "FOLDER": str(workshop.folder()),
            "PIPE": str(folder / "pipe"),
        }
        os.mkfifo(places["PIPE"])
        words = [
            argument.replace(word, place) if argument.startswith(word) else argument
            for argument in arguments
            for word, place in [
                next(((w, p) for w, p in places.items() if argument.startswith(w)), ("\0", ""))
            ]
        ]
        done = tool(*words, cwd=workshop.folder(), prefix=_BOUNDED, seconds=60)
        return Outcome(done.code, trouble=done.trouble)

    return attempt

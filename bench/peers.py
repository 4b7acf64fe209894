"""The comparison beside what else compares arrays: the same arrays, each peer through its own call.

    python -m bench peers

Peers are installed into an environment of their own, `.nox/bench-peers`, by uv. torch is among them where
UV_FIND_LINKS or PIP_FIND_LINKS names a folder with its wheel for CPUs: an index gives several GB of CUDA.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".nox" / "bench-peers"
PACKAGES = ("polygraphy==0.53.6", "pytest==9.0.2", "pytest-regressions==2.11.0")
MEBIBYTES, CLASSES, REPEATS = 64, 1000, 3
RTOL, ATOL = 1e-5, 1e-8

Arrays = tuple[np.ndarray, np.ndarray]
Peer = Callable[[Arrays], object]
_REGRESSION = """
def test_regression(ndarrays_regression, candidate, timed):
    tolerance = {{"rtol": {rtol}, "atol": {atol}}}
    timed(lambda: ndarrays_regression.check({{"output": candidate}}, default_tolerance=tolerance))
"""


def main() -> None:
    """Install the peers, and print a table of them."""
    from uv import find_uv_bin

    uv = find_uv_bin()
    python = ENVIRONMENT / "bin" / "python"
    if not python.is_file():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT)], check=True)
    links = [
        place for name in ("UV_FIND_LINKS", "PIP_FIND_LINKS") for place in os.environ.get(name, "").split()
    ]
    wheels = [wheel for place in links for wheel in sorted(Path(place).glob("torch-*+cpu-cp311-*.whl"))]
    command = [uv, "pip", "install", "--quiet", "--python", str(python)]
    command += ["--requirement", str(ROOT / "requirements.lock"), *PACKAGES, *map(str, wheels[:1])]
    subprocess.run(command, check=True)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([str(python), "-W", "ignore", "-m", "bench.peers"], check=True, env=environ, cwd=ROOT)


def _plain(arrays: Arrays) -> object:
    """What a script does at first."""
    return np.abs(arrays[1] - arrays[0]).max()


def _allclose(arrays: Arrays) -> object:
    return np.allclose(*arrays, rtol=RTOL, atol=ATOL)


def _testing(arrays: Arrays) -> object:
    return np.testing.assert_allclose(arrays[1], arrays[0], rtol=RTOL, atol=ATOL)


def _torch(arrays: Arrays) -> object:
    import torch

    sides = (torch.from_numpy(side) for side in arrays)
    return torch.testing.assert_close(*sides, rtol=RTOL, atol=ATOL)


def _polygraphy(arrays: Arrays) -> object:
    from polygraphy.comparator import CompareFunc, IterationResult

    results = [IterationResult({"output": side}) for side in arrays]
    return CompareFunc.simple(rtol=RTOL, atol=ATOL)(*results)


def _validator(arrays: Arrays) -> object:
    from validator.numbers.distance import compare_tensors
    from validator.storage.tensors import StoredTensor

    return compare_tensors(*(StoredTensor.from_array("output", side) for side in arrays))


PEERS: Mapping[str, tuple[str, Peer]] = {
    "np.allclose": ("numpy", _allclose),
    "np.testing.assert_allclose": ("numpy", _testing),
    "np.abs(b - a).max()": ("numpy", _plain),
    "torch.testing.assert_close": ("torch", _torch),
    "Polygraphy CompareFunc.simple": ("polygraphy", _polygraphy),
    "this validator": ("numpy", _validator),
}


def _seconds(arrays: Arrays) -> Iterator[tuple[str, float]]:
    """Each peer with its seconds, median of turns that go round all of them."""
    from bench.compare import seconds

    taken: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for name, (package, peer) in PEERS.items():
            with contextlib.suppress(ImportError), contextlib.redirect_stdout(io.StringIO()):
                version(package)

                def call(peer: Peer = peer) -> None:
                    with contextlib.suppress(AssertionError):  # that they differ is what some say so
                        peer(arrays)

                taken.setdefault(name, []).append(seconds(call))
    yield from ((name, median(each)) for name, each in taken.items())
    yield "pytest-regressions ndarrays", _regression(arrays)


def _regression(arrays: Arrays) -> float:
    """pytest-regressions for real: the baseline's file is written by a run, and checked by another."""
    import pytest

    taken: list[float] = []

    def timed(call: Callable[[], Any]) -> None:
        began = time.perf_counter()
        try:
            call()
        finally:  # that they differ is raised
            taken.append(time.perf_counter() - began)

    class Given:
        """The fixtures of the test below."""

        candidate_side = 0

        @pytest.fixture
        def candidate(self) -> np.ndarray:
            return arrays[self.candidate_side]

        @pytest.fixture
        def timed(self) -> Callable[[Callable[[], Any]], None]:
            return timed

    given = Given()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "test_peer.py"
        path.write_text(_REGRESSION.format(rtol=RTOL, atol=ATOL))
        options = [
            "-q",
            "--import-mode=importlib",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            folder,
            "-c",
            os.devnull,
            str(path),
        ]
        pytest.main([*options, "--force-regen"], plugins=[given])
        taken.clear()
        given.candidate_side = 1

        pytest.main(options, plugins=[given])
    return taken[0]


def _print() -> None:
    from bench.compare import CASES, write_pair

    known = {package for package, _ in PEERS.values()} | {"pytest-regressions"}
    installed = []
    for package in sorted(known):
        with contextlib.suppress(ImportError):
            installed.append(f"{package} {version(package)}")
    print(", ".join(installed))
    print(f"two float32 arrays of {MEBIBYTES} MiB, {CLASSES} classes; GB/s counting both")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            paths = write_pair(Path(folder), case, MEBIBYTES, CLASSES)
            arrays = (np.load(paths[0]), np.load(paths[1]))
            gigabytes = sum(side.nbytes for side in arrays) / 1e9
            taken = dict(_seconds(arrays))
            print(f"{case:36}{'GB/s':>8}{'x np.allclose':>16}")
            for name, each in sorted(taken.items(), key=lambda item: item[1]):
                print(f"  {name:34}{gigabytes / each:8.2f}{taken['np.allclose'] / each:16.2f}", flush=True)


if __name__ == "__main__":
    _print()

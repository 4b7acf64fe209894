"""Comparison throughput and memory against np.allclose, on the same arrays in the same run.

    python bench/compare.py [--mebibytes 512] [--repeats 5]

Speed is measured with both files in the page cache, in interleaved pairs; a figure is the median, and GB/s
count both arrays. Memory is the peak of a fresh process above what it held when its files were open: private
pages (which nobody can take back) and all resident pages, mapped files included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from validator.numbers.distance import compare_tensors
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors

MIB = 1 << 20
CASES = ("rounding everywhere", "changed everywhere", "identical")
ROWS = {"1000 classes": 1000, "10 classes": 10, "one axis": 0}


def write_pair(folder: Path, case: str, mebibytes: int, classes: int) -> tuple[Path, Path]:
    """Two .npy files of float32: what a layer gives, and the same after the change that `case` names."""
    size = mebibytes * MIB // 4
    shape = (size // classes, classes) if classes else (size,)
    paths = folder / "a.npy", folder / "b.npy"
    random = np.random.default_rng(0)
    sides = [np.lib.format.open_memmap(path, "w+", np.float32, shape) for path in paths]
    flat = [side.reshape(-1) for side in sides]
    for start in range(0, flat[0].size, 1 << 22):
        part = slice(start, start + (1 << 22))
        a = random.standard_normal(flat[0][part].size, dtype=np.float32)
        noise = random.standard_normal(a.size, dtype=np.float32)
        scale = {"rounding everywhere": 3e-7, "changed everywhere": 1e-2, "identical": 0.0}[case]
        flat[0][part] = a
        flat[1][part] = a + np.float32(scale) * noise if scale else a
    for side in sides:
        side.flush()
    return paths


def open_pair(paths: tuple[Path, Path]) -> tuple[StoredTensor, StoredTensor]:
    """The files as a capture's tensors."""
    stored: list[StoredTensor] = []
    for path in paths:
        array = np.load(path, mmap_mode="r")
        entry = TensorEntry(name="output", path=str(path), dtype="float32", shape=array.shape)
        stored += open_tensors([entry], path.parent)
    return stored[0], stored[1]


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def speed(paths: tuple[Path, Path], repeats: int) -> tuple[float, float, float]:
    """GB/s of np.allclose and of compare_tensors, and the median ratio of pairs."""
    pair = open_pair(paths)
    loaded = [np.load(path, mmap_mode="r") for path in paths]
    calls = (
        lambda: np.allclose(*loaded),
        lambda: compare_tensors(*pair),
    )
    for call in calls:
        call()
    times = [[seconds(call) for call in calls] for _ in range(repeats)]
    gigabytes = sum(path.stat().st_size for path in paths) / 1e9
    columns = [gigabytes / median(column) for column in zip(*times, strict=True)]
    return columns[0], columns[1], median(row[0] / row[1] for row in times)


def resident(kind: str) -> int:
    """KiB of this process' memory: `VmRSS` all of it, `RssAnon` the private part."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(kind)))


def measure_memory(who: str, paths: tuple[Path, Path]) -> None:
    """In a process of its own: print the peak above the start, private and resident, in MiB."""
    pair, loaded = open_pair(paths), [np.load(path, mmap_mode="r") for path in paths]
    calls: dict[str, Callable[[], object]] = {
        "allclose": lambda: np.allclose(*loaded),
        "compare": lambda: compare_tensors(*pair),
    }
    small = StoredTensor.from_array("warm", np.ones((2, 2), np.float32))
    compare_tensors(small, small)
    done, peaks = Event(), [resident("RssAnon"), resident("VmRSS")]
    start = list(peaks)

    def watch() -> None:
        while not done.wait(0.001):
            for at, kind in enumerate(("RssAnon", "VmRSS")):
                peaks[at] = max(peaks[at], resident(kind))

    watcher = Thread(target=watch)
    watcher.start()
    calls[who]()
    done.set()
    watcher.join()
    print(*((peak - begin) / 1024 for peak, begin in zip(peaks, start, strict=True)))


def memory(who: str, paths: tuple[Path, Path]) -> tuple[float, float]:
    """Peak extra MiB, private and resident, of one comparison."""
    command = [sys.executable, __file__, "--memory", who, *map(str, paths)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(out[0]), float(out[1])


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=512, help="size of one array")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", nargs=3, metavar=("WHO", "A", "B"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        measure_memory(options.memory[0], (Path(options.memory[1]), Path(options.memory[2])))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"two float32 arrays of {options.mebibytes} MiB, GB/s counting both; target >= 3 x np.allclose")
        print(f"{'arrays':36}{'np.allclose':>12}{'compare':>10}{'ratio':>8}")
        for rows, classes in ROWS.items():
            for case in CASES:
                paths = write_pair(folder, case, options.mebibytes, classes)
                figures = speed(paths, options.repeats)
                print("{:36}{:12.2f}{:10.2f}{:8.2f}".format(f"{case}, {rows}", *figures))
        print("peak extra MiB of one comparison (private / resident); target <= 16 at any size")
        for mebibytes in (options.mebibytes // 4, options.mebibytes):
            paths = write_pair(folder, "changed everywhere", mebibytes, 10)
            for who in ("allclose", "compare"):
                private, total = memory(who, paths)
                print(f"{mebibytes:6} MiB  {who:10}{private:10.1f} / {total:.1f}")


if __name__ == "__main__":
    main()

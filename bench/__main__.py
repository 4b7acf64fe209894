"""`python -m bench [cells|validate|warm|help|compare|peers|origin|…]`: print those named, or all."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench import advise, cache, cells, cluster, compare, origin, peers, record, scale
from bench.newcomer import projects


def startup(rounds: int = 9) -> None:
    """Print the seconds of `keras-validator --help`."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "validator", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    print(f"keras-validator --help: {statistics.median(seconds):.3f} s (target 0.25)")


BENCHMARKS = {
    "cells": cells.main,
    "validate": cells.validate,
    "warm": cells.warm,
    "help": startup,
    "advise": advise.main,
    "compare": compare.main,
    "peers": peers.main,
    "origin": origin.main,
    "record": record.main,
    "newcomer": projects.main,
    "cache": cache.main,
    "cluster": cluster.main,
    "scale": scale.main,
    "pieces": lambda: scale.main(("pieces",)),
    "weights": lambda: scale.main(("weights",)),
}


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    wanted, sys.argv[1:] = sys.argv[1:], []  # a benchmark may read options of its own when it runs alone
    for name in wanted or BENCHMARKS:
        print(f"\n== {name}")
        BENCHMARKS[name]()


main()

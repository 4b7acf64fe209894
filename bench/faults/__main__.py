"""`python -m bench.faults`: try the faults, and print a table of kinds, and every one that survives.

    python -m bench.faults [-m quick] [--kind KIND]… [--only WORD]… [--jobs N] [--list] [--keep FOLDER]

The exit code is 1 where a fault survives that is not known to, and where a known one no longer does.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.faults.fault import KINDS, Fault, Outcome
from bench.faults.suite import all_faults, attempt


def main() -> int:
    """Try the faults that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument(
        "-m", choices=["quick"], dest="subset", help="only those that take a few seconds together"
    )
    parser.add_argument("--kind", action="append", default=[], choices=KINDS, help="only these kinds")
    parser.add_argument("--only", action="append", default=[], help="only faults whose id holds this word")
    parser.add_argument("--jobs", type=int, default=2, help="faults tried at the same time")
    parser.add_argument("--list", action="store_true", help="print the ids, and try none")
    parser.add_argument(
        "--keep", type=Path, help="keep all projects and runs in this folder, which must not exist"
    )
    options = parser.parse_args()
    began = time.monotonic()
    faults = [
        fault
        for fault in all_faults()
        if (options.subset is None or fault.quick)
        and (not options.kind or fault.kind in options.kind)
        and (not options.only or any(word in fault.id for word in options.only))
    ]
    if options.list:
        print("\n".join(fault.id for fault in faults))
        return 0
    scratch = options.keep or Path(tempfile.mkdtemp(prefix="faults-"))
    scratch.mkdir(exist_ok=options.keep is None)
    try:
        tried = []
        for fault, out in attempt(faults, scratch.resolve(), options.jobs):
            tried.append((fault, out))
            if not fault.expected.fits(out):
                _print_survivor(fault, out)
    finally:
        if options.keep is None:
            shutil.rmtree(scratch, ignore_errors=True)
    wrong = _print_result(tried)
    print(f"\n{len(tried)} faults in {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _print_result(tried: Sequence[tuple[Fault, Outcome]]) -> bool:
    """Print the table; whether there is a survivor that is not known, or one that is known and mended."""
    survivors = [(fault, out) for fault, out in tried if not fault.expected.fits(out)]
    mended = [fault for fault, out in tried if fault.known and fault.expected.fits(out)]
    tries, survived = Counter(fault.kind for fault, _ in tried), Counter(fault.kind for fault, _ in survivors)
    print("| kind          | faults | survivors |")
    print("|---|---|---|")
    for kind in filter(tries.__contains__, KINDS):
        print(f"| {kind:13} | {tries[kind]:6} | {survived[kind]:9} |")
    print(f"| {'all':13} | {len(tried):6} | {len(survivors):9} |")
    for fault in mended:
        print(f"\n{fault.id} is known to survive, and does not: it is mended")
    return bool(mended) or any(not fault.known for fault, _ in survivors)


def _print_survivor(fault: Fault, out: Outcome) -> None:
    print(f"{fault.id} survives" + (f", as is known: {fault.known}" if fault.known else ""))
    print(f"  must come out: {fault.expected}\n  came out:      {out}\n", flush=True)


sys.exit(main())

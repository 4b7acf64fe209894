"""`python -m bench.catalogue`: run the proofs of the known changes, or score how cases are named.

    python -m bench.catalogue [prove] [--only K07]… [--kept]
    python -m bench.catalogue score [--only WORD]… [--jobs N] [--kept]
    python -m bench.catalogue names

`prove` runs each proof in the last release before its change and the first after, in the first fixed one, and
in the newest that behaves so; it exits with 1 if a shipped entry is not proven. `score` runs the cases of the
corpus and the silent fixes that compare two releases, and prints how often the cause is named, rightly and
wrongly. `names` writes which public names of Keras are gone from which release.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bench.catalogue.prove import borders, prove
from bench.catalogue.wheels import KEPT, bases
from validator.catalogue.entries import changes


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.catalogue")
    parser.add_argument("what", nargs="?", choices=("prove", "score", "names"), default="prove")
    parser.add_argument("--only", action="append", default=[], help="entries, or words of cases")
    parser.add_argument("--jobs", type=int, default=2, help="environments at a time, for `score`")
    parser.add_argument("--kept", action="store_true", help="take what an earlier run recorded")
    options = parser.parse_args()
    if options.what == "score":
        from bench.catalogue.score import print_score

        return print_score(options.only, options.jobs, kept=options.kept)
    if options.what == "names":
        from bench.catalogue.names import write_names

        return write_names()
    return _print_proofs(options.only, KEPT / "answers" if options.kept else None)


def _print_proofs(only: list[str], kept: Path | None) -> int:
    began = time.monotonic()
    shipped = [change for change in changes() if not only or change.id in only]
    proven = prove(shipped, bases(), kept)
    for one in proven:
        pairs = ", ".join(f"{early} → {late}" for early, late in borders(one.change))
        size = "" if one.largest is None or one.largest in (0, float("inf")) else f" by {one.largest:.3g}"
        said = f"holds: {pairs}{size}" if one.holds else f"DOES NOT HOLD: {one.reason}"
        print(f"{one.change.id:5} {one.change.title}: {said}")
    holding = sum(one.holds for one in proven)
    print(
        f"\n{len(shipped)} entries, {len(proven)} proofs run, {holding} hold, "
        f"in {time.monotonic() - began:.0f} s"
    )
    return 0 if holding == len(proven) else 1


if __name__ == "__main__":
    sys.exit(main())

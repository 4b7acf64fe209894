"""`python -m bench.corpus`: run the cases and print recall, false alarms, layers and kinds.

    python -m bench.corpus [--split dev|held-out] [--only WORD]… [--jobs N] [--check]
    python -m bench.corpus benign [--seed N]… [--only WORD]… [--jobs N]
    python -m bench.corpus history [--only WORD]… [--jobs N]
    python -m bench.corpus power [--project VALIDATOR.YML]…

`benign` runs the models of the corpus in every environment and order that moves nothing but rounding, and
prints how many pairs differ and which of them alarm; each `--seed` draws other weights and inputs. `history`
runs silent fixes of Keras, and prints of each what is reported. `power` plants changes in the outputs of
models that add in another order, and of the last run of each `--project`, and prints the share that is seen.

`--check` runs the held-out cases too, but says of them only which models fail to run: a model that cannot be
built is to be mended without looking at what the product makes of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.corpus.benign import benign_pairs, power_pairs, rearranged_pairs
from bench.corpus.case import Case
from bench.corpus.harness import CORPUS, Ran, releases, run_cases
from bench.corpus.history import silent_fixes
from bench.corpus.known import LEFT_OUT, known_changes
from bench.corpus.power import (
    DRAWS,
    false_alarms,
    measure_power,
    power_table,
    recorded_outputs,
    recorded_project,
)
from bench.corpus.rules import alarms
from bench.corpus.score import Outcome, Row, misses, outcome, table
from validator.verdict.bands import GREEN

_LISTS: dict[str, Callable[[], Sequence[Case]]] = {
    "all": lambda: [*known_changes(), *benign_pairs()],
    "benign": rearranged_pairs,
    "history": silent_fixes,
    "power": power_pairs,
}


def main() -> None:
    """Run the cases that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.corpus")
    parser.add_argument("what", nargs="?", choices=tuple(_LISTS), default="all")
    parser.add_argument("--seed", action="append", type=int, help="of other weights and inputs, for `benign`")
    parser.add_argument(
        "--project", action="append", type=Path, default=[], help="validator.yml, for `power`"
    )
    parser.add_argument("--split", choices=("dev", "held-out"), help="only this split; default both")
    parser.add_argument("--only", action="append", default=[], help="only cases whose id holds this word")
    parser.add_argument("--jobs", type=int, default=2, help="environments captured at the same time")
    parser.add_argument("--check", action="store_true", help="say only which models do not run")
    options = parser.parse_args()
    began = time.monotonic()
    cases = [
        case
        for case in _LISTS[options.what]()
        if options.split in (None, case.split)
        and (not options.only or any(word in case.id for word in options.only))
    ]
    if options.what == "benign":
        _print_benign(cases, options.seed or [None], options.jobs)
    elif options.what == "history":
        _print_history(
            [one for series, mine in releases(cases) for one in run_cases(mine, options.jobs, series)]
        )
    elif options.what == "power":
        _print_power(run_cases(cases, options.jobs), options.project)
    else:
        _print_corpus(run_cases(cases, options.jobs), check=options.check)
    print(f"\n{len(cases)} cases in {time.monotonic() - began:.0f} s")


def _print_corpus(ran: Sequence[Ran], *, check: bool) -> None:
    if check:
        _print_failures(ran)
    else:
        _print_result([outcome(one.case, one.result, alarms(one.baseline, one.candidate)) for one in ran])


def _print_benign(cases: Sequence[Case], seeds: Sequence[int | None], jobs: int) -> None:
    for seed in seeds:
        ran = run_cases(cases, jobs, replace(CORPUS, seed=seed))
        differing = [one for one in ran if one.result.verdict != "identical"]
        wrong = [one for one in ran if one.result.verdict not in GREEN]
        about = "the corpus' own weights and inputs" if seed is None else f"weights and inputs of seed {seed}"
        print(f"{about}: {len(ran)} benign pairs, {len(differing)} differ, {len(wrong)} alarm")
        for one in wrong:
            print(f"  {one.case.id}: {one.result.message or one.result.verdict}")


def _print_history(ran: Sequence[Ran]) -> None:
    """What is reported of each fix, and how much of it is right."""
    outcomes = [outcome(one.case, one.result, {}) for one in ran]
    for one, found in zip(ran, outcomes, strict=True):
        result = "right" if not found.wrong else f"WRONG ({', '.join(found.wrong)})"
        print(f"\n{one.case.source}: {one.case.id}: {result}\n  {one.result.verdict}: {one.result.message}")
        for finding in one.result.findings:
            if finding.check in ("loading", "structure", "layers", "training") and finding.message:
                print(f"  - {finding.kind}: {finding.message}")
    right = sum(not found.wrong for found in outcomes)
    named = [found.layer for found in outcomes if found.layer is not None]
    print(f"\n{right} of {len(outcomes)} right; the layer named in {sum(named)} of {len(named)}")


def _print_power(ran: Sequence[Ran], projects: Sequence[Path]) -> None:
    outputs = [
        output for one in ran for output in recorded_outputs(one.case.model.name, one.baseline, one.candidate)
    ]
    for project in projects:
        outputs += recorded_project(project)
    print(f"{len(outputs)} outputs, {false_alarms(outputs)} alarm with nothing planted")
    print(f"at least suspicious (changed), of outputs x {DRAWS} draws\n")
    for line in power_table(measure_power(outputs)):
        print(line)


def _print_failures(ran: Sequence[Ran]) -> None:
    for one in ran:
        if one.result.failure is not None or one.result.verdict == "not-compared":
            print(f"{one.case.id}: {one.result.message}")
        for finding in one.result.findings:
            if finding.kind == "evaluate":
                print(f"{one.case.id}: {finding.message}")


def _print_result(outcomes: Sequence[Outcome]) -> None:
    for split in ("dev", "held-out"):
        mine = [one for one in outcomes if one.split == split]
        if mine:
            _print_table(split, mine)
    if len({one.split for one in outcomes}) > 1:
        _print_table("both", outcomes)
    missed = misses(outcomes)
    print(f"\n{len(missed)} cases that are not wholly right:")
    for line in missed:
        print(f"  {line}")
    suspicious = [one for one in outcomes if one.suspicious]
    print(f"\n{sum(one.changed for one in suspicious)} known changes are `suspicious` rather than `changed`")
    told = [one.identity for one in outcomes if one.structure and not one.changed]
    print(f"{len(told)} benign pairs have a finding of structure beside a green verdict")
    for identity in told:
        print(f"  {identity}")
    print("\nknown changes that are no case here:")
    for entries, why in LEFT_OUT.items():
        print(f"  {entries}: {why}")


def _print_table(split: str, outcomes: Sequence[Outcome]) -> None:
    known = sum(one.changed for one in outcomes)
    print(f"\n{split}: {known} known changes, {len(outcomes) - known} benign pairs\n")
    print(f"| {'rule':26} | {'recall':15} | {'false alarms':15} | {'right layer':15} | {'right kind':15} |")
    print("|---|---|---|---|---|")
    for row in table(outcomes):
        print(_line(row))


def _line(row: Row) -> str:
    cells = (row.recall, row.false_alarms, row.layer, row.kind)
    return f"| {row.who:26} | " + " | ".join(f"{cell!s:15}" for cell in cells) + " |"


main()

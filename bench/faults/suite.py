"""Tries faults: models of one place in one run, everything else on its own."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.faults.configuration import configuration
from bench.faults.endings import signals
from bench.faults.fault import Fault, Outcome, Place
from bench.faults.forged import names, processes, worker
from bench.faults.planted import decode, metrics, numbers, training
from bench.faults.recordings import files
from bench.faults.stored import weights
from bench.faults.surroundings import environments
from bench.faults.workshop import SOUND, Workshop, cell_of, outcome, sound

_SOURCES = (
    numbers, metrics, decode, training, weights, worker, processes, names, files, configuration, environments, signals,
)  # fmt: skip
#: Models of one run. A run that is too large hides which model a time limit hit.
_LARGEST = 60


def all_faults() -> list[Fault]:
    """Every fault, in the order of the kinds."""
    return [fault for source in _SOURCES for fault in source()]


def attempt(faults: Sequence[Fault], scratch: Path, jobs: int) -> Iterator[tuple[Fault, Outcome]]:
    """Try faults, and give what came out of each."""
    workshop = Workshop(scratch)
    places: tuple[Place, ...] = ("stand-in", "keras")
    for place in places:
        planted = [fault for fault in faults if fault.model is not None and fault.place == place]
        models = list({str(fault.model["name"]): fault.model for fault in planted if fault.model}.values())
        for start in range(0, len(models), _LARGEST):
            batch = models[start : start + _LARGEST]
            chosen = {str(model["name"]) for model in batch}
            yield from _together(
                workshop,
                place,
                batch,
                [fault for fault in planted if fault.model and fault.model["name"] in chosen],
            )
    alone = [fault for fault in faults if fault.attempt is not None]
    if any(fault.kind in {"worker", "environments", "signals"} for fault in alone):
        _ = workshop.template  # before threads ask for it side by side
    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(alone, pool.map(lambda fault: _alone(workshop, fault), alone), strict=True)


def _together(
    workshop: Workshop, place: Place, models: Sequence[Mapping[str, object]], faults: Sequence[Fault]
) -> Iterator[tuple[Fault, Outcome]]:
    """One run of all models, between two that are sound."""
    neighbours = [sound(place, f"{SOUND}-{number}") for number in (1, 2)]
    if place == "stand-in":
        _ = workshop.template
    config = workshop.project(place, [neighbours[0], *models, neighbours[1]])
    done, report = workshop.run(config)
    if report is None:
        trouble = f"the whole run is lost: exit {done.code}: {(done.errors or done.out)[-300:]}"
        yield from ((fault, Outcome(done.code, trouble=trouble)) for fault in faults)
        return
    lost = [
        str(model["name"])
        for model in neighbours
        if (cell := cell_of(report, str(model["name"]))) is None or cell.verdict != "identical"
    ]
    trouble = done.trouble or (f"a neighbour is lost: {', '.join(lost)}" if lost else "")
    for fault in faults:
        cell = cell_of(report, str(fault.model["name"] if fault.model else ""))
        missing = Outcome(done.code, trouble="no cell in the report")
        yield fault, outcome(cell, fault.output, trouble) if cell else missing


def _alone(workshop: Workshop, fault: Fault) -> Outcome:
    assert fault.attempt is not None
    try:
        return fault.attempt(workshop)
    except Exception as error:  # of ours, or of the product where it is called directly: it survives
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(
            70, trouble=f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}"[:300]
        )

"""Runs of a model as lines of a history: a nightly canary that goes through releases of Keras."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from validator.checks.bands import CellVerdict
from validator.history import HistoryCell, HistoryRun, MetricPair, append

FIRST = datetime(2026, 10, 1, 3, 17, tzinfo=timezone.utc)


def entry(
    night: int,
    accuracy: float | None,
    *,
    keras: str = "3.9.0",
    commit: str = "a" * 40,
    noise: float | None = 0.4,
    verdict: CellVerdict = "rounding",
    model: str = "digits",
    configuration: str = "validator.yml",
    seconds: float = 12.0,
) -> HistoryRun:
    cell = HistoryCell(
        model=model,
        environment="head",
        verdict=verdict,
        keras=f"keras {keras}",
        baseline="keras 3.3.3",
        backend="tensorflow",
        packages={"keras": keras, "numpy": "1.26.4"},
        max_abs=1e-7,
        noise=noise,
        metrics={} if accuracy is None else {"accuracy": MetricPair(baseline=0.91, candidate=accuracy)},
        seconds=seconds,
    )
    time = (FIRST + timedelta(days=night)).isoformat(timespec="seconds")
    return HistoryRun(
        time=time, commit=commit, verdict="pass", configuration=configuration, tool="0.1", cells=(cell,)
    )


def fallen(before: int = 5, after: int = 3) -> list[HistoryRun]:
    """Accuracy 0.91, and 0.84 since Keras 3.10.0 and another commit."""
    entries = [entry(night, 0.91) for night in range(before)]
    return entries + [
        entry(before + night, 0.84, keras="3.10.0", commit="b" * 40, noise=60.0, verdict="changed")
        for night in range(after)
    ]


def write(path: Path, entries: Sequence[HistoryRun]) -> Path:
    for each in entries:
        append(path, each)
    return path

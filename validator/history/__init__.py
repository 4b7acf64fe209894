"""Judged runs, one line of JSON each → how numbers went by release and by commit.

In comes a `Report`, which becomes a `HistoryRun`, or a file of them, which becomes series of numbers with the
steps in them. Lines are appended and never rewritten. Nothing here speaks: sentences are the report's.
"""

from validator.history.entries import entry_of
from validator.history.files import History, Skipped, append, check_place, dump, read
from validator.history.series import (
    DRIFT,
    SECONDS,
    LevelStep,
    Point,
    Series,
    TrackedModel,
    by_commit,
    by_release,
)
from validator.history.steps import Levels, find_levels
from validator.history.types import HistoryCell, HistoryRun, MetricPair

__all__ = [
    "DRIFT",
    "SECONDS",
    "History",
    "HistoryCell",
    "HistoryRun",
    "LevelStep",
    "Levels",
    "MetricPair",
    "Point",
    "Series",
    "Skipped",
    "TrackedModel",
    "append",
    "by_commit",
    "by_release",
    "check_place",
    "dump",
    "entry_of",
    "find_levels",
    "read",
]

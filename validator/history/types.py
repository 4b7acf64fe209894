"""One line of a history: a run in a few numbers.

The published JSON Schema is generated from these classes (`validator/history/history.schema.json`). A field
that is added does not raise `schema`; readers ignore those that they do not know.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from validator.base import Frozen, Text
from validator.checks.bands import CellVerdict
from validator.verdict.results import Verdict

SCHEMA = 1


class _Line(Frozen):
    model_config = ConfigDict(extra="ignore")


class MetricPair(_Line):
    """A metric on both sides; null where it is not known."""

    baseline: float | None = None
    candidate: float | None = None


class HistoryCell(_Line):
    """One model in one environment, compared with its baseline."""

    model: str
    environment: str
    variant: str = ""
    verdict: CellVerdict
    keras: str = Field(default="", description="Module and version that ran, `tf_keras 2.17.0`.")
    baseline: str = Field(default="", description="The same of the baseline.")
    backend: str = ""
    packages: dict[str, str] = Field(default={}, description="The packages that matter most, and Python.")
    max_abs: float | None = Field(default=None, description="The largest absolute difference of all outputs.")
    noise: float | None = Field(default=None, description="The largest drift ÷ noise; null over no noise.")
    metrics: dict[str, MetricPair] = {}
    seconds: float | None = Field(default=None, description="Of the candidate.")


class HistoryRun(_Line):
    """One judged run."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    time: str = Field(description="ISO 8601, UTC.")
    commit: str | None = None
    verdict: Verdict
    configuration: Text = Field(default="", description="The validator.yml, relative to the repository.")
    asked: tuple[str, ...] = Field(default=(), description="Packages that `--with` and `--pre` moved.")
    tool: str = ""
    cells: tuple[HistoryCell, ...] = ()

"""What a run came to: the typed form of `report.json`, which forms and publishers show.

The published JSON Schema is generated from these classes (`validator/report/report.schema.json`).
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field, create_model

from validator.base import Frozen, Text
from validator.checks.bands import CellVerdict
from validator.checks.protocol import Comparison, Finding
from validator.checks.registry import CHECKS
from validator.config.settings import GateRule
from validator.failure import Failure
from validator.matrix import Effect
from validator.origin.types import Origin
from validator.upgrade.types import Upgrade
from validator.verdict.acceptances import AcceptanceNote, Accepted

Verdict = Literal["pass", "warn", "fail", "inconclusive"]
#: Whether workers can write results that are not their own (SECURITY.md).
Confinement = Literal["on", "off", "unavailable"]

_C = TypeVar("_C", bound=Comparison)

if TYPE_CHECKING:
    AnyFinding = Finding
    Comparisons = Frozen
else:
    # Built from the registry, so that a check that is added to it is read, written and in the schema.
    _FINDINGS = tuple(kind for check in CHECKS for kind in check.findings)
    AnyFinding = Annotated[functools.reduce(operator.or_, _FINDINGS), Field(discriminator="kind")]
    Comparisons = create_model(
        "Comparisons", __base__=Frozen, **{check.name: (check.comparison | None, None) for check in CHECKS}
    )


class CellResult(Frozen):
    """One model in one environment under one variant, judged against its baseline cell."""

    cell: str
    environment: str
    variant: str
    effect: Effect | None = Field(
        default=None,
        description="Where the pull request changes the model: whose effect this is. `model`: base's files "
        "against head's in one environment; `packages`: head's files in both; `both`: head against base.",
    )
    verdict: CellVerdict
    failure: Failure | None = None
    alone: Failure | None = Field(
        default=None, description="For `both`: why the head's files do not run in the base's packages."
    )
    checks: Comparisons = Field(default_factory=Comparisons, description="The numbers of each check.")
    findings: tuple[AnyFinding, ...] = ()
    origin: Origin | None = Field(default=None, description="Where the difference comes from.")
    gated: tuple[GateRule, ...] = Field(default=(), description="The gate's rules that this cell breaks.")
    accepted: Accepted | None = Field(
        default=None, description="Somebody has accepted this result: the gate does not fail for it."
    )
    seconds: float | None = None
    reproduce: Text = Field(default="", description="The command that runs this cell again.")
    message: str = Field(default="", description="The verdict in a sentence, written with report.json.")
    title: str = Field(
        default="", description="Model, layer and numbers in a few words, written with report.json."
    )

    def comparison(self, kind: type[_C]) -> _C | None:
        """The numbers of one check, by their type."""
        values = (getattr(self.checks, check.name) for check in CHECKS)
        return next((value for value in values if isinstance(value, kind)), None)


class ModelResult(Frozen):
    """All cells of one model, worst first. `synthetic`: its inputs were made, and none was recorded."""

    name: str
    synthetic: bool = False
    inputs_of_base: bool = Field(
        default=False,
        description="Both sides got the inputs of the base commit: its model does not take the head's.",
    )
    cells: tuple[CellResult, ...]


class EnvironmentResult(Frozen):
    """One environment as it really ran. `packages` maps the normalised name to the version."""

    name: str
    role: Literal["baseline", "candidate"] = "candidate"
    packages: dict[str, str] = {}
    moved: dict[str, str] = Field(
        default={},
        description="What can move numbers and is not the baseline's, `old -> new`: the upgrade that an "
        "acceptance holds to.",
    )
    python: str = ""
    cpu: str = ""
    keras: str = Field(default="", description="Module and version that ran, for example `tf_keras 2.17.0`.")
    backend: str = ""
    seconds: float | None = None
    failure: Failure | None = None


class Reason(Frozen):
    """One reason for the verdict of a run: a cell with the rules that decided, a model, or an error.

    `step-files`: something in the run wrote to files by which the step talks to GitHub; they were restored.
    `undecided`: the upgrade was not read, or not all of it; its own reasons say which file and what to do.
    """

    kind: Literal[
        "cell",
        "nothing-compared",
        "irrelevant",
        "undecided",
        "error",
        "model-added",
        "model-removed",
        "step-files",
        "shard-missing",
    ]
    cell: str = ""
    model: str = Field(default="", description="Of a model that one side alone has.")
    shard: str = Field(default="", description="Of a shard that left no result, such as `2/3`.")
    rules: tuple[GateRule, ...] = ()
    error: Text = Field(
        default="", description="For `error`: what the run could not begin with, and what to do."
    )
    files: tuple[str, ...] = Field(default=(), description="For `step-files`: the variables that name them.")
    message: str = Field(default="", description="The same for people, written with report.json.")


class FetchedPlace(Frozen):
    """A model or recording that lies elsewhere, as it was fetched for a run."""

    address: Text = Field(description="Without credentials: `***` stands for a login and for a query.")
    sha256: str = Field(description="Of a folder: of its files' digests and names (docs/remote.md).")
    bytes: int
    pinned: bool = Field(description="Whether validator.yml names the digest, so that no other is used.")


class WorkflowRun(Frozen):
    """The run of GitHub Actions that made a report, and its attempt: 1, or more after a re-run."""

    id: int = Field(gt=0)
    attempt: int = Field(gt=0)


class RestoredCapture(Frozen):
    """Predictions of an earlier run that stand in for the same ones: nothing that decides them changed."""

    cell: str
    measured: str = Field(description="When they were computed: ISO 8601, UTC.")
    verified: bool = Field(description="Whether a batch that ran again gave the same bytes.")


class Report(Frozen):
    """One run."""

    schema_version: Literal[2] = Field(default=2, alias="schema")
    verdict: Verdict
    reasons: tuple[Reason, ...] = Field(description="Why, worst first.")
    baseline: str
    upgrade: Upgrade | None = None
    environments: tuple[EnvironmentResult, ...]
    models: tuple[ModelResult, ...]
    not_compared: tuple[str, ...] = Field(default=(), description="Ids of cells that were not compared.")
    tool: str = Field(description="Version of the validator.")
    configuration: Text = Field(default="", description="The validator.yml, relative to the repository.")
    started: str = Field(default="", description="ISO 8601, UTC.")
    seconds: float | None = None
    commit: str | None = None
    workflow_run: WorkflowRun | None = None
    fetched: tuple[FetchedPlace, ...] = Field(default=(), description="What lies elsewhere.")
    sandbox: Confinement | None = Field(
        default=None,
        description="Whether the code of models was confined to its own results; `unavailable`: this system "
        "has no Landlock. Null where no model was run.",
    )
    acceptance_file: Text = Field(
        default="", description="Where acceptances are written, relative to the repository."
    )
    acceptances: tuple[AcceptanceNote, ...] = Field(
        default=(), description="Acceptances that did not count: expired, exceeded, unused."
    )
    restored: tuple[RestoredCapture, ...] = Field(default=(), description="What was not run again.")
    cache_notes: tuple[Text, ...] = Field(
        default=(), description="What earlier runs, or other workers, left and was not used, and why."
    )

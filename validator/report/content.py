"""What a report says and in which order, before anyone puts it into words or decides how it looks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeVar

from validator.checks.accuracy.types import AccuracyComparison, MetricResult
from validator.checks.bands import CellVerdict
from validator.checks.known.types import KnownWorkaround
from validator.checks.loading.types import ArtifactFinding, BaselineFailed, CellFailed
from validator.checks.outputs.types import OutputFinding, OutputNumbers, OutputsComparison
from validator.checks.protocol import Finding
from validator.failure import UNJUDGED, Failure
from validator.matrix import BASE_FILES, Effect, by_version
from validator.report.document import Block
from validator.report.phrases import Words
from validator.report.words import Place, WordsByCheck
from validator.report.words import origin as where
from validator.report.words.failures import error_line
from validator.verdict.bands import ASIDE, GREEN, MOVED, SEVERITY, Aside
from validator.verdict.gate import check_verdict, evaluate_broken, overall
from validator.verdict.results import CellResult, EnvironmentResult, Report

#: Checks with the blocks that they unfold.
Parts = tuple[tuple[str, tuple[Block, ...]], ...]
State = Literal["good", "warn", "bad", "unknown"]
#: Checks that a validator.yml has to ask for.
OPTIONAL = ("accuracy", "decode", "training")

_STATES: dict[CellVerdict, State] = {
    "identical": "good",
    "rounding": "good",
    "suspicious": "warn",
    "metric-only": "warn",
    "not-compared": "unknown",
    "changed": "bad",
    "failed": "bad",
}
_T = TypeVar("_T", bound=Hashable)
#: Whose effect the cell of a changed model shows.
_EFFECTS: dict[Effect, str] = {
    "model": "model change alone",
    "packages": "packages alone",
    "both": "model and packages",
}


#: A check whose notes are repeated where another explains the cell.
_EXPLAINS = {"structure": "layers"}


@dataclass(frozen=True)
class Remark:
    """A finding in words, and where it is shown."""

    finding: Finding
    place: Place
    words: Words

    @property
    def ends(self) -> bool:
        """Whether it says that the upgrade itself ends what the baseline suffers from."""
        return isinstance(self.finding, KnownWorkaround) and self.finding.ended


@dataclass(frozen=True)
class Row:
    """One cell of a model, and the words of each check."""

    model: str
    cell: CellResult
    checks: WordsByCheck

    @property
    def state(self) -> State:
        """How the row is marked: green only where everything that was asked of the cell is."""
        if self.cell.accepted is not None:
            return "warn"
        return "bad" if self.cell.gated or evaluate_broken(self.cell) else _STATES[overall(self.cell)]

    @property
    def asides(self) -> dict[Aside, CellVerdict]:
        """Decoding and training, where they are not green."""
        verdicts: dict[Aside, CellVerdict] = {check: check_verdict(self.cell, check) for check in ASIDE}
        return {check: verdict for check, verdict in verdicts.items() if verdict not in GREEN}

    @property
    def green(self) -> bool:
        """Nothing to look at."""
        return self.state == "good"

    @property
    def compared(self) -> bool:
        """Whether there are predictions of both sides."""
        return self.cell.verdict not in ("failed", "not-compared")

    @property
    def where(self) -> str:
        """Environment and variant: `keras-3.5.0 float32`; of a changed model also whose effect it shows."""
        variant = "" if self.cell.variant in ("", "as-saved") else self.cell.variant
        place = f"{self.cell.environment} {variant}".rstrip()
        return f"{place}: {_EFFECTS[self.cell.effect]}" if self.cell.effect else place

    @property
    def failure(self) -> Failure | None:
        """Why the cell has no predictions, or its baseline has none."""
        kinds = BaselineFailed | CellFailed
        failures = (finding.failure for finding in self.cell.findings if isinstance(finding, kinds))
        return self.cell.failure or next(failures, None)

    @property
    def baseline_failure(self) -> Failure | None:
        """Why its baseline has no predictions."""
        failures = (each.failure for each in self.cell.findings if isinstance(each, BaselineFailed))
        own = self.cell.failure
        is_own = own is None or own.stage in UNJUDGED or self.cell.verdict != "not-compared"
        return next(failures, None if is_own else own)

    @property
    def outputs(self) -> tuple[OutputNumbers, ...]:
        """The numbers of every output."""
        comparison = self.cell.comparison(OutputsComparison)
        return comparison.outputs if comparison else ()

    @property
    def noise_ratio(self) -> float | None:
        """The largest drift ÷ noise of all outputs; infinite over no noise."""
        comparison = self.cell.comparison(OutputsComparison)
        return comparison.noise_ratio if comparison else None

    @property
    def max_abs(self) -> float | None:
        """The largest absolute difference of all outputs."""
        comparison = self.cell.comparison(OutputsComparison)
        return comparison.max_abs if comparison else None

    @property
    def metric(self) -> MetricResult | None:
        """The metric to show where there is room for a single number: a worse one, else the largest move."""
        return max(self.metrics, key=lambda metric: (metric.worse, abs(metric.delta or 0)), default=None)

    @property
    def metrics(self) -> tuple[MetricResult, ...]:
        """The metrics that have values on both sides, or got worse by losing one."""
        comparison = self.cell.comparison(AccuracyComparison)
        metrics = comparison.metrics if comparison else ()
        return tuple(each for each in metrics if each.worse or None not in (each.baseline, each.candidate))

    @cached_property
    def remarks(self) -> tuple[Remark, ...]:
        """The findings, each with its place and sentence."""
        spoken = ((finding, self.checks[finding.check]) for finding in self.cell.findings)
        return tuple(Remark(finding, its.place(finding), its.sentence(finding)) for finding, its in spoken)

    def placed(self, *places: Place) -> list[Remark]:
        """The remarks that belong into some places, place by place."""
        return [remark for place in places for remark in self.remarks if remark.place == place]

    def fits(self, remark: Remark) -> bool:
        """Whether a remark is about the cell's verdict: training and decode have verdicts of their own."""
        return remark.finding.verdict in (None, self.cell.verdict)

    @cached_property
    def lead(self) -> Words:
        """The finding behind the verdict: the first fitting lead of the last check that has one.

        Where predictions moved, what everything else follows from comes before it.
        """
        for cause in self.placed("first") if self.cell.verdict in MOVED else ():
            return cause.words
        leads = [remark for remark in self.placed("lead") if self.fits(remark)]
        order = list(self.checks)
        latest = max(leads, key=lambda lead: order.index(lead.finding.check), default=None)
        return latest.words if latest else ()

    @property
    def drifts(self) -> bool:
        """Whether it is suspicious for how far its predictions moved: not for its loading, NaN or chaos."""
        doubted = [finding for finding in self.cell.findings if finding.verdict == "suspicious"]
        return self.cell.verdict == "suspicious" and (not doubted or any(map(_is_drift, doubted)))

    @property
    def causes(self) -> tuple[Words, ...]:
        """Why it has its verdict: leads too, of checks that explain and measure nothing."""
        leads = [each for each in self.placed("lead") if not self.checks[each.finding.check].columns]
        causes = [*self.placed("first"), *(leads if self.compared else ()), *self.placed("why")]
        return tuple(remark.words for remark in causes if self.fits(remark))

    @property
    def origin(self) -> tuple[Words, ...]:
        """Where the difference comes from: release, night, lines, package."""
        return where.why(self.cell.origin) if self.cell.origin else ()

    @property
    def further(self) -> tuple[Words, ...]:
        """What explains a verdict that is not the cell's: that of its loading, training or decode."""
        loading = [remark for remark in self.placed("lead") if remark.finding.check == "loading"]
        return tuple(each.words for each in (*loading, *self.placed("why")) if not self.fits(each))

    @property
    def lacks_artifact(self) -> bool:
        """Whether a side did not load the saved model, and runs what its builder builds."""
        return any(isinstance(finding, ArtifactFinding) for finding in self.cell.findings)

    @cached_property
    def details(self) -> Parts:
        """What its checks have to unfold."""
        parts = []
        for check, its in self.checks.items():
            comparison = getattr(self.cell.checks, check, None)
            findings = [finding for finding in self.cell.findings if finding.check == check]
            blocks = its.details(comparison, findings) if comparison is not None else ()
            parts += [(check, blocks)] if blocks else []
        traced = where.blocks(self.cell.origin) if self.cell.origin else ()
        return (*parts, ("origin", traced)) if traced else tuple(parts)


@dataclass(frozen=True)
class Content:
    """A report, and the words of each check, by which findings get their place."""

    report: Report
    checks: WordsByCheck

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every cell, worst first."""
        cells = (
            (model.name, cell)
            for model in self.report.models
            for cell in sorted(model.cells, key=lambda cell: by_version(cell.cell))
        )
        rows = (Row(model, cell, self.checks) for model, cell in cells)
        return tuple(sorted(rows, key=_badness, reverse=True))

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to look at."""
        return self.report.verdict == "pass" and all(row.green for row in self.rows)

    @property
    def broken(self) -> tuple[EnvironmentResult, ...]:
        """Candidate environments that never got to run a model."""
        environments = self.report.environments
        baselines = (self.report.baseline, BASE_FILES)
        return tuple(env for env in environments if env.failure and env.name not in baselines)

    @property
    def baseline_failure(self) -> Failure | None:
        """Why the baseline environment could not run."""
        named = (env for env in self.report.environments if env.name == self.report.baseline)
        return next((env.failure for env in named), None)

    def notes(self) -> dict[Words, tuple[str, ...]]:
        """What else is worth knowing, with its cells: what needs a look first, what holds last."""
        cells: dict[Words, list[str]] = {}
        ranks: dict[Words, int] = {}
        for row in self.rows:
            for limit in where.notes(row.cell.origin) if row.cell.origin else ():
                ranks.setdefault(limit, 1)
                cells.setdefault(limit, []).append(row.cell.cell)
            explained = {note.finding.check for note in row.placed("why", "lead")}
            for note in row.placed("note"):
                if _EXPLAINS.get(note.finding.check) in explained:
                    continue
                verdict = note.finding.verdict
                rank = 1 if verdict is None else 2 if verdict in GREEN else 0
                ranks[note.words] = min(rank, ranks.get(note.words, rank))
                cells.setdefault(note.words, []).append(row.cell.cell)
        return {words: unique(cells[words]) for words in sorted(cells, key=lambda words: ranks[words])}

    def failures(self) -> list[tuple[Failure, tuple[str, ...]]]:
        """Each failure once, with the environments or cells it took."""
        broken = {env.name: env.failure for env in self.report.environments if env.failure is not None}
        failed = list(broken.items())
        for row in self.rows:
            # What is lost with an environment, or with the baseline's, is listed with that.
            baseless = row.cell.verdict == "not-compared" and self.baseline_failure is not None
            if row.failure is not None and row.cell.environment not in broken and not baseless:
                failed.append((row.cell.cell, row.failure))
        groups: dict[object, tuple[Failure, list[str]]] = {}
        for place, failure in failed:
            groups.setdefault(failure_kind(failure), (failure, []))[1].append(place)
        return [(failure, tuple(places)) for failure, places in groups.values()]

    def unchecked(self) -> dict[str, tuple[str, ...]]:
        """Each check that a model did not ask for, with those models; with none where no model did."""
        models = unique(row.model for row in self.rows if row.compared)
        gaps = {}
        for check in OPTIONAL:
            having = {row.model for row in self.rows if _answers(row, check)}
            without = tuple(model for model in models if model not in having)
            if without:
                gaps[check] = without if having else ()
        return gaps


def unique(items: Iterable[_T]) -> tuple[_T, ...]:
    """Each item once, in the order of its first appearance."""
    return tuple(dict.fromkeys(items))


def by_model(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by model, in their order."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.model, []).append(row)
    return grouped


def failure_kind(failure: Failure) -> tuple[str, str]:
    """What makes two failures the same: not the log, which has times and addresses in it."""
    return failure.stage, error_line(failure)


def _answers(row: Row, check: str) -> bool:
    if check == "accuracy":  # no metric could be scored
        return row.metric is not None
    return row.compared and getattr(row.cell.checks, check, None) is not None


def _badness(row: Row) -> tuple[bool, int, int, float, float]:
    severity = SEVERITY.index(row.cell.verdict), SEVERITY.index(overall(row.cell))
    return bool(row.cell.gated), *severity, row.noise_ratio or 0.0, row.max_abs or 0.0


def _is_drift(finding: Finding) -> bool:
    return isinstance(finding, OutputFinding) and finding.rule not in ("chaos", "mostly-nan")

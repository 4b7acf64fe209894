"""What the HTML report says around the sentences of the checks: titles, answers, labels of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from validator.checks.accuracy.types import AccuracyComparison
from validator.checks.bands import CellVerdict
from validator.checks.decode.types import DecodeComparison
from validator.checks.known.types import KnownChangeFinding, KnownComparison
from validator.checks.layers.types import FirstDifference, LayersComparison, LayerTable
from validator.checks.outputs.types import OutputFinding, OutputsComparison
from validator.checks.protocol import Finding
from validator.checks.training.types import TrainingComparison
from validator.checks.workarounds.types import Workaround, WorkaroundsComparison
from validator.origin.types import Likeness, Origin
from validator.report import figures
from validator.report.content import Row
from validator.report.phrases import Words, name, plural, strong, words
from validator.report.words.cell import VERDICTS, accepted
from validator.report.words.failures import STAGES, failed
from validator.report.words.layers import located
from validator.report.words.origin import begins
from validator.report.words.remedies import advice
from validator.verdict.bands import BANDS, GREEN

#: A verdict as a shape: it is told apart without colour.
SHAPES: dict[CellVerdict, str] = {
    "identical": "=",
    "rounding": "≈",
    "suspicious": "?",
    "metric-only": "M",
    "changed": "≠",
    "failed": "×",
    "not-compared": "–",
}
#: Above tables that pictures stand for.
NUMBERS = "The numbers as a table"
#: The heading of each check's section; of one that is not listed, its name.
TITLES = {
    "layers": "Which layer differs first",
    "outputs": "How far the outputs move",
    "accuracy": "Does it matter for the task",
    "decode": "Decoding",
    "training": "Training",
    "origin": "Since when, and which lines",
    "known": "Known changes that can reach this model",
    "structure": "Structure and weights",
    "loading": "Loading",
    "workarounds": "Settings that were tried",
}
_QUIET_TITLES = {"outputs": "Drift and noise", "accuracy": "Accuracy", "layers": "Layers"}
_DOES: dict[CellVerdict, str] = {
    "identical": " is identical in ",
    "rounding": " does not change in ",
    "suspicious": " drifts beyond noise in ",
    "metric-only": " predicts the same in ",
    "changed": " changes in ",
    "failed": " fails in ",
    "not-compared": " was not compared in ",
}
LIKE: dict[Likeness, str] = {
    "baseline": "like the baseline",
    "candidate": "like the candidate",
    "other": "like neither",
    "failure": "fails",
}


def section_title(check: str, row: Row) -> str:
    """The heading of a check's section."""
    quiet = _QUIET_TITLES.get(check) if row.cell.verdict in GREEN else None
    return quiet or TITLES.get(check, check.capitalize())


def page_title(row: Row) -> Words:
    """`llama` changes in keras-3.5.0."""
    doubtful = row.cell.verdict == "suspicious" and not row.drifts
    does = " is in doubt in " if doubtful else _DOES[row.cell.verdict]
    return words(name(row.model), does, row.where)


def summary(row: Row) -> tuple[Words, ...]:
    """The cell in a few sentences: what happened, why, whether it matters, and who accepted it."""
    return (*_happened(row), *((accepted(row.cell.accepted),) if row.cell.accepted is not None else ()))


def _happened(row: Row) -> tuple[Words, ...]:
    if row.failure is not None and not row.compared:
        whose = words("the baseline ") if row.baseline_failure is not None else ()
        return (words(whose, failed(row.failure)),)
    lead = (row.lead,) if row.lead else ()
    metric = row.metric
    matters: tuple[Words, ...] = ()
    if metric is not None and metric.delta:
        verb = "falls" if metric.delta < 0 else "rises"
        before, after = figures.scores(metric.baseline, metric.candidate)
        matters = (words(f"{metric.metric} {verb} from {before} to ", strong(after)),)
    if row.cell.verdict in GREEN:
        return (*lead, *_quiet(row), *matters, *row.further)
    known = tuple(each.words for each in row.placed("why") if isinstance(each.finding, KnownChangeFinding))
    causes = () if row.origin or known else row.causes[:2]
    return tuple(dict.fromkeys((*lead, *row.origin, *known, *causes, *matters, *row.further[:1])))


def _quiet(row: Row) -> tuple[Words, ...]:
    if row.cell.verdict == "identical":
        return (words("every compared prediction is identical, bit for bit"),)
    times, size = figures.ratio(row.noise_ratio), figures.number(row.max_abs)
    noise = "" if times == figures.NONE else f", which is {times} the measured noise"
    return (words(f"only rounding: the outputs differ by at most {size}{noise}"),)


def actions(row: Row) -> tuple[tuple[Words, Words], ...]:
    """What to do, and in small whether that was run."""
    proposed = [(remark.words, ()) for remark in row.placed("do")]
    if proposed:
        return tuple(proposed)
    if row.green:
        return ((words("nothing"), ()),)
    return ((advice(row), ()),)


def answer(check: str, row: Row) -> str:
    """The answer of a check in a few words; empty where it has none."""
    comparison = getattr(row.cell.checks, check, None)
    findings = [finding for finding in row.cell.findings if finding.check == check]
    return _ANSWERS[check](comparison, row, findings) if comparison is not None and check in _ANSWERS else ""


def _layers(comparison: LayersComparison, row: Row, findings: Sequence[Finding]) -> str:
    first = next((each for each in findings if isinstance(each, FirstDifference)), None)
    if first is None or not located(first.cause):
        return "not located"
    return f"{first.cause.layer or 'own code'} first"


def _outputs(comparison: OutputsComparison, row: Row, findings: Sequence[Finding]) -> str:
    times = figures.ratio(row.noise_ratio)
    if row.cell.verdict == "identical":
        return "bit-identical"
    return f"max abs diff {figures.number(row.max_abs)}" if times == figures.NONE else f"{times} noise"


def _accuracy(comparison: AccuracyComparison, row: Row, findings: Sequence[Finding]) -> str:
    return figures.change(row.metric.baseline, row.metric.candidate) if row.metric else ""


def _decode(comparison: DecodeComparison, row: Row, findings: Sequence[Finding]) -> str:
    if comparison.first is not None:
        return f"diverges at step {comparison.first.step}"
    return "identical" if comparison.identical else "the same tokens"


def _training(comparison: TrainingComparison, row: Row, findings: Sequence[Finding]) -> str:
    return VERDICTS[BANDS.worst(finding.verdict for finding in findings)]


def _known(comparison: KnownComparison, row: Row, findings: Sequence[Finding]) -> str:
    exposure = comparison.exposure
    if exposure is None:
        return plural(sum(isinstance(each, KnownChangeFinding) for each in findings), "change")
    return f"{len(exposure.seen)} seen, {len(exposure.not_exercised)} not exercised"


def _workarounds(comparison: WorkaroundsComparison, row: Row, findings: Sequence[Finding]) -> str:
    works = sum(isinstance(each, Workaround) for each in findings)
    return f"{works} of {len(comparison.trials)} restore parity"


_ANSWERS: dict[str, Callable[[Any, Row, Sequence[Finding]], str]] = {
    "layers": _layers,
    "outputs": _outputs,
    "accuracy": _accuracy,
    "decode": _decode,
    "training": _training,
    "known": _known,
    "workarounds": _workarounds,
}


def origin_answer(origin: Origin) -> str:
    """`since 3.5.0`."""
    transition = begins(origin)
    if transition is None:
        return "not from Keras alone" if origin.refused == "same" else "not traced"
    since = origin.releases is not None and origin.releases.traced == "since"
    return f"since Keras {transition.after}" if since else f"up to Keras {transition.before}"


def what_was_compared(row: Row) -> list[tuple[Words, Words, Words]]:
    """Of an unchanged cell: each thing that was compared, its extent, and what came of it."""
    lines: list[tuple[Words, Words, Words]] = []
    verdicts = {each.output: each.verdict for each in row.cell.findings if isinstance(each, OutputFinding)}
    for output in row.outputs:
        pair = output.comparison
        if pair is None:
            continue
        verdict = verdicts.get(output.name)
        extent = f"{figures.shape(pair.baseline_shape)} {pair.baseline_dtype}, {plural(pair.size, 'element')}"
        lines.append(
            (words("output ", name(output.name)), words(extent), words(VERDICTS[verdict] if verdict else ""))
        )
        if output.ranked and pair.flips is not None and pair.rows:
            moved = f"{pair.flips:,} changed"
            lines.append((words("top-1 prediction"), words(f"{pair.rows:,} predictions"), words(moved)))
    for metric in row.metrics:
        extent = plural(metric.samples, "labelled item")
        change = figures.change(metric.baseline, metric.candidate)
        lines.append((words(name(metric.metric)), words(extent), words(change)))
    return lines + _further_compared(row)


def _further_compared(row: Row) -> list[tuple[Words, Words, Words]]:
    lines: list[tuple[Words, Words, Words]] = []
    training, decode = row.cell.comparison(TrainingComparison), row.cell.comparison(DecodeComparison)
    if training is not None and training.steps:
        worst = BANDS.worst(each.verdict for each in row.cell.findings if each.check == "training")
        lines.append((words("training"), words(plural(len(training.steps), "step")), words(VERDICTS[worst])))
    if decode is not None and decode.samples:
        worst = BANDS.worst(each.verdict for each in row.cell.findings if each.check == "decode")
        lines.append((words("decoding"), words(plural(decode.samples, "sample")), words(VERDICTS[worst])))
    return lines


def layers_answer(table: LayerTable) -> Words:
    """How many layers diverge, and how many pass it on."""
    diverge = "diverges" if table.diverging == 1 else "diverge"
    propagate = "propagates" if table.propagating == 1 else "propagate"
    count = f"{table.diverging:,} of {plural(table.layers, 'layer')} {diverge} on identical input"
    return words(f"{count}, {table.propagating:,} {propagate} the difference")


def cell_note(row: Row) -> tuple[str, str]:
    """What a cell of the matrix shows: a number, and a word behind it."""
    cell = row.cell
    if row.failure is not None and not row.compared:
        return "", STAGES[row.failure.stage].removeprefix("failed to ")
    times = figures.ratio(row.noise_ratio)
    if times == figures.NONE:
        times = "0" if cell.verdict == "identical" else figures.number(row.max_abs)
    if cell.verdict == "metric-only":
        return times, "reported metric"
    first = next((each for each in cell.findings if isinstance(each, FirstDifference)), None)
    if first is not None and first.cause.layer:
        return times, f"at {first.cause.layer.rpartition('/')[2]}"
    asides = [f"{check} {VERDICTS[verdict]}" for check, verdict in row.asides.items()]
    return times, ", ".join(asides)


def legend() -> list[tuple[CellVerdict, str]]:
    """Every verdict in words, for below the matrix."""
    band = BANDS.outputs.grains["all"]
    more: dict[CellVerdict, str] = {
        "changed": f", > {band.changed:g}×",
        "suspicious": f", {band.rounding:g} to {band.changed:g}×",
        "rounding": f", < {band.rounding:g}×",
        "identical": ", bit for bit",
    }
    order: tuple[CellVerdict, ...] = (
        "failed",
        "changed",
        "suspicious",
        "metric-only",
        "rounding",
        "identical",
    )
    return [(each, f"{VERDICTS[each]}{more.get(each, '')}") for each in (*order, "not-compared")]

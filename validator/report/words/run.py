"""What is said about a whole run: headline, summary, and what was not checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from validator.base import finite
from validator.checks.accuracy.types import MetricResult
from validator.checks.bands import CellVerdict
from validator.matrix import by_version
from validator.report.causes import Alike, alike
from validator.report.content import Content, Row, by_model, unique
from validator.report.figures import number, probability, ratio, scores
from validator.report.packages import RUNS, differences
from validator.report.phrases import Piece, Words, listed, name, plural, sentence, strong, words
from validator.report.words.acceptances import all_accepted
from validator.report.words.cell import VERDICTS, aside
from validator.report.words.common import DOES, common_reason, has_places
from validator.report.words.effects import change_of, effects, is_model_alone
from validator.report.words.failures import STAGES, failed
from validator.report.words.reasons import reason
from validator.report.words.upgrade import moved_package, why_it_runs
from validator.text import plain
from validator.verdict.bands import BANDS, GREEN, SEVERITY, Aside
from validator.verdict.results import Confinement, EnvironmentResult, Verdict

ICONS: dict[Verdict, str] = {"pass": "✅", "warn": "⚠️", "fail": "❌", "inconclusive": "❓"}
#: What a report says of a run whose models could write more than their own results.
UNCONFINED: dict[Confinement | None, str] = {
    "off": "models not confined: sandbox.mode is off",
    "unavailable": "models not confined: this system has no Landlock",
}
#: The same as such a run starts.
NO_LANDLOCK = (
    "The code of models is not confined: this system has no Landlock (Linux 5.19 or newer). "
    "It can write all files that you can."
)
_MOST_MODELS = 3
_MOST_GROUPS = 6


def headline(content: Content) -> str:
    """The verdict in a few words, without the upgrade."""
    report = content.report
    if report.verdict == "inconclusive" and any(each.kind == "error" for each in report.reasons):
        return "Not validated"
    if report.verdict == "inconclusive":
        return "Inconclusive: the baseline cannot be used" if _baseless(content) else "Inconclusive"
    if report.upgrade is not None and not report.upgrade.relevant and not report.models:
        return "No model was run: nothing relevant changed"
    if not report.models and any(each.kind in ("model-added", "model-removed") for each in report.reasons):
        return "No model was compared: models are new or gone"
    first, *others = _phrases(content)[:2]
    others += ["as accepted"] if all_accepted(content) else []
    return ", ".join([first, *(phrase[0].lower() + phrase[1:] for phrase in others)])


def _phrases(content: Content) -> list[str]:
    rows = content.rows
    verdicts = {row.cell.verdict for row in rows}
    fell = [row.metric for row in rows if row.metric and row.metric.worse]
    phrases = {
        "Predictions change": "changed" in verdicts,
        _falls(fell[0]) if fell else "": bool(fell),
        _environments_failed(content): bool(content.broken),
        _models_failed(content): "failed" in verdicts and not content.broken,
        "Not every model was compared": "not-compared" in verdicts and not content.broken,
        "Predictions drift beyond noise": any(row.drifts for row in rows),
        "Some predictions are in doubt": "suspicious" in verdicts and not any(row.drifts for row in rows),
        "Predictions hold, a reported metric changes": "metric-only" in verdicts,
    }
    notable = [phrase for phrase, holds in phrases.items() if holds]
    asides = _asides(rows)
    if notable or not rows:
        return [*notable, *asides] or ["Nothing was compared"]
    hold = "Predictions hold, up to rounding" if "rounding" in verdicts else "Predictions are identical"
    fails = ["The gate fails"] if content.report.verdict == "fail" and not asides else []
    return [*asides[:1], hold, *fails]


def _asides(rows: Sequence[Row]) -> list[str]:
    """What decoding and training do that is not green, worst first: `Training changes`."""
    distinct = {each for row in rows for each in row.asides.items()}
    worst = sorted(distinct, key=lambda each: (-SEVERITY.index(each[1]), each[0]))
    return [aside(*each).capitalize() for each in worst]


def _falls(metric: MetricResult) -> str:
    moves = "falls" if (metric.delta or 0) < 0 else "rises"
    if metric.directed and moves == "rises":
        moves = "gets worse"
    return f"{metric.metric[:1].upper()}{metric.metric[1:]} {moves}"


def _environments_failed(content: Content) -> str:
    broken = content.broken
    return f"{broken[0].name if len(broken) == 1 else f'{len(broken)} environments'} {_stage(broken)}"


def _models_failed(content: Content) -> str:
    stopped = by_model(row for row in content.rows if row.cell.verdict == "failed")
    return f"{plural(len(stopped), 'model')} {_stage([rows[0] for rows in stopped.values()])}"


def _stage(lost: Sequence[Row | EnvironmentResult]) -> str:
    """The stage at which all of them failed, if it is the same."""
    stages = {each.failure.stage for each in lost if each.failure}
    return STAGES[stages.pop()] if len(stages) == 1 else "failed"


def compared(content: Content) -> Words:
    """What is upgraded: `keras 3.3.3 → 3.5.0`; without an upgrade, what differs, or what was compared."""
    report = content.report
    change = change_of(content)
    if is_model_alone(content):
        return change
    if report.upgrade is not None and report.upgrade.changes:
        changes = sorted(report.upgrade.changes, key=lambda moved: not moved.direct)
        packages = listed([name(moved_package(moved)) for moved in changes], most=3)
        return words(packages, " and ", change) if change else packages
    others = (env.name for env in report.environments if env.name != report.baseline)
    candidates = sorted(others, key=by_version)
    lost = {env.name for env in content.broken}
    telling = [row for row in content.rows if not row.green]
    worst = max((SEVERITY.index(row.cell.verdict) for row in telling), default=0)
    differing = lost | {row.cell.environment for row in telling if SEVERITY.index(row.cell.verdict) == worst}
    named = [name(each) for each in candidates if each in differing or not differing]
    return words(listed(named, most=3), " against ", name(report.baseline)) if named else ()


def summary(content: Content) -> tuple[Words, ...]:
    """What a reader needs before any table: which models moved, how far, whether it matters, what held."""
    report = content.report
    if report.verdict == "inconclusive":
        return _inconclusive(content)
    if not report.models:
        return _nothing_ran(content)
    lost = {env.name for env in content.broken}
    ran = [row for row in content.rows if row.cell.environment not in lost]
    rows = [row for row in ran if row.cell.effect is None]
    worrying = by_model(row for row in rows if not row.green)
    groups = alike([row for row in rows if row.model in worrying])
    sentences = [_environment(content, each) for each in content.broken[:_MOST_MODELS]]
    sentences += effects(content)
    if len(groups) <= _MOST_MODELS:
        for each in groups:
            sentences += common_reason(each, content) if len(each.models) > 1 else _model(each.rows, content)
    else:
        sentences += _groups(groups, content)
    where = " in the other environments" if lost else ""
    sentences += _holding([row for row in rows if row.model not in worrying], where)
    if not worrying and not lost:  # what warns is none of the verdicts
        explained = {row.cell.cell for row in ran if row.cell.effect}
        others = [each for each in report.reasons if each.cell not in explained]
        sentences += [sentence(reason(each, content)) for each in others[:_MOST_MODELS]]
    return (*sentences, *_synthetic(content), *_unpinned(content), *_restored(content))


def _unpinned(content: Content) -> list[Words]:
    """What may be something else tomorrow: an address without a digest."""
    loose = [each.address for each in content.report.fetched if not each.pinned]
    if not loose:
        return []
    what = name(loose[0]) if len(loose) == 1 else f"{len(loose)} addresses of models and inputs"
    verb = "is" if len(loose) == 1 else "are"
    writes = words(name("keras-validator pin"), " writes the SHA-256 into ", name("validator.yml"), ".")
    return [words(what, f" {verb} not pinned; ", *writes)]


def _restored(content: Content) -> list[Words]:
    """What was not run again, since when it is known, and what of earlier runs was not used."""
    restored, notes = content.report.restored, content.report.cache_notes
    sentences = []
    if restored:
        days = sorted(each.measured[:10] for each in restored)
        when = f"on {days[0]}" if days[0] == days[-1] else f"from {days[0]} to {days[-1]}"
        verified = sum(each.verified for each in restored)
        cells = listed([name(each.cell) for each in restored], most=3)
        verb = "was" if len(restored) == 1 else "were"
        batch = f"; a batch of {verified} ran again and gave the same bytes" if verified else ""
        sentences.append(words(cells, f" {verb} measured {when} and not run again{batch}."))
    return sentences + [sentence(words(plain(note, 300))) for note in notes[:_MOST_MODELS]]


def _synthetic(content: Content) -> list[Words]:
    """What made inputs can tell, and what they cannot."""
    made = [name(model.name) for model in content.report.models if model.synthetic]
    if not made:
        return []
    every = len(made) == len(content.report.models)
    whose = words("All inputs") if every else words("The inputs of ", listed(made, most=3))
    return [words(*whose, " are synthetic: outputs are compared, accuracy is not known.")]


def _inconclusive(content: Content) -> tuple[Words, ...]:
    reasons = _baseless(content) or [reason(each, content) for each in content.report.reasons]
    lost, total = sum(row.baseline_failure is not None for row in content.rows), len(content.rows)
    lost = lost or sum(row.cell.verdict == "not-compared" for row in content.rows)
    if any(each.kind == "step-files" for each in content.report.reasons):
        lost = total  # who writes there can write results too
    what = "the change of the model" if is_model_alone(content) else "the upgrade"
    scope = f"{what}, good or bad" if lost == total else f"{lost:,} of {plural(total, 'cell')}"
    stated = [sentence(each) for each in reasons[:_MOST_MODELS]]
    if total and not lost:  # all predictions were compared; what was not is in the reasons
        return tuple(stated)
    return (*stated, words(f"This run says nothing about {scope}."))


def _baseless(content: Content) -> list[Words]:
    """Why the baseline is unusable, each reason once; empty where it is not."""
    baseline = content.baseline_failure
    if baseline is not None:
        return [words("the baseline ", name(content.report.baseline), " ", *failed(baseline))]
    lost = [(row.cell, row.baseline_failure) for row in content.rows]
    return [words(name(cell.cell), ": the baseline ", *failed(failure)) for cell, failure in lost if failure]


def _nothing_ran(content: Content) -> tuple[Words, ...]:
    upgrade = content.report.upgrade
    if upgrade is not None and not upgrade.relevant and upgrade.reasons:
        return tuple(sentence(why_it_runs(each)) for each in upgrade.reasons)
    return tuple(sentence(reason(each, content)) for each in content.report.reasons[:_MOST_MODELS])


def _environment(content: Content, broken: EnvironmentResult) -> Words:
    models = unique(row.model for row in content.rows if row.cell.environment == broken.name)
    untested = words("the upgrade is untested", " for it." if len(models) == 1 else " for them.")
    could_not = words(listed([name(model) for model in models]), " could not run, so ", untested)
    could_not = could_not if models else words("it runs no cell.")
    stage, baseline = strong(_stage([broken])), name(content.report.baseline)
    unsatisfied = broken.failure is not None and broken.failure.hint == "requirements"
    why = "no versions of the packages satisfy its requirements. " if unsatisfied else ""
    return words(name(broken.name), " ", stage, ", unlike the baseline ", baseline, f": {why}", could_not)


def _model(rows: Sequence[Row], content: Content) -> list[Words]:
    """What happened to a model: where it moved, where it did not, and whether that matters."""
    worst = rows[0]
    verdict = worst.cell.verdict
    does: Piece | str = DOES[verdict][0]
    holds: Words = ()
    noise = ""
    if worst.failure is not None and verdict == "failed":
        does = strong(STAGES[worst.failure.stage])
    elif verdict == "changed":
        does = strong(DOES[verdict][0])
        held = [name(row.where) for row in rows if row.green]
        holds = words(", but not in ", listed(held, most=3)) if held else ()
    elif verdict == "suspicious" and not worst.drifts:
        does = "is in doubt"
    elif verdict == "suspicious" and finite(worst.noise_ratio):
        noise = f": {ratio(worst.noise_ratio)} the noise is more than rounding explains"
    alike = [name(row.where) for row in rows if row.cell.verdict == verdict and not row.green]
    also = _also(worst)
    where = words(" in ", listed(alike, most=3)) if has_places(content) else ()
    first = words(name(worst.model), " ", does, *where, holds, noise, *also, ".")
    if also and verdict in GREEN:
        return [first, *map(sentence, worst.further[:1])]
    explained = verdict == "metric-only" or (verdict == "suspicious" and not worst.drifts)
    second = worst.lead if explained else _matters(worst)
    return [first, sentence(second)] if second else [first]


def _also(row: Row) -> Words:
    """`, but training changes`; nothing where decoding and training hold."""
    joint = ", but " if row.cell.verdict in GREEN else "; "
    return words(*(piece for each in row.asides.items() for piece in (joint, strong(aside(*each)))))


def _matters(worst: Row) -> Words:
    """Whether the difference matters for the task, in so far as that was measured."""
    metric = worst.metric
    if metric is None:
        moved = worst.cell.verdict in ("changed", "suspicious")
        return words("whether that matters is unknown: no metric was computed") if moved else ()
    label = f"its {metric.metric}"
    before, after = scores(metric.baseline, metric.candidate)
    if metric.worse:
        rises = "gets worse," if metric.directed else "rises"
        moves = "falls" if (metric.delta or 0) < 0 else rises
        certainty = f", {probability(metric.p)}" if metric.p is not None else ""
        evidence = f" ({metric.samples:,} labels{certainty})"
        return words(f"{label} {moves} from {before} to ", strong(after), evidence)
    if not metric.delta:
        return words(f"{label}, computed from the predictions, stays {before}")
    if metric.directed and ((metric.low or 0) > 0 if metric.higher_is_better else (metric.high or 0) < 0):
        return words(f"{label} improves from {before} to {after}")
    if metric.decision != "inconclusive":
        return words(f"{label} moves from {before} to {after}, not worse than allowed")
    more = (metric.needed or 0) - metric.units
    needed = f"; about {more:,} more samples needed" if more > 0 else ""
    return words(f"{label} moves from {before} to {after}, which is inconclusive{needed}")


def _groups(groups: Sequence[Alike], content: Content) -> list[Words]:
    """The models with something to look at: those with a reason in common, then by what happened to each."""
    sentences: list[Words] = []
    worst: dict[tuple[CellVerdict, Words], list[str]] = {}
    for each in groups:
        if len(each.models) > 1 and len(sentences) < _MOST_GROUPS:
            sentences += common_reason(each, content)
        else:
            happened = each.worst.cell.verdict, _also(each.worst)
            worst.setdefault(happened, []).extend(each.models)
    return sentences + [
        words(
            strong(plural(len(models), "model")),
            f" {DOES[verdict][len(models) > 1]}",
            *also,
            ": ",
            listed([name(model) for model in models]),
            ".",
        )
        for (verdict, also), models in worst.items()
    ]


def _holding(green: Sequence[Row], where: str) -> list[Words]:
    """What there is to say about the models that hold."""
    models = unique(row.model for row in green)
    if not models:
        return []
    subject = listed([name(model) for model in models], most=3)
    several = len(models) > 1
    if all(row.cell.verdict == "identical" for row in green):
        return [words(subject, " are" if several else " is", f" identical{where}, bit for bit.")]
    drift = max((row.max_abs or 0.0 for row in green), default=0.0)
    times = max((row.noise_ratio or 0.0 for row in green), default=0.0)
    noise = f", {ratio(times)} the noise" if finite(times) else ""
    does = DOES["rounding"][several]
    return [words(subject, f" {does}{where} (max abs diff {number(drift)}{noise}).")]


def context(content: Content) -> tuple[Words, ...]:
    """How the sides were made, and what the gate makes of the difference; nothing where all is well."""
    report = content.report
    if content.quiet or report.verdict == "inconclusive":
        return ()
    gate = words("The gate in ", name("validator.yml"))
    rules = dict.fromkeys(rule for row in content.rows for rule in row.cell.gated)
    if report.verdict == "warn":
        what = "what is accepted" if all_accepted(content) else "this"
        return (*_sides(content), words(gate, f" does not fail on {what}: it is a warning."))
    if report.verdict != "fail" or not rules:
        return _sides(content)
    by = " fails by its rule " if len(rules) == 1 else " fails by its rules "
    return (*_sides(content), words(gate, by, listed([strong(rule) for rule in rules]), "."))


def _sides(content: Content) -> tuple[Words, ...]:
    """How the two sides were made, so that a reader knows whose doing a difference is."""
    ran_in = {row.cell.environment for row in content.rows if row.compared}
    environments = [each for each in differences(content.report) if each.name in ran_in]
    if not environments:
        return ()
    moved = dict.fromkeys(package.name for each in environments for package in each.packages)
    total = max(each.total for each in environments)
    facts = dict.fromkeys(fact.name for each in environments for fact in each.facts if fact.name != RUNS)
    few = words("only ", listed([name(package) for package in moved]))
    packages = few if 0 < len(moved) <= 4 else words(f"{len(moved):,}")
    differ = " differs" if len(moved) == 1 else " differ"
    also = f"; {' and '.join(facts)} differ too." if facts else "."
    recorded = "" if any(model.synthetic for model in content.report.models) else "recorded "
    ran = words(f"Both sides ran on the same {recorded}inputs.")
    if is_model_alone(content):
        return (words(f"Both sides ran on the same {recorded}inputs and packages."),)
    return ran, words(f"Of {plural(total, 'package')}, ", packages, differ, also)


def legend(rows: Iterable[Row]) -> Words:
    """What the numbers of the main table mean."""
    if not any(row.noise_ratio for row in rows):
        return ()
    grains = [BANDS.outputs.grains[grain] for grain in ("all", "column", "element")]
    rounding, changed = ([f"{getattr(grain, end):g}×" for grain in grains] for end in ("rounding", "changed"))
    noise = "1× noise: as far as rounding alone moves the baseline's outputs, measured in this run. "
    places = f"{rounding[1]} and {changed[1]} for a row or column, {rounding[2]} and {changed[2]} for a value"
    return words(noise, f"Below {rounding[0]} is rounding, above {changed[0]} a change ({places}).")


def folded_cells(rows: Sequence[Row]) -> Words:
    """`and 8 identical, 3 rounding: (keras-validator report --all lists them)`."""
    counts = Counter(row.cell.verdict for row in rows)
    kinds = ", ".join(f"{counts[each]:,} {VERDICTS[each]}" for each in SEVERITY if counts[each])
    return words(f"and {kinds} (", name("keras-validator report --all"), " lists them)")


def counted(content: Content) -> str:
    """`2 changed, 1 failed, 2 identical (training changes), 6 identical`."""
    counts = Counter((row.cell.verdict, tuple(row.asides.items())) for row in content.rows)
    worst = sorted(counts, key=lambda each: (-SEVERITY.index(each[0]), -len(each[1]), each[1]))
    return ", ".join(f"{counts[each]:,} {_counted(*each)}" for each in worst)


def _counted(verdict: CellVerdict, asides: Sequence[tuple[Aside, CellVerdict]]) -> str:
    also = f" ({', '.join(aside(*each) for each in asides)})" if asides else ""
    return f"{VERDICTS[verdict]}{also}"

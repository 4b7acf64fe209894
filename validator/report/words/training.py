"""What a report says about training: which link of the first steps breaks, at which layer, by how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from validator.checks.protocol import Finding
from validator.checks.training import types
from validator.checks.training.answers import RandomSetting
from validator.checks.training.drift import LayerName
from validator.checks.training.types import TrainingComparison, TrainingVerdict
from validator.failure import UNJUDGED
from validator.report import figures
from validator.report.document import Block, Bullets, Entry, Heading, Paragraph, Table
from validator.report.phrases import Piece, Words, listed, name, plural, words
from validator.report.words import CheckWords, Place
from validator.report.words.failures import error_line
from validator.verdict.bands import GREEN

_SETTINGS = 3
_ROWS = 10  # steps of a table
_HEADINGS = tuple(
    Heading(text, numeric=True)
    for text in ("step", "loss", "loss ÷ noise", "gradient ÷ noise", "weights ÷ noise", "statistics ÷ noise")
)
_AGREES = {
    "identical": "{} of training are identical, bit for bit",
    "rounding": "{} of training agree within rounding",
    "metric-only": "{} of training agree; a reported metric does not",
    "suspicious": "{} of training differ by little more than noise",
    "changed": "training differs within {}",
}

_DRAWN = {
    "rounding": "training with its random layers on shows no difference over {} a side",
    "suspicious": "training with its random layers on may differ: over {} a side",
    "changed": "training with its random layers on differs over {} a side",
}

_SPARSE = (
    ". Only embeddings with sparse gradients are affected. Where an id repeats in a batch, tf_keras sums "
    "its rows before it squares them; Keras 3 squares each row"
)


def _verdict(finding: TrainingVerdict) -> Words:
    not_compared = "training was not compared: "
    if finding.failure is not None:
        whose = "" if finding.failure.stage in UNJUDGED else "the baseline fails: "
        start = "training fails: " if finding.verdict == "failed" else f"{not_compared}{whose}"
        return words(f"{start}{error_line(finding.failure)}")
    if finding.step_counts:
        steps = "{} steps in the baseline, {} in the candidate".format(*finding.step_counts)
        return words(not_compared, steps)
    if finding.variables:
        old, new = (_variables(side) for side in finding.variables)
        return words(f"{not_compared}the model has {old} in the baseline, {new} in the candidate")
    if finding.draws:
        sentence = _DRAWN.get(finding.verdict, _DRAWN["rounding"])
        return words(sentence.format(plural(finding.draws, "draw")))
    lost = finding.lost_from
    if finding.verdict == "not-compared" and lost is not None:
        return words(not_compared, f"on both sides gradients or weights are not finite from step {lost}")
    both = "" if lost is None else f"; on both sides the loss is not finite from step {lost}"
    return words(_AGREES[finding.verdict].format(plural(finding.steps, "step")), both)


def _variables(side: types.VariableList) -> str:
    first = ", ".join(f"{name} {shape}" for name, shape in side.first)
    return f"{plural(side.count, 'variable')} ({first}{', …' if side.count > len(side.first) else ''})"


def _start(finding: types.StartDiffers) -> Words:
    names = _names(finding.variables)
    return words("training starts from different weights (", names, "); no step is comparable")


def _batches(finding: types.BatchesDiffer) -> Words:
    order = finding.difference == "order"
    return words("training gets ", "the same samples in a different order" if order else "different samples")


def _forward(finding: types.ForwardDiffers) -> Words:
    if finding.step:
        lost = f", where the loss is not finite in the {finding.loss_lost}" if finding.loss_lost else ""
        return words(
            f"training outputs agree up to step {finding.step - 1} and differ from step {finding.step}{lost}"
        )
    start = words("training outputs differ at step 0")
    if finding.layer is not None:
        start = words(_layer(finding.layer), " is the first layer whose training output differs")
    double = ""
    if finding.in_double is not None:
        also = f"it differs in float64 as well ({figures.number(finding.double)})"
        double = f"; {also if finding.in_double else 'in float64 it agrees'}"
    only = "; predictions agree, so only training mode is affected" if finding.training_only else ""
    return words(start, _amount(finding.amount), double, only, _settings(finding.settings))


def _loss(finding: types.LossDiffers) -> Words:
    change = figures.moved_value(finding.baseline, finding.candidate)
    outputs = "training outputs agree" if finding.outputs_recorded else "training outputs are not recorded"
    start = f"{outputs}, but the loss at step {finding.step} changes: {change}"
    factor = ""
    if finding.factor is not None:
        reduction = "a sum instead of a mean" if finding.factor == "times" else "a mean instead of a sum"
        factor = f"; the ratio is the batch size, {finding.batch_size}: {reduction}"
    mask = f"; the outputs carry a mask in the {finding.masked_side} only" if finding.masked_side else ""
    added: Words = ()
    if finding.added is not None:
        old, new = finding.added
        moved = figures.moved_value(old.value, new.value)
        added = words("; the loss that ", name(old.layer), f" ({old.class_name}) adds changes: {moved}")
    return words(start, factor, mask, *added, _settings(finding.settings, "loss "))


def _backward(finding: types.BackwardDiffers) -> Words:
    where = ("behind ", _layer(finding.layer)) if finding.layer else ("of ", _names(finding.variables))
    start = words(f"loss and outputs agree at step {finding.step}; the gradient ", *where, " does not")
    return words(start, _amount(finding.amount), _settings(finding.settings))


def _optimiser(finding: types.OptimiserDiffers) -> Words:
    start, cause = f"the gradient of step {finding.step} agrees; the weights after it do not: ", ""
    if not finding.gradients_recorded:
        lost = finding.amount.lost if finding.amount else None
        differ = f"are not finite in the {lost}" if lost else "differ"
        start = f"the weights after step {finding.step} {differ}: "
        cause = "; gradients are not recorded, so either the optimizer or the backward pass differs"
    changes = _settings(finding.settings, "optimizer ")
    sparse = _SPARSE if finding.sparse_only else ""
    return words(start, _names(finding.variables), cause, _amount(finding.amount), changes, sparse)


def _state(finding: types.StateDiffers) -> Words:
    start = words("non-trainable weights differ after step ", str(finding.step))
    variables = words(": ", _names(finding.variables)) if finding.variables else ()
    factor = ""
    if finding.counted and finding.larger_side:
        n = finding.counted
        factor = (
            f". The variance of {n} values is larger by {n}/{n - 1} in the {finding.larger_side}: "
            "a fused kernel applies Bessel's correction"
        )
    return words(start, variables, _amount(finding.amount), factor)


def _rounding(finding: types.RoundingBegins) -> Words:
    start = words("rounding in training begins in the forward pass of ", _layer(finding.layer))
    largest = f"; of a single element up to {figures.number(finding.largest)}" if finding.largest else ""
    double, reference = "", finding.reference
    if reference is not None:
        size, old, new = map(figures.number, (reference.gradients, *reference.errors))
        errors = f"float32 errs by {old} (baseline), {new} (candidate)"
        double = f". In float64 the gradients agree to a relative {size}; {errors}"
    return words(start, ": the gradient of step 0 differs", _amount(finding.amount), largest, double)


def _metric(finding: types.MetricDiffers) -> Words:
    change = figures.change(finding.baseline, finding.candidate)
    metric = words("reported ", name(finding.metric), f" changes in training: {change}")
    mask = (
        "; the outputs carry a mask, which Keras 3.0 to 3.11.3 ignores in metrics" if finding.masked else ""
    )
    return words(metric, f"; the outputs of step {finding.step} agree", mask)


def _initialiser(finding: types.InitialiserDiffers) -> Words:
    change = figures.moved_value(finding.baseline, finding.candidate)
    moment = f" from another distribution: {finding.moment.replace('-', ' ')} {change}"
    drawn = words("a fresh initialization draws ", _names(finding.variables), moment)
    return words(drawn, _settings(finding.settings))


def _draws(finding: types.DrawsDiffer) -> Words:
    start = "with the same seed a fresh initialization draws other values of "
    same = "; mean, deviation and kurtosis agree within their errors"
    return words(start, _names(finding.variables), same, _settings(finding.settings))


def _dropout_off(finding: types.DropoutOff) -> Words:
    off = words("random layers were off in training (", _rates(finding.random), ")")
    setting = name("training: {dropout: on}")
    return words(off, ", so how they draw was not compared; ", setting, " compares it")


def _left_out(finding: types.ReferenceLeftOut) -> Words:
    return words(f"float64 run of training: left out ({finding.reason})")


def _distribution(finding: types.DistributionCompared) -> Words:
    what = "outputs of step 0" if finding.quantity == "outputs" else "losses"
    draws = f"over {plural(finding.draws, 'draw')} a side of its random layers ("
    odds = f"permutation test, {figures.probability(finding.p)}"
    if finding.verdict == "rounding":
        return words(draws, _rates(finding.random), f") no difference of {what} shows ({odds})")
    mean, spread = (figures.moved_value(*pair) for pair in (finding.means, finding.spreads))
    are = "are" if finding.verdict == "changed" else "may be"
    moved = f") the {what} {are} distributed otherwise: mean {mean}, standard deviation {spread} ({odds})"
    return words(draws, _rates(finding.random), moved)


def _rates(random: Sequence[RandomSetting]) -> Words:
    return listed([Piece(f"{each.layer} {each.setting} {each.value:g}") for each in random], _SETTINGS)


#: How each kind of finding is said.
_SENTENCES: dict[str, Callable[[Any], Words]] = {
    "training-verdict": _verdict,
    "training-start": _start,
    "training-batches": _batches,
    "training-forward": _forward,
    "training-loss": _loss,
    "training-backward": _backward,
    "training-optimiser": _optimiser,
    "training-state": _state,
    "training-rounding": _rounding,
    "training-metric": _metric,
    "training-initialiser": _initialiser,
    "training-draws": _draws,
    "training-dropout-off": _dropout_off,
    "training-reference-left-out": _left_out,
    "training-distribution": _distribution,
}


#: Kinds whose sentence has it already that training is meant.
_NAMED = frozenset(
    f"training-{kind}" for kind in ("verdict", "rounding", "metric", "dropout-off", "reference-left-out")
)


def _sentence(finding: Finding) -> Words:
    sentence = _SENTENCES[finding.kind](finding)
    return sentence if finding.kind in _NAMED else words("in training, ", *sentence)


def _place(finding: Finding) -> Place:
    """A cause says more than the verdict; a training that holds is worth a note at most."""
    if isinstance(finding, TrainingVerdict):
        if finding.verdict in {"changed", "suspicious", "metric-only"}:
            return "hidden"
        return "why" if finding.verdict in {"failed", "not-compared"} else "note"
    return "note" if finding.verdict in (None, *GREEN) else "why"


def _details(comparison: TrainingComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    """What differs, and the steps in units of noise."""
    if not comparison.steps:
        return ()
    causes = tuple(_sentence(finding) for finding in findings if not isinstance(finding, TrainingVerdict))
    blocks: list[Block] = [Bullets(causes)] if causes else []
    if any(isinstance(finding, types.DistributionCompared) for finding in findings):
        return tuple(blocks)  # single steps say nothing where each draws its own numbers
    blocks.append(Table(_HEADINGS, tuple(_row(step) for step in comparison.steps[:_ROWS])))
    more = len(comparison.steps) - _ROWS
    if more > 0:
        blocks.append(Paragraph(words(f"report.json has {plural(more, 'more step')}")))
    return tuple(blocks)


def _row(step: types.TrainingStep) -> tuple[Entry, ...]:
    ratios = (step.loss_ratio, step.gradient_ratio, step.weights_ratio, step.state_ratio)
    loss = figures.moved_value(step.loss_baseline, step.loss_candidate)
    return tuple(Entry(words(text)) for text in (str(step.step), loss, *map(figures.ratio, ratios)))


def _layer(layer: LayerName | None) -> Words:
    return words(name(layer.name), f" ({layer.class_name})") if layer else ()


def _names(variables: Sequence[str]) -> Words:
    return listed([name(variable) for variable in variables])


def _amount(amount: types.DriftAmount | None) -> str:
    if amount is None:
        return ""
    if not amount.finite:
        return f" (not finite in the {amount.lost})" if amount.lost else " (not comparable)"
    known = amount.relative is not None and math.isfinite(amount.relative)
    size = f"relative difference {figures.number(amount.relative)}" if known else figures.number(amount.rms)
    times = (
        "" if figures.ratio(amount.ratio) == figures.NONE else f", up to {figures.ratio(amount.ratio)} noise"
    )
    return f" ({size}{times})"


def _settings(settings: Sequence[types.SettingChange], owner: str = "its ") -> Words:
    """`; its settings differ: …`; a setting names the optimizer that has it."""
    if not settings:
        return ()
    pieces: list[str | Piece] = []
    for change in settings[:_SETTINGS]:
        pieces += [", " if pieces else "", f"{change.owner} " if change.owner else "", name(change.name)]
        pieces.append(f" {change.baseline} → {change.candidate}")
    return words(f"; {owner}settings differ: ", *pieces)


WORDS = CheckWords[TrainingComparison](_sentence, _place, details=_details)

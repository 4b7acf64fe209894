"""What a report says about how a model was loaded, and about a side that has no capture."""

from __future__ import annotations

from validator.checks.loading.types import (
    ArtifactFinding,
    BaselineFailed,
    BuilderSetting,
    CellFailed,
    CompilationFinding,
    InputsFedFinding,
    LeftoverFinding,
    LoadingComparison,
    NoteFinding,
    SettingFinding,
    ShardMissing,
    StateFinding,
    SurroundingsFinding,
    WarningFinding,
)
from validator.checks.protocol import Finding
from validator.report import figures
from validator.report.phrases import Words, keras_link, listed, name, plural, words
from validator.report.words import CheckWords, Place
from validator.report.words.failures import enumerated, error_line, failed
from validator.text import plain

_SETTINGS = {
    "floatx": "float type",
    "image_data_format": "image data format",
    "processor": "processor",
    "instruction sets": "processor's list of instruction sets",
    "cores": "number of cores",
    "threads": "number of threads (intra and inter)",
    "x64": "64-bit switch of JAX",
}


def _sentence(finding: Finding) -> Words:
    match finding:
        case BaselineFailed() | CellFailed():
            whose = "the baseline " if isinstance(finding, BaselineFailed) else ""
            return words(whose, failed(finding.failure))
        case ShardMissing():
            why = (": ", plain(finding.why, 300)) if finding.why else ()
            return words("shard ", name(finding.shard), " left no result", *why)
        case InputsFedFinding() | StateFinding():
            return _fed(finding)
        case SurroundingsFinding():
            return _surroundings(finding)
        case SettingFinding():
            return _setting(finding.setting)
    return words(_plainly(finding))


def _plainly(finding: Finding) -> str:
    """The sentences that name nothing but what others wrote."""
    match finding:
        case ArtifactFinding():
            error = plain(error_line(finding.failure), 140)
            return (
                f"the saved model does not load in the {finding.side}, its builder built it instead ({error})"
            )
        case CompilationFinding():
            where = f"the saved loss, metrics and optimizer do not load in the {finding.side}"
            return f"{where} ({error_line(finding.failure)})"
        case LeftoverFinding():
            return _leftover(finding)
        case WarningFinding():
            more = f" (and {plural(finding.more, 'more new warning')})" if finding.more else ""
            doing = "loading" if finding.warning.phase == "load" else "predicting"
            return f"new warning while {doing}: {plain(finding.warning.message, 400)}{more}"
        case NoteFinding():
            return f"in the {finding.side}, {plain(finding.text, 600)}"
    return finding.kind


def _leftover(finding: LeftoverFinding) -> str:
    weights = finding.weights
    where = "both sides" if finding.side == "both" else f"the {finding.side}"
    if finding.kind == "tensors-not-used":
        count = plural(weights.unused_count, "tensor")
        names = enumerated(weights.unused, weights.unused_count)
        return f"{count} in {weights.file} did not reach any variable in {where}: {names}"
    count = f"{weights.optimizer_saved - weights.optimizer_restored} of {weights.optimizer_saved}"
    return (
        f"{count} tensors of the optimizer's state in {weights.file} are not restored in {where}, "
        "so training cannot go on where it ended"
    )


def _surroundings(finding: SurroundingsFinding) -> Words:
    label = _SETTINGS.get(finding.name, "" if finding.name.isupper() else finding.name)
    subject = words(f"the {label} ") if label else words("the variable ", name(finding.name), " ")
    before, after = (
        plain(value, 80) if value is not None else "not set"
        for value in (finding.baseline, finding.candidate)
    )
    return words(
        "not only the packages differ: ", subject, f"is {after} in the candidate and {before} in the baseline"
    )


def _setting(setting: BuilderSetting) -> Words:
    arguments = ", ".join(f"{key}={value!r}" for key, value in setting.arguments.items())
    passes = words("the setting ", name(setting.setting), " passes ", name(arguments), " to the builder")
    return words(passes, ", so ", name(setting.builder), " built the model and the artifact was not used")


def _fed(finding: InputsFedFinding | StateFinding) -> Words:
    if isinstance(finding, StateFinding):
        layers = listed([name(layer) for layer in finding.layers], 4)
        return words("the model keeps a state from batch to batch (", layers, "); each pass begins anew")
    sizes = [each.max_abs for each in finding.outputs if each.max_abs is not None]
    size = f" (max abs diff {figures.number(max(sizes))})" if sizes else ""
    start = f"in the {finding.side}, a dict of inputs gives other predictions than the same inputs in a list"
    order = ": Keras 3.4.1 to 3.6.0 take a dict in alphabetical order ("
    return words(start, size, order, keras_link(20481), ")")


def _place(finding: Finding) -> Place:
    if isinstance(finding, InputsFedFinding):
        return "first"
    if isinstance(finding, ArtifactFinding | CompilationFinding):
        return "lead" if finding.verdict else "note"
    return "lead" if isinstance(finding, BaselineFailed | CellFailed | ShardMissing) else "note"


WORDS: CheckWords[LoadingComparison] = CheckWords(sentence=_sentence, place=_place)

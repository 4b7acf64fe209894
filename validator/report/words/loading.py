"""What a report says about how a model was loaded, and about a side that has no capture."""

from __future__ import annotations

from validator.checks.loading.types import (
    ArtifactFinding,
    BaselineFailed,
    BuilderSetting,
    CellFailed,
    LoadingComparison,
    NoteFinding,
    SettingFinding,
)
from validator.checks.protocol import Finding
from validator.report.phrases import Words, name, words
from validator.report.words import CheckWords, Place
from validator.report.words.failures import error_line, failed
from validator.text import plain


def _sentence(finding: Finding) -> Words:
    match finding:
        case ArtifactFinding():
            why = plain(error_line(finding.failure), 140)
            start = f"the saved model does not load in the {finding.side} ({why})"
            return words(f"{start}; its builder built it instead")
        case SettingFinding():
            return _setting(finding.setting)
        case NoteFinding():
            return words(f"in the {finding.side}, {plain(finding.text, 600)}")
        case BaselineFailed():
            return words("the baseline ", failed(finding.failure))
        case CellFailed():
            return failed(finding.failure)
    return words(finding.kind)


def _setting(setting: BuilderSetting) -> Words:
    arguments = ", ".join(f"{key}={value!r}" for key, value in setting.arguments.items())
    passes = words("the setting ", name(setting.setting), " passes ", name(arguments), " to the builder")
    return words(passes, ", so ", name(setting.builder), " built the model and the artifact was not used")


def _place(finding: Finding) -> Place:
    return "lead" if isinstance(finding, BaselineFailed | CellFailed) else "note"


WORDS: CheckWords[LoadingComparison] = CheckWords(sentence=_sentence, place=_place)

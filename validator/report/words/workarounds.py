"""What is said about the check `workarounds`: settings that restore parity, and those that do not."""

from __future__ import annotations

from validator.checks.protocol import Finding
from validator.checks.workarounds.types import (
    Trial,
    Workaround,
    WorkaroundFailed,
    WorkaroundNotRun,
    WorkaroundsComparison,
)
from validator.report.figures import change, number, share
from validator.report.phrases import Words, name, words
from validator.report.words import CheckWords, Place
from validator.report.words.cell import VERDICTS
from validator.report.words.failures import failed

#: What the candidate is like under the setting, against the baseline under the same setting.
_RESTORED: dict[str, str] = {
    "identical": "predict identically",
    "rounding": "differ by rounding only",
    "metric-only": "predict the same, and a reported metric still differs",
}


def _sentence(finding: Finding) -> Words:
    match finding:
        case Workaround(trial=trial):
            restored = f": baseline and candidate then {_RESTORED.get(trial.verdict or '', '')}"
            effect = f" (verified in this run){_effect(trial)}"
            return words("run the model with ", name(trial.setting), restored, effect)
        case WorkaroundFailed(trial=trial):
            verdict = VERDICTS[trial.verdict] if trial.verdict else ""
            return words(name(trial.setting), " does not restore parity: still ", verdict)
        case WorkaroundNotRun(trial=trial):
            reason = failed(trial.failure) if trial.failure else words("did not run")
            side = "a side" if trial.failed_side is None else f"the {trial.failed_side}"
            return words(name(trial.setting), f" was not verified: {side} ", *reason)
    return words(finding.kind)


def _effect(trial: Trial) -> str:
    """What the setting does to the baseline itself."""
    effect, score = trial.effect, trial.score
    if effect is None or effect.max_abs is None:
        return ""
    if effect.max_abs == 0:
        return ". The setting leaves the baseline's predictions as they are"
    moved = f". The setting moves the baseline's own predictions by up to {number(effect.max_abs)}"
    if effect.top1_changes:
        moved += f" (top-1 changes in {share(effect.top1_changes, effect.rows)})"
    if score is None or score.after is None:
        return moved
    return f"{moved}, and its {score.metric}: {change(score.before, score.after)}"


def _place(finding: Finding) -> Place:
    return "do" if isinstance(finding, Workaround) else "note"


WORDS: CheckWords[WorkaroundsComparison] = CheckWords(sentence=_sentence, place=_place)

"""A check that the registry does not know, with a report that holds its findings, and words for all of them.

The checks `outputs` and `accuracy` have plain words of their own, so that the tests of this room do not
depend on the wording of a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Union

from pydantic import Field, create_model

from validator.checks.accuracy.types import AccuracyComparison
from validator.checks.outputs.types import OutputsComparison
from validator.checks.protocol import Comparison, Finding
from validator.checks.registry import CHECKS
from validator.report.document import Block, Bullets, Code, Entry, Fold, Heading, Paragraph, Table
from validator.report.figures import NONE, change, number, probability, ratio, share
from validator.report.phrases import Words, keras_link, name, words
from validator.report.words import CheckWords, Column, Place
from validator.verdict.results import CellResult, Comparisons, ModelResult, Report


class ToyComparison(Comparison):
    """Numbers of the toy."""

    size: float = 1.0
    rows: tuple[str, ...] = ()


class ToyFinding(Finding):
    """Something to say in one place."""

    check: Literal["toy"] = "toy"
    kind: Literal["toy"] = "toy"
    place: Place = "note"
    subject: str = ""
    says: str = ""
    issue: int | None = None


_KINDS = tuple(kind for check in CHECKS for kind in check.findings)
ToyComparisons = create_model("ToyComparisons", __base__=Comparisons, toy=(ToyComparison | None, None))
ToyCellResult = create_model(
    "ToyCellResult",
    __base__=CellResult,
    checks=(ToyComparisons, Field(default_factory=ToyComparisons)),
    findings=(tuple[Annotated[Union[(*_KINDS, ToyFinding)], Field(discriminator="kind")], ...], ()),
)
ToyModelResult = create_model("ToyModelResult", __base__=ModelResult, cells=(tuple[ToyCellResult, ...], ...))
ToyReport = create_model("ToyReport", __base__=Report, models=(tuple[ToyModelResult, ...], ...))


def _sentence(finding: Finding) -> Words:
    assert isinstance(finding, ToyFinding)
    link = (" (", keras_link(finding.issue), ")") if finding.issue else ()
    subject = (name(finding.subject), " ") if finding.subject else ()
    return words(*subject, finding.says, *link)


def _place(finding: Finding) -> Place:
    assert isinstance(finding, ToyFinding)
    return finding.place


def _details(comparison: ToyComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    if not comparison.rows:
        return ()
    rows = tuple(
        (Entry(words(name(row)), words("in small")), Entry(words(f"{at}")))
        for at, row in enumerate(comparison.rows)
    )
    heads = (Heading("part"), Heading("number", numeric=True))
    return (
        Paragraph(words(f"{len(findings)} toy findings.")),
        Table(heads, rows, priority=(len(rows) - 1,)),
        Fold(
            words("more of the toy"),
            (Bullets(tuple(words(row) for row in comparison.rows)), Code("x = 1", "diff")),
        ),
    )


def _largest(comparison: OutputsComparison) -> str:
    return number(
        max((each.comparison.max_abs or 0 for each in comparison.outputs if each.comparison), default=None)
    )


def _noise(comparison: OutputsComparison) -> str:
    return ratio(max((each.drift.ratio for each in comparison.outputs if each.drift), default=None))


def _top1(comparison: OutputsComparison) -> str:
    return next(
        (
            share(each.comparison.flips, each.comparison.rows)
            for each in comparison.outputs
            if each.comparison
        ),
        NONE,
    )


def _metric(comparison: AccuracyComparison) -> str:
    return next((change(each.baseline, each.candidate) for each in comparison.metrics), NONE)


def _certainty(comparison: AccuracyComparison) -> str:
    return next((probability(each.p) for each in comparison.metrics if each.worse), "")


def _outputs(comparison: OutputsComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    heads = (Heading("output"), Heading("max abs diff", numeric=True))
    rows = tuple(
        (
            Entry(words(name(each.name))),
            Entry(words(number(each.comparison.max_abs if each.comparison else None))),
        )
        for each in comparison.outputs
    )
    return (Table(heads, rows),) if rows else ()


#: In place of `registered_words()`.
WORDS = {
    "outputs": CheckWords(
        sentence=_sentence,
        columns=(
            Column("max abs diff", _largest),
            Column("drift ÷ noise", _noise),
            Column("top-1 changed", _top1),
        ),
        details=_outputs,
    ),
    "accuracy": CheckWords(
        sentence=_sentence,
        columns=(
            Column("accuracy", _metric, _certainty, lambda each: any(one.worse for one in each.metrics)),
        ),
    ),
    "toy": CheckWords(sentence=_sentence, place=_place, details=_details),
}
#: The same with a column of the toy.
WIDER = WORDS | {
    "toy": CheckWords(
        sentence=_sentence,
        place=_place,
        details=_details,
        columns=(Column("toy size", lambda each: number(each.size), lambda each: "toy units"),),
    )
}

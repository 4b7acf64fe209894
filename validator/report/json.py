"""`report.json`: written for whoever scripts against it, and read back when another job posts the results."""

from __future__ import annotations

from pydantic import ValidationError

from validator.errors import ConfigurationError
from validator.report.content import Content, Row
from validator.report.phrases import joined, sentence, unmarked
from validator.report.words import WordsByCheck, registered_words
from validator.report.words.acceptances import note
from validator.report.words.cell import result
from validator.report.words.reasons import reason
from validator.report.words.titles import cell_title
from validator.text import plain
from validator.verdict.results import CellResult, Report

LARGEST = 64 * 1024 * 1024


def dump(report: Report, *, checks: WordsByCheck | None = None) -> str:
    """The report as JSON that fits the published schema, with the sentences for people in it."""
    return worded(report, checks=checks).model_dump_json(by_alias=True, indent=2) + "\n"


def load(
    text: str, *, largest: int = LARGEST, kind: type[Report] = Report, checks: WordsByCheck | None = None
) -> Report:
    """A report, checked: known keys only, finite numbers, at most `largest` characters.

    Its sentences are not read but made anew from the other fields, so that nobody else speaks in our name.

    Raises:
        ConfigurationError: it is not a report; the message says where and why.
    """
    if len(text) > largest:
        raise ConfigurationError(
            f"the report has {len(text):,} characters, more than the {largest:,} that are read: "
            "it was not written by keras-validator, or the run is too large to be published"
        )
    try:
        report = kind.model_validate_json(text, strict=False, by_name=False, by_alias=True)
    except ValidationError as error:
        # Another schema first: it is why the other fields do not fit.
        first = min(error.errors(include_url=False), key=lambda each: each["loc"] != ("schema",))
        where, why = ".".join(map(str, first["loc"])) or "the file", first["msg"]
        if where == "schema" and isinstance(first["input"], int):
            where, why = f"schema {first['input']}", "make the report with the version that publishes it"
        why = f"{plain(where, 120)}: {plain(why, 200)}"
        raise ConfigurationError(f"not a report of this version of keras-validator: {why}") from None
    return worded(report, checks=checks)


def worded(report: Report, *, checks: WordsByCheck | None = None) -> Report:
    """The report with every `message` made from the other fields."""
    content = Content(report, checks or registered_words())
    models = []
    for model in report.models:
        cells = tuple(_worded(Row(model.name, cell, content.checks)) for cell in model.cells)
        models.append(model.model_copy(update={"cells": cells}))
    reasons = [
        each.model_copy(update={"message": unmarked(reason(each, content))}) for each in report.reasons
    ]
    notes = tuple(
        each.model_copy(update={"message": unmarked(sentence(note(each)))}) for each in report.acceptances
    )
    words = {"models": tuple(models), "reasons": tuple(reasons), "acceptances": notes}
    return report.model_copy(update=words)


def _worded(row: Row) -> CellResult:
    findings = tuple(
        remark.finding.model_copy(update={"message": unmarked(remark.words)}) for remark in row.remarks
    )
    origin = row.cell.origin
    if origin is not None:
        text = unmarked(joined([sentence(each) for each in row.origin], " "))
        origin = origin.model_copy(update={"message": text})
    words: dict[str, object] = {
        "findings": findings,
        "origin": origin,
        "message": unmarked(result(row)),
        "title": cell_title(row),
    }
    return row.cell.model_copy(update=words)

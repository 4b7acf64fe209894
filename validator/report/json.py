"""`report.json`: written for whoever scripts against it, and read back when another job posts the results."""

from __future__ import annotations

from pydantic import ValidationError

from validator.errors import ConfigurationError
from validator.results import Report
from validator.text import plain

LARGEST = 64 * 1024 * 1024


def dump(report: Report) -> str:
    """The report as JSON that fits the published schema."""
    return report.model_dump_json(by_alias=True, indent=2) + "\n"


def load(text: str, *, largest: int = LARGEST) -> Report:
    """A report, checked: known keys only, finite numbers, at most `largest` characters.

    Raises:
        ConfigurationError: it is not a report; the sentence says where and why.
    """
    if len(text) > largest:
        raise ConfigurationError(
            f"the report has {len(text):,} characters, more than the {largest:,} that are read: "
            "it was not written by keras-validator, or the run is too large to be published"
        )
    try:
        return Report.model_validate_json(text, strict=False, by_name=False, by_alias=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        why = f"{plain(where, 120)}: {plain(first['msg'], 200)}"
        raise ConfigurationError(f"not a report of this version of keras-validator: {why}") from None

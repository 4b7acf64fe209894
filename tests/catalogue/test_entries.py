"""The data: what an entry must say, and that all entries say it."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from validator.catalogue.entries import CatalogueEntry, changes, next_release, parsed, releases
from validator.catalogue.schema import PATH, schema

ENTRY = {
    "id": "K999",
    "area": "masks",
    "title": "a change",
    "before": "3.3.3",
    "since": "3.4.0",
    "seen": "Something.",
    "shows": ["predictions"],
    "fingerprint": {"layers": ["Add"]},
    "workaround": {"text": "Do it.", "code": "it()"},
    "links": ["https://github.com/keras-team/keras/issues/1"],
    "proof": {"run": "masks:it", "size": 0.1},
}


def entry(**changed: object) -> CatalogueEntry:
    return CatalogueEntry.model_validate({**ENTRY, **changed})


def test_the_schema_on_disk_is_that_of_the_code() -> None:
    assert PATH.read_text(encoding="utf-8") == schema()
    assert json.loads(schema())["type"] == "array"


def test_every_shipped_entry_is_read() -> None:
    assert len(changes()) >= 80
    assert all(change.workaround.code.strip() and change.links for change in changes())


def test_a_release_that_is_not_the_next_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"3\.5\.0 is not the release after 3\.3\.3"):
        entry(since="3.5.0")


def test_an_end_without_its_fix_is_refused() -> None:
    with pytest.raises(ValidationError, match="go together"):
        entry(until="3.6.0")


def test_an_entry_without_any_border_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing to compare with"):
        entry(before=None)


def test_a_key_that_is_no_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        entry(severity="high")


def test_one_number_for_two_entries_is_refused() -> None:
    with pytest.raises(ValueError, match="K999"):
        parsed([ENTRY, ENTRY])


@pytest.mark.parametrize(
    ("baseline", "candidate", "between"),
    [
        ("3.3.3", "3.4.0", True),
        ("3.4.0", "3.3.3", True),
        ("3.5.0", "3.6.0", False),
        ("3.3.3", "3.8.0", False),
        ("3.5.0", "3.8.0", True),
        ("tf-keras", "3.5.0", False),
    ],
)
def test_between(baseline: str, candidate: str, between: bool) -> None:
    change = entry(until="3.6.0", fixed="3.7.0")
    assert change.between(baseline, candidate) is between


def test_releases_are_in_order() -> None:
    assert next_release("3.9.2") == "3.10.0"
    assert next_release(releases()[-1]) is None

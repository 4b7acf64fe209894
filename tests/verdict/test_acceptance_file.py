"""keras-acceptances.yml: what is refused with which line, and what writing an entry leaves as it was."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.verdict.acceptance_cases import accept
from validator.errors import ConfigurationError
from validator.verdict import schema
from validator.verdict.acceptance_file import entry_text, parse, read, with_entry
from validator.verdict.acceptances import Acceptance

NAME = "keras-acceptances.yml"
REASON, ADA = 'the "new" kernel: right, see #12', "Ada Ł. <ada@example.org>"
ENTRY = accept(until=date(2027, 2, 28), reason=REASON, by=ADA)
OTHER = accept(packages={"keras": "3.5.0 -> 3.6.0"})


def written(*entries: Acceptance) -> str:
    text = ""
    for entry in entries:
        text = with_entry(text, entry, NAME)
    return text


def test_what_is_written_is_read_back() -> None:
    assert parse(written(ENTRY, OTHER), NAME) == (ENTRY, OTHER)


def test_it_is_written_the_same_each_time() -> None:
    assert written(ENTRY, OTHER) == written(ENTRY, OTHER)
    assert with_entry(written(ENTRY, OTHER), ENTRY, NAME) == written(ENTRY, OTHER)


def test_people_come_first_and_a_finding_has_a_line() -> None:
    lines = entry_text(ENTRY).splitlines()
    assert lines[0] == "- cell: m@head"
    assert [line.split(":")[0].strip() for line in lines[1:5]] == ["reason", "by", "created", "until"]
    assert lines[4] == "  until: 2027-02-28"
    findings = [line for line in lines if line.startswith("  - {")]
    assert len(findings) == len(ENTRY.findings)


KEPT = f"""\
# ours
version: 1 # of the format

acceptances:
  # about the old kernel
{chr(10).join("  " + line for line in entry_text(OTHER).splitlines())}

# the end
"""


def test_the_rest_of_the_file_stays() -> None:
    changed = with_entry(KEPT, ENTRY, NAME)
    assert parse(changed, NAME) == (OTHER, ENTRY)
    before, _, _ = KEPT.partition("\n\n# the end\n")
    assert changed.startswith(f"{before}\n")
    assert changed.endswith("\n\n# the end\n")


def test_an_entry_for_the_same_cell_and_upgrade_is_replaced_in_its_place() -> None:
    text = with_entry(KEPT, ENTRY, NAME)
    again = OTHER.model_copy(update={"reason": "looked at again"})
    changed = with_entry(text, again, NAME)
    assert parse(changed, NAME) == (again, ENTRY)
    assert changed.count("\n") == text.count("\n")
    assert changed.replace("looked at again", OTHER.reason) == text


@pytest.mark.parametrize(
    "text", ["version: 1\n", "version: 1", "version: 1\nacceptances: []\n# end", "version: 1\nacceptances:\n"]
)
def test_a_file_without_entries_gets_its_first(text: str) -> None:
    changed = with_entry(text, ENTRY, NAME)
    assert parse(changed, NAME) == (ENTRY,)
    assert ("# end" in text) == ("# end" in changed)


def test_what_cannot_be_extended_says_what_to_add() -> None:
    flow = json.dumps({"version": 1, "acceptances": [OTHER.model_dump(mode="json", exclude_defaults=True)]})
    with pytest.raises(ConfigurationError, match="cannot be extended as it is written; add to") as error:
        with_entry(flow, ENTRY, NAME)
    assert entry_text(ENTRY) in str(error.value)


def edited(old: str, new: str) -> str:
    text = written(ENTRY)
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"{NAME}: is empty; it needs at least `version: 1`"),
        ("- a", "line 1: must be a mapping of settings, not a list"),
        ("version: 2", "line 1: version: 2 is not one of 1"),
        ("version: 1\nacceptance: []", "line 2: unknown key 'acceptance'; did you mean 'acceptances'"),
        (edited("  until:", "  untill:"), "line 9: unknown key 'acceptances[0].untill'; did you mean"),
        (edited("drift:", "drifts:"), "unknown key 'acceptances[0].findings[0].drifts'; did you mean"),
        (edited("verdict: changed", "verdict: chnged"), "did you mean 'changed'"),
        (edited("3.3.3 -> 3.5.0", "3.5.0"), "acceptances[0].packages.keras"),
        (edited("2027-02-28", "soon"), "line 9: acceptances[0].until"),
        (edited("cell: m@head", "cell: n@head"), "cell 'n@head' is not one of model 'm'"),
        (written(ENTRY) + entry_text(ENTRY), "'m@head' is accepted twice"),
        (edited(f"by: {ADA}", 'by: ""'), "line 7: 'by' is empty: say who accepts it"),
        ("version: 1\nacceptances: [", "line 2: not valid YAML"),
    ],
)  # fmt: skip
def test_an_error_names_the_line_and_the_nearest_name(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse(text, NAME)
    assert message in str(error.value)


def test_a_proposal_that_nobody_filled_in_is_refused() -> None:
    proposal = entry_text(ENTRY, {"reason": "", "by": "", "created": "2026-11-28"})
    with pytest.raises(ConfigurationError, match="'reason' is empty"):
        parse(f"version: 1\nacceptances:\n{proposal}", NAME)


def test_no_file_has_no_entries(tmp_path: Path) -> None:
    assert read(tmp_path / NAME) == ()
    (tmp_path / NAME).write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read(tmp_path / NAME)


def test_the_published_schema_is_what_the_types_say() -> None:
    assert schema.PATH.read_text(encoding="utf-8") == schema.schema()


def test_the_schema_takes_what_is_written_and_refuses_what_the_loader_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema.schema()))
    values = json.loads(json.dumps(yaml.safe_load(written(ENTRY)), default=str))
    validator.validate(values)
    for text in (edited("  until:", "  untill:"), edited("3.3.3 -> 3.5.0", "3.5.0")):
        wrong = json.loads(json.dumps(yaml.safe_load(text), default=str))
        assert not validator.is_valid(wrong)

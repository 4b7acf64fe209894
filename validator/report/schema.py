"""The JSON Schema of `report.json`, made from the classes in `validator.verdict.results`.

`python -m validator.report.schema` writes it beside this file; a test holds the two together.
"""

from __future__ import annotations

import json
from pathlib import Path

from validator.verdict.results import Report

PATH = Path(__file__).with_name("report.schema.json")
_DESCRIBED = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "keras-validator report",
    "description": "The result of a run of keras-validator (report.json).",
}


def schema(kind: type[Report] = Report) -> str:
    """The schema of what is written: every field of a kind of report, and no other."""
    made = kind.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps(_DESCRIBED | made | _DESCRIBED, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")

"""The JSON Schema of `report.json`, made from the classes in `validator.results`.

`python -m validator.report.schema` writes it beside this file; a test holds the two together.
"""

from __future__ import annotations

import json
from pathlib import Path

from validator.results import Report

PATH = Path(__file__).with_name("report.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> str:
    """The schema of what is written: every field is there, and no other."""
    made = Report.model_json_schema(by_alias=True, mode="serialization")
    described = {
        "$schema": DIALECT,
        "title": "keras-validator report",
        "description": "What one run of keras-validator found (report.json).",
    }
    made.pop("title", None)
    made.pop("description", None)
    return json.dumps(described | made, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the schema."""
    PATH.write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    main()

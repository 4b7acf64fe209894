"""The JSON Schema of the catalogue's files for editors, generated from `validator.catalogue.entries`.

`python -m validator.catalogue.schema` writes it next to this file; a test keeps the two in step.
"""

from __future__ import annotations

import json
from pathlib import Path

from validator.catalogue.entries import CatalogueEntry

PATH = Path(__file__).with_name("changes.schema.json")


def schema() -> str:
    """The schema of one file, a list of entries, as JSON."""
    made = CatalogueEntry.model_json_schema(ref_template="#/$defs/{model}")
    parts = made.pop("$defs")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Known changes of a package",
        "type": "array",
        "items": made,
        "$defs": parts,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")

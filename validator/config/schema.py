"""The JSON Schema of validator.yml for editors, generated from `validator.config.settings`.

`python -m validator.config.schema` writes it next to this file; a test keeps the two in step.
"""

from __future__ import annotations

import json
from pathlib import Path

from validator.config.settings import Settings

PATH = Path(__file__).with_name("validator.schema.json")


def schema() -> str:
    """The schema as JSON."""
    made = Settings.model_json_schema()
    made.pop("title", None)
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "validator.yml"}
    return json.dumps(described | made, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")

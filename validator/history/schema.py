"""The JSON Schema of a line of a history, made from `validator.history.types.HistoryRun`.

`python -m validator.history.schema` writes it beside this file; a test holds the two together.
"""

from __future__ import annotations

import json
from pathlib import Path

from validator.history.types import HistoryRun

PATH = Path(__file__).with_name("history.schema.json")
_DESCRIBED = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "keras-validator history",
    "description": "One line of a history of keras-validator: one judged run.",
}


def schema() -> str:
    """The schema of what is written."""
    made = HistoryRun.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps(_DESCRIBED | made | _DESCRIBED, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")

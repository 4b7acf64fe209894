"""The JSON Schema of keras-acceptances.yml for editors, made from `validator.verdict.acceptances`.

`python -m validator.verdict.schema` writes it beside this file; a test holds the two together.
"""

from __future__ import annotations

import json
from pathlib import Path

from validator.verdict.acceptances import Acceptances

PATH = Path(__file__).with_name("acceptances.schema.json")


def schema() -> str:
    """The schema as JSON."""
    made = Acceptances.model_json_schema()
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "keras-acceptances.yml"}
    return json.dumps(made | described, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema(), encoding="utf-8")

"""JSON files that are there completely or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path


def read_json(path: Path) -> dict:
    """Read a JSON object."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return value


def write_json(path: Path, value: object) -> None:
    """Write JSON beside the file, then rename. Of text that is no Unicode `?` is left; NaN is refused."""
    temporary = path.with_name(path.name + ".tmp")
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    temporary.write_bytes(text.encode("utf-8", "replace") + b"\n")  # lone surrogates: bytes of a file's name
    os.replace(temporary, path)

"""docs/known-changes.md is what the data say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_generated_from_the_data() -> None:
    spec = importlib.util.spec_from_file_location("known_changes", ROOT / "docs" / "known_changes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()

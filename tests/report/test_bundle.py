"""The script in the package is what `npm run build` makes of the folder `web`."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEB, TEMPLATES = ROOT / "web", ROOT / "validator" / "report" / "templates"
BUNDLE = (TEMPLATES / "report.js").read_text(encoding="utf-8")


def test_it_was_built_from_these_sources_and_this_lock() -> None:
    """After a change: `cd web && npm ci && npm run build`."""
    sources = [path.relative_to(WEB).as_posix() for path in (WEB / "source").rglob("*.js")]
    digest = hashlib.sha256()
    for name in sorted(["build.js", "package-lock.json", *sources]):
        digest.update(f"{name}\n{(WEB / name).read_text(encoding='utf-8')}".encode())
    stamp = re.search(r"Sources: ([0-9a-f]{64})", BUNDLE)
    assert stamp is not None
    assert stamp[1] == digest.hexdigest()


def test_it_names_every_package_that_is_in_it_with_its_license() -> None:
    notices = BUNDLE.partition("*/")[0]
    assert "@observablehq/plot 0.6.17 (ISC) Copyright 2020-2025 Observable, Inc." in notices
    assert "Permission to use, copy, modify" in notices
    locked = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    versions = {name.removeprefix("node_modules/"): facts.get("version") for name, facts in locked.items()}
    named = re.findall(
        r"^(\S+) (\d+\.\d+\.\d+\S*) \((?:ISC|MIT|BSD-3-Clause|Unlicense)\)", notices, re.MULTILINE
    )
    assert len(named) > 10
    assert {name: versions.get(name) for name, _ in named} == dict(named)


def test_it_evaluates_no_text_and_ends_no_element() -> None:
    assert not re.search(r"\beval\(|new Function|</script|<!--", BUNDLE, re.IGNORECASE)


def test_it_fits() -> None:
    assert len(BUNDLE) < 400_000

"""The documentation as a site: it builds without a warning, asks no other host, and has every page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("mkdocs")
_ELSEWHERE = re.compile(r"""<(?:script|link|img)[^>]+(?:src|href)="(https?:)?//""")


def build(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder), *arguments]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_it_builds_without_a_warning_and_needs_no_other_host(tmp_path: Path) -> None:
    done = build(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    made = {
        path.relative_to(tmp_path / "site").with_suffix("") for path in (tmp_path / "site").rglob("*.html")
    }
    sources = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert sources <= made
    for page in (tmp_path / "site").rglob("*.html"):
        assert not _ELSEWHERE.search(page.read_text(encoding="utf-8")), page


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    copied = tmp_path / "docs"
    copied.mkdir()
    (copied / "index.md").write_text("# Start\n[gone](gone.md)\n")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:\n  - Start")[0]
    hook = ROOT / "docs" / "mkdocs_links.py"
    (tmp_path / "mkdocs.yml").write_text(settings.replace("docs/mkdocs_links.py", str(hook)))
    done = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode == 1
    assert "gone.md" in done.stderr

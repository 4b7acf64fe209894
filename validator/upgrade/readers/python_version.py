"""The Python a project asks for in `.python-version`."""

from __future__ import annotations

import re

from validator.upgrade.manifest import DependencyManifest, Files, Source

_VERSION = re.compile(r"^(?:cpython-|python-?)?(\d+\.\d+(?:\.\d+)?)(?=$|[-+])")


def read(source: Source, _files: Files) -> DependencyManifest:
    """Return the first version that names a CPython; others (`pypy3.10`, `system`) are passed over."""
    matches = (_VERSION.match(line.partition("#")[0].strip()) for line in source.text.split("\n"))
    python = next((match[1] for match in matches if match), None)
    return DependencyManifest(path=source.path, kind="python-version", python=python)

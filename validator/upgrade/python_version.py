"""The Python a project asks for in `.python-version`."""

from __future__ import annotations

import re

from validator.upgrade.manifests import Files, Manifest, Source

_VERSION = re.compile(r"^(?:cpython-|python-?)?(\d+\.\d+(?:\.\d+)?)(?=$|[-+])")


def parse(source: Source, _files: Files) -> Manifest:
    """Return the first version that names a CPython; others (`pypy3.10`, `system`) are passed over."""
    for number, line in enumerate(source.text.split("\n"), start=1):
        match = _VERSION.match(line.partition("#")[0].strip())
        if match:
            return Manifest(path=source.path, kind="python-version", python=match[1], python_line=number)
    return Manifest(path=source.path, kind="python-version")

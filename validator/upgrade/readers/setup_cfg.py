"""setup.cfg: what setuptools installs, without running setup.py."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Pin, Source, pin_of
from validator.upgrade.readers.requirement_files import included
from validator.upgrade.text import Lines, show


def read(source: Source, files: Files) -> DependencyManifest:
    """Return `install_requires` and `extras_require`, also from the files that `file:` names."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(source.text)
    except configparser.Error as error:
        reason = show(str(error).splitlines()[0])
        raise ConfigurationError(f"{source.where} is not a valid setup.cfg: {reason}.") from None
    manifest = DependencyManifest(
        path=source.path,
        kind="setup-cfg",
        requires_python=parser.get("options", "python_requires", fallback="").strip(),
    )
    lines = Lines(source.text)
    for section, value in _values(parser):
        named = re.match(r"file:\s*(.*)", value, re.DOTALL)
        if named is None:
            pins = tuple(_pins(value, section, source, lines))
            manifest = manifest.model_copy(update={"pins": (*manifest.pins, *pins)})
            continue
        for name in filter(None, map(str.strip, named[1].replace("\n", ",").split(","))):
            manifest += included(name, source, files, section)
    return manifest


def _values(parser: configparser.RawConfigParser) -> Iterator[tuple[str, str]]:
    """Yield each list of requirements with its section: empty, or `extra:NAME`."""
    yield "", parser.get("options", "install_requires", fallback="").strip()
    if parser.has_section("options.extras_require"):
        for name, value in parser.items("options.extras_require"):
            yield f"extra:{canonicalize_name(name)}", value.strip()


def _pins(value: str, section: str, source: Source, lines: Lines) -> Iterator[Pin]:
    for line in value.split("\n"):
        # setuptools separates by lines, and by semicolons where there is only one; a marker has them as well.
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text:
            yield pin_of(text, source, lines.find(rf"(^|[\s=:]){re.escape(text)}\s*(#|$)"), section)

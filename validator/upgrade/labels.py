"""Who made the upgrade: a label for the report, trusted for nothing."""

from __future__ import annotations

import re

import yaml

from validator.errors import ConfigurationError
from validator.upgrade.text import compose_yaml

_FRAGMENT = re.compile(r"^---\n(updated-dependencies:\n.*?)^\.\.\.$", re.MULTILINE | re.DOTALL)
_BRANCH = re.compile(r"^(?:refs/heads/)?(dependabot(?=/)|renovate(?=[/-]))")
_MAX = 64_000  # characters of a message that are looked at


def source(message: str, branch: str) -> str:
    """Return `dependabot`, `renovate` or nothing, by the commit's metadata and then by the branch's name."""
    fragment = _FRAGMENT.search(message[:_MAX].replace("\r\n", "\n"))
    if fragment is not None and _names_updates(fragment[1]):
        return "dependabot"
    named = _BRANCH.match(branch)
    return named[1] if named is not None else ""


def _names_updates(fragment: str) -> bool:
    try:
        root = compose_yaml(fragment, "the commit message")
    except ConfigurationError:
        return False
    updated = root.value[0][1] if isinstance(root, yaml.MappingNode) and root.value else None
    return isinstance(updated, yaml.SequenceNode) and bool(updated.value)

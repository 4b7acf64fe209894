"""Who made the upgrade: a label for the report, trusted for nothing."""

from __future__ import annotations

import re

import yaml

_FRAGMENT = re.compile(r"^---\n(updated-dependencies:\n.*?)^\.\.\.$", re.MULTILINE | re.DOTALL)
_MAX = 64_000  # characters of a message that are looked at


def source(message: str, branch: str) -> str:
    """Return `dependabot`, `renovate` or nothing, by the commit's metadata and then by the branch's name."""
    if _is_dependabot(message[:_MAX].replace("\r\n", "\n")) or re.match(
        r"^(refs/heads/)?dependabot/", branch
    ):
        return "dependabot"
    if re.match(r"^(refs/heads/)?renovate[/-]", branch):
        return "renovate"
    return ""


def _is_dependabot(message: str) -> bool:
    match = _FRAGMENT.search(message)
    if match is None:
        return False
    try:
        # Composed, not constructed: an alias stays a reference, whatever it would multiply to.
        root = yaml.compose(match[1], Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return False
    if not isinstance(root, yaml.MappingNode) or not root.value:
        return False
    updated = root.value[0][1]
    return isinstance(updated, yaml.SequenceNode) and bool(updated.value)

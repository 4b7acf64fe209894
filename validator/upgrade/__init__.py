"""What a pull request upgrades, read through git: the changes, and what base and head are built from.

In come a repository, a trigger and options; out comes a `Detected`. Only this room reads requirements files
and locks. An `Installer` (uv, from `environments`) resolves ranges and exports uv's locks.
"""

from validator.upgrade.detection import detect
from validator.upgrade.git import GitError, Repository
from validator.upgrade.manifest import exact, name_of
from validator.upgrade.reader import read_manifest_pins, read_requirements
from validator.upgrade.relevant import FRAMEWORKS
from validator.upgrade.types import (
    Detected,
    Index,
    Installer,
    Options,
    PackageChange,
    Requirements,
    Revisions,
    Side,
    Trigger,
    Upgrade,
    UpgradeReason,
)

__all__ = [
    "FRAMEWORKS",
    "Detected",
    "GitError",
    "Index",
    "Installer",
    "Options",
    "PackageChange",
    "Repository",
    "Requirements",
    "Revisions",
    "Side",
    "Trigger",
    "Upgrade",
    "UpgradeReason",
    "detect",
    "exact",
    "name_of",
    "read_manifest_pins",
    "read_requirements",
]

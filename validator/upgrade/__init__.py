"""What a pull request upgrades, read through git: the changes, and what base and head are built from.

In come a repository, a trigger and options; out comes a `Detected`. Only this room reads requirements files
and locks. An `Installer` (uv, from `environments`) resolves ranges and exports uv's locks.
"""

from validator.upgrade.checkout import Checkout, check_out
from validator.upgrade.detection import detect
from validator.upgrade.git import GitError, Repository, Snapshot
from validator.upgrade.manifest import name_of, pinned
from validator.upgrade.models import model_files
from validator.upgrade.reader import read_manifest_pins, read_requirements
from validator.upgrade.relevant import FRAMEWORKS, Relevance
from validator.upgrade.stale import refreshes
from validator.upgrade.types import (
    BaseModels,
    Detected,
    Index,
    Installer,
    ModelPart,
    ModelReason,
    MovedReason,
    Options,
    PackageChange,
    Requirements,
    Revisions,
    Side,
    SideName,
    Trigger,
    UnmovedReason,
    Upgrade,
    UpgradeReason,
)

__all__ = [
    "FRAMEWORKS",
    "BaseModels",
    "Checkout",
    "Detected",
    "GitError",
    "Index",
    "Installer",
    "ModelPart",
    "ModelReason",
    "MovedReason",
    "Options",
    "PackageChange",
    "Relevance",
    "Repository",
    "Requirements",
    "Revisions",
    "Side",
    "SideName",
    "Snapshot",
    "Trigger",
    "UnmovedReason",
    "Upgrade",
    "UpgradeReason",
    "check_out",
    "detect",
    "model_files",
    "name_of",
    "pinned",
    "read_manifest_pins",
    "read_requirements",
    "refreshes",
]

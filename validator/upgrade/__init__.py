"""What a pull request upgrades, read through git: the changes, and what base and head are built from."""

from validator.upgrade.detection import Detected, Options, detect
from validator.upgrade.manifests import Index
from validator.upgrade.relevant import Relevance
from validator.upgrade.resolver import Resolver, UvResolver
from validator.upgrade.revisions import Event, Revisions
from validator.upgrade.sides import Requirements, Side, Wanted

__all__ = [
    "Detected",
    "Event",
    "Index",
    "Options",
    "Relevance",
    "Requirements",
    "Resolver",
    "Revisions",
    "Side",
    "UvResolver",
    "Wanted",
    "detect",
]

"""Traces a cell that moved to the release, the night and the lines of Keras, and to a package of a group.

In comes a `Case` (a job that records the cell's evidence, and its two ends) and a `Site` (where versions are
laid over one environment); out comes an `Origin`. Every run is kept, so that a later search goes on.
"""

from validator.origin.budget import Budget
from validator.origin.case import Case, SearchWatcher, Site
from validator.origin.packages import Corners, Group, find_packages
from validator.origin.standard import Rules
from validator.origin.trace import trace
from validator.origin.types import Aspect, Behaviour, Origin, Packages, Releases

__all__ = [
    "Aspect",
    "Behaviour",
    "Budget",
    "Case",
    "Corners",
    "Group",
    "Origin",
    "Packages",
    "Releases",
    "Rules",
    "SearchWatcher",
    "Site",
    "find_packages",
    "trace",
]

"""An environment of the plan → an installed one: locked once, reused while its lock is unchanged.

In comes an `Environment` and where packages come from; out comes a `Built`, or a `Failure` in uv's words.
This room is the only caller of uv, also on behalf of `upgrade` (`UvInstaller`).
"""

from validator.environments.build import Built, prepare, resolve
from validator.environments.installer import UvInstaller, versions
from validator.environments.lock import newest, resolved
from validator.environments.overlays import Overlays, Wheel, is_night
from validator.environments.uv import Uv

__all__ = [
    "Built",
    "Overlays",
    "Uv",
    "UvInstaller",
    "Wheel",
    "is_night",
    "newest",
    "prepare",
    "resolve",
    "resolved",
    "versions",
]

"""An environment of the plan → an installed one: locked once, reused while its lock is unchanged."""

from validator.environments.build import Built, build, create
from validator.environments.lock import lock

__all__ = ["Built", "build", "create", "lock"]

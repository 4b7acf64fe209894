"""Where a report is published: GitHub's API, the step's files and its workflow commands."""

from validator.github.context import Context, read_context
from validator.github.publish import Options, Outlet, Problem, Published, publish, publish_file

__all__ = ["Context", "Options", "Outlet", "Problem", "Published", "publish", "publish_file", "read_context"]

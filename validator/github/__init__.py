"""Where a report is published: GitHub's API, the step's files and its workflow commands."""

from validator.github.context import Context, read_context
from validator.github.edition import Edition
from validator.github.publish import Published, PublishOptions, publish_file
from validator.github.step_files import StepFiles

__all__ = [
    "Context",
    "Edition",
    "PublishOptions",
    "Published",
    "StepFiles",
    "publish_file",
    "read_context",
]

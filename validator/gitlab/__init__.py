"""Where a report is published on GitLab: one note on the merge request, kept up to date."""

from validator.gitlab.context import GitLabJob, read_job
from validator.gitlab.notes import PostedNote, publish_note

__all__ = ["GitLabJob", "PostedNote", "publish_note", "read_job"]

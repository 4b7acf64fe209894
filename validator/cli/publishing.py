"""The command that posts a finished run to GitHub: publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from validator.cli.options import CommentChoice, option
from validator.cli.streams import tell


def publish(  # noqa: PLR0913, PLR0917 - one parameter an option
    run: Annotated[
        Path,
        typer.Argument(envvar="KERAS_VALIDATOR_REPORT", help="Directory of a run, or its report.json."),
    ],
    instance: Annotated[
        str, option("instance", "Name that separates the comments of several validations.")
    ] = "default",
    comment: Annotated[
        CommentChoice, option("comment", "When to create a comment. An existing comment is always updated.")
    ] = CommentChoice.changes,
    status: Annotated[bool, option("status", "Set a commit status.")] = False,
    check: Annotated[bool, option("check", "Create a check run.")] = False,
    issue: Annotated[bool, option("issue", "Keep an issue open while the verdict is red.")] = False,
    summary: Annotated[bool, option("summary", "Also append the report to this job's summary.")] = False,
    name: Annotated[str, option("name", "Name of the commit status and the check run.")] = "keras-validator",
    author: Annotated[str | None, option("author", "Login that the token of a GitHub App writes as.")] = None,
) -> None:
    """Publish the report of a finished run from a job of GitHub Actions: comment, status, check run, issue.

    The token is GITHUB_TOKEN. In a job of GitLab CI it is GITLAB_TOKEN, and a note on the merge request is
    published; that needs keras-upgrade-validator[gitlab]. The exit code is 0 for every verdict and whatever
    GitHub refuses, or 3 if the report is not about the head of this pull request.
    """
    import os

    from validator.pipeline.publish import describe, publish_on_gitlab, publish_options, publish_run

    options = publish_options(
        instance=instance,
        comment=comment.value,
        status=status,
        check=check,
        issue=issue,
        summary=summary,
        name=name,
        author=author,
    )
    if os.environ.get("GITLAB_CI") == "true":
        note, code = publish_on_gitlab(run, options, os.environ)
        tell("; ".join(filter(None, (f"note: {note.action} {note.url}".rstrip(), note.problem))))
    else:
        published, code = publish_run(run, options, os.environ)
        tell(describe(published))
    raise typer.Exit(int(code))

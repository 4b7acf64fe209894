"""The job of GitLab CI that publishes, from the variables that GitLab sets.

https://docs.gitlab.com/ci/variables/predefined_variables/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError

from validator.base import Frozen
from validator.errors import ConfigurationError

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")]


class GitLabJob(Frozen):
    """One job. `commit` is what it checked out, `head` the tip of the merge request's branch.

    They differ where GitLab runs the pipeline on the merged result.
    """

    server: str = Field(alias="CI_SERVER_URL", pattern=r"^https?://[^@\s]+$")
    project: int = Field(alias="CI_PROJECT_ID", gt=0)
    merge_request: int | None = Field(alias="CI_MERGE_REQUEST_IID", default=None, gt=0)
    commit: Sha = Field(alias="CI_COMMIT_SHA")
    branch_head: Sha | None = Field(alias="CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", default=None)
    pipeline: int = Field(alias="CI_PIPELINE_ID", gt=0)
    pipeline_url: str = Field(alias="CI_PIPELINE_URL", default="")
    token: SecretStr | None = Field(alias="GITLAB_TOKEN", default=None)

    @property
    def head(self) -> str:
        """The commit that the merge request must still be at."""
        return self.branch_head or self.commit


def read_job(environ: Mapping[str, str]) -> GitLabJob:
    """The job that these variables describe. An empty one counts as unset.

    Raises:
        ConfigurationError: a variable is missing or malformed, so this is no job of GitLab CI.
    """
    names = [field.alias or name for name, field in GitLabJob.model_fields.items()]
    given = {name: environ[name].strip() for name in names if environ.get(name, "").strip()}
    try:
        return GitLabJob.model_validate(given)
    except ValidationError as error:
        wrong = ", ".join(sorted({str(item["loc"][0]) for item in error.errors()}))
        raise ConfigurationError(
            f"{wrong}: missing or malformed; on GitLab, this command works only inside a job of a pipeline"
        ) from None

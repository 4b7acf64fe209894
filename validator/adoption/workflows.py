"""Whether the workflows that use the actions let them do their work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from validator.documents import read_bytes

_ACTION = "keras-upgrade-validator"
_YAML_BYTES = 1 << 20
Job = Mapping[str, Any]


def check_workflows(root: Path) -> Iterator[str]:
    """What to mend, a sentence each; nothing where no workflow uses the actions."""
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        try:
            workflow = yaml.safe_load(read_bytes(path, _YAML_BYTES))
        except (OSError, ValueError, yaml.YAMLError) as error:
            yield f"{path.name}: {' '.join(str(error).split())}; correct it"
            continue
        jobs = workflow.get("jobs") if isinstance(workflow, dict) else None
        for name, job in (jobs if isinstance(jobs, dict) else {}).items():
            if isinstance(job, dict):
                where = f"{path.name}, job {name}"
                permissions = job.get("permissions", workflow.get("permissions"))
                yield from (f"{where}: {problem}" for problem in _problems(job, permissions))


def _problems(job: Job, permissions: object) -> Iterator[str]:
    steps = [step for step in job.get("steps") or () if isinstance(step, dict)]
    uses = [str(step.get("uses", "")) for step in steps]
    if any("OWNER/" in used for used in uses):
        yield f"`uses` names OWNER; replace it by the owner of {_ACTION}"
    posts = any(f"{_ACTION}/report" in used for used in uses)
    runs = any(f"{_ACTION}@" in used for used in uses)
    if posts and not _may(permissions, "pull-requests", "write"):
        yield "the comment needs `permissions: {pull-requests: write}`"
    if not runs:
        return
    if not _may(permissions, "contents", "read"):
        yield "the checkout needs `permissions: {contents: read}`"
    if posts and _may(permissions, "pull-requests", "write"):
        yield "the job that runs models also has a token that writes; report in a job of its own"
    checkout = next((step for step in steps if "actions/checkout" in str(step.get("uses", ""))), None)
    settings = (checkout or {}).get("with") or {}
    if checkout is None:
        yield "no actions/checkout stands before the action; add it with fetch-depth: 2"
    elif settings.get("fetch-depth", 1) == 1:
        yield "actions/checkout fetches one commit; set fetch-depth: 2, so that the base is there"


def _may(permissions: object, scope: str, level: str) -> bool:
    """Whether a token may do that; without `permissions` nobody knows, so it is not reported."""
    if permissions is None or permissions == "write-all":
        return True
    if permissions == "read-all":
        return level == "read"
    held = permissions.get(scope, "none") if isinstance(permissions, dict) else "none"
    return held in (level, "write")

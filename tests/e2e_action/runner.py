"""GitHub Actions without GitHub: the real `act`, a repository on disk, and a fake API.

The workflows are those of docs/github.md as they are printed. `actions/checkout` and the two artifact
actions need GitHub, so small actions stand in for them: they clone from the bare origin, and copy files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.action.conftest import Consumer
from tests.action.guide import WORKFLOWS
from tests.github.fake import TOKEN, pull, run

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "dependabot/pip/keras-3.5.0"
#: Certificates, proxies and package indexes of this machine, without which nothing can be installed.
_MACHINE = re.compile(r"^(SSL_|REQUESTS_CA|CURL_CA|PIP_|UV_|(HTTPS?|NO)_PROXY$)", re.IGNORECASE)
_RELEASED = (
    "action.yml",
    "report/",
    "plan/",
    "merge/",
    "validator/",
    "requirements.lock",
    "requirements-extras.lock",
)

CHECKOUT = """name: checkout
description: Clones from the bare origin.
inputs:
  fetch-depth: {description: Depth., default: "1"}
  persist-credentials: {description: Whether git keeps the token., default: "true"}
  token: {description: The token., default: "${{ github.token }}"}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        DEPTH: ${{ inputs.fetch-depth }}
        PERSIST: ${{ inputs.persist-credentials }}
        SECRET: ${{ inputs.token }}
      run: |
        git init --quiet .
        git remote add origin "$TEST_ORIGIN"
        if [ "$DEPTH" = 0 ]; then depth=(); else depth=(--depth="$DEPTH"); fi
        git fetch --quiet "${depth[@]}" origin "$TEST_REF"
        git checkout --quiet FETCH_HEAD
        if [ "$PERSIST" = true ]; then
          secret=$(printf 'x-access-token:%s' "$SECRET" | base64)
          git config --local http.https://github.com/.extraheader "AUTHORIZATION: basic $secret"
        else
          git remote set-url origin "file:///a/private/repository/without/a/token"
        fi
"""
UPLOAD = """name: upload
description: Copies to the folder of artifacts.
inputs:
  name: {description: Name., required: true}
  path: {description: Path., required: true}
  include-hidden-files: {description: Whether hidden files count., default: "false"}
  if-no-files-found: {description: What then., default: warn}
  overwrite: {description: Whether an artifact of this name is replaced., default: "false"}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        NAME: ${{ inputs.name }}
        FROM: ${{ inputs.path }}
        HIDDEN: ${{ inputs.include-hidden-files }}
        OVERWRITE: ${{ inputs.overwrite }}
      run: |
        case "$FROM" in */.*) [ "$HIDDEN" = true ] ;; esac
        folder=$TEST_ARTIFACTS/$GITHUB_RUN_ID/$NAME
        if [ -e "$folder" ] && [ "$OVERWRITE" != true ]; then
          echo "(409) Conflict: an artifact with this name already exists on the workflow run"
          exit 1
        fi
        rm -rf "$folder" && mkdir -p "$folder" && cp "$FROM" "$folder/"
"""
DOWNLOAD = """name: download
description: Copies from the folder of artifacts.
inputs:
  name: {description: Name., default: ""}
  pattern: {description: "Names; each gets a folder.", default: ""}
  path: {description: Path., required: true}
  run-id: {description: Of another run., required: false}
  github-token: {description: For another run., required: false}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        NAME: ${{ inputs.name }}
        PATTERN: ${{ inputs.pattern }}
        TO: ${{ inputs.path }}
        RUN: ${{ inputs.run-id }}
      run: |
        folder=$TEST_ARTIFACTS/${RUN:-$GITHUB_RUN_ID}
        if [ -n "$PATTERN" ]; then
          mkdir -p "$TO"
          find "$folder" -mindepth 1 -maxdepth 1 -name "$PATTERN" -exec cp -r {} "$TO/" ";"
          exit
        fi
        test -d "$folder/$NAME" && mkdir -p "$TO" && cp "$folder/$NAME"/* "$TO/"
"""
#: What a job leaves in the folder is in its own entry from then on: GitHub saves it after the last step.
CACHE = """name: cache
description: Restores the latest entry with the prefix, as one of the job's own.
inputs:
  path: {description: The folder., required: true}
  key: {description: Of the entry that this job writes., required: true}
  restore-keys: {description: The prefix of entries that are read., required: true}
runs:
  using: composite
  steps:
    - shell: bash
      env:
        FOLDER: ${{ inputs.path }}
        KEY: ${{ inputs.key }}
        PREFIX: ${{ inputs.restore-keys }}
      run: |
        mkdir -p "$TEST_CACHES" "$(dirname "$FOLDER")"
        latest=$(find "$TEST_CACHES" -maxdepth 1 -name "$PREFIX*" -printf "%T@ %p\\n" | sort -n | tail -1)
        mkdir "$TEST_CACHES/$KEY"
        [ -z "$latest" ] || cp "${latest#* }"/* "$TEST_CACHES/$KEY/"
        ln -s "$TEST_CACHES/$KEY" "$FOLDER"
"""
STAND_INS = {"cache": CACHE, "checkout": CHECKOUT, "upload-artifact": UPLOAD, "download-artifact": DOWNLOAD}


class FakeProcess:
    """The fake GitHub as a process of its own, since `act` is one too."""

    def __init__(self, state: Path) -> None:
        self._state = state
        command = [sys.executable, "-m", "tests.github.fake", "--port", "0", "--state", str(state)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def stop(self) -> dict[str, Any]:
        """End it; what it knows at last."""
        self._process.terminate()
        self._process.wait(10)
        found: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
        return found


@dataclass
class Outcome:
    """A workflow's run: the result of each job, the lines of its log, and the API's state after it."""

    jobs: dict[str, str]
    log: str
    state: dict[str, Any]

    def writes(self) -> list[str]:
        """Every request that changed something."""
        return [f"{one['method']} {one['path']}" for one in self.state["requests"] if one["method"] != "GET"]


@dataclass
class Hub:
    """A consumer's repository as GitHub has it: a bare origin, pull request 7, and the API."""

    folder: Path
    consumer: Consumer
    state: dict[str, Any] = field(default_factory=dict)
    tip: str = ""

    def open(self, files: dict[str, str | bytes | None]) -> None:
        """Open the pull request, or push to it: Dependabot's branch, and GitHub's merge of it into main."""
        consumer, origin = self.consumer, f"file://{self._origin()}"
        branches = consumer.git("branch", "--list", BRANCH)
        consumer.git("checkout", "--quiet", *([] if branches else ["-b"]), BRANCH)
        self.tip = consumer.commit(files, "Bump keras from 3.3.3 to 3.5.0")
        consumer.git("checkout", "--quiet", "-B", "merge", "main")
        consumer.git("merge", "--quiet", "--no-ff", "-m", f"Merge {self.tip} into main", BRANCH)
        consumer.git("push", "--quiet", "--force", origin, "main", BRANCH, "HEAD:refs/pull/7/merge")
        self.state["pulls"] = [pull(7, self.tip, BRANCH)]
        self.state["runs"] = [run(99, self.tip, BRANCH)]

    def event(self) -> dict[str, Any]:
        """The payload of the pull request."""
        same = {"repo": {"full_name": "acme/widget", "name": "widget", "owner": {"login": "acme"}}}
        base = self.consumer.git("rev-parse", "main")
        return {
            "action": "synchronize",
            "number": 7,
            "pull_request": {
                "number": 7,
                "user": {"login": "dependabot[bot]"},
                "html_url": "https://github.com/acme/widget/pull/7",
                "head": {"sha": self.tip, "ref": BRANCH, **same},
                "base": {"sha": base, "ref": "main", **same},
            },
            "repository": {"full_name": "acme/widget", "default_branch": "main"},
        }

    def act(
        self,
        workflow: str,
        name: str = "pull_request",
        event: dict[str, Any] | None = None,
        run: tuple[int, int] = (99, 1),
        ref: str = "refs/pull/7/merge",
    ) -> Outcome:
        """Run a workflow of the guide on what was pushed last; the API remembers from run to run.

        `run` is the number of the run and its attempt; `ref` is what the checkout brings.
        """
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        (work / "home").mkdir(parents=True)
        state, payload = self.folder / "state.json", work / "event.json"
        state.write_text(json.dumps({**self.state, "requests": []}), encoding="utf-8")
        payload.write_text(json.dumps(event or self.event()), encoding="utf-8")
        body = WORKFLOWS[workflow].replace("OWNER/keras-upgrade-validator", "acme/validator")
        checkout = self._checkout(work, body)
        fake = FakeProcess(state)
        try:
            variables = {
                "GITHUB_API_URL": fake.url,
                "GITHUB_RUN_ID": str(run[0]),
                "GITHUB_RUN_ATTEMPT": str(run[1]),
                "TEST_REF": ref,
            }
            command = self._command(work, name, payload, variables, body)
            done = subprocess.run(
                command,
                cwd=checkout,
                env={
                    "PATH": f"{self._gh()}:{os.environ['PATH']}",
                    "HOME": str(work / "home"),
                    "LANG": "C.UTF-8",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=900,
                check=False,
            )
        finally:
            self.state = fake.stop()
        assert self.state["violations"] == []
        return Outcome(_results(done.stdout), _messages(done.stdout), self.state)

    def push(self, refspec: str) -> None:
        """Push what is checked out to the origin."""
        self.consumer.git("push", "--quiet", "--force", f"file://{self._origin()}", refspec)

    def lose_artifacts(self) -> None:
        """As after the days that GitHub keeps them."""
        shutil.rmtree(self.folder / "artifacts")

    def _gh(self) -> Path:
        """A folder with a `gh` that notes what it is asked for, if it is given the job's token."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / "gh"
        script.write_text(f'#!/bin/sh\n[ "$GH_TOKEN" = {TOKEN} ] && echo "$@" >> {self.folder}/gh.calls\n')
        script.chmod(0o755)
        return folder

    def _origin(self) -> Path:
        origin = self.folder / "origin.git"
        if not origin.exists():
            subprocess.run(["git", "init", "--quiet", "--bare", str(origin)], check=True)
        return origin

    def _checkout(self, work: Path, body: str) -> Path:
        """Where `act` finds the workflow; its job clones what it works on from the origin."""
        folder = work / "workflow"
        workflows = folder / ".github" / "workflows"
        workflows.mkdir(parents=True)
        (workflows / "keras.yml").write_text(body, encoding="utf-8")
        for arguments in (
            ["init", "--quiet"],
            ["add", "-A"],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "workflow"],
        ):
            subprocess.run(["git", "-C", str(folder), *arguments], check=True)
        return folder

    def _command(
        self, work: Path, name: str, payload: Path, variables: dict[str, str], body: str
    ) -> list[str]:
        variables = {
            **variables,
            "GITHUB_REPOSITORY": "acme/widget",
            "NO_COLOR": "1",
            "TEST_ORIGIN": f"file://{self._origin()}",
            "TEST_ARTIFACTS": str(self.folder / "artifacts"),
            "TEST_CACHES": str(self.folder / "caches"),
            "UV_CACHE_DIR": _uv_cache(),
            **{key: value for key, value in os.environ.items() if _MACHINE.match(key)},
        }
        local = {"acme/validator@v1": _action(self.folder)}
        for repository, ref in set(re.findall(r"uses: (actions/[\w-]+)@(\w+)", body)):
            local[f"{repository}@{ref}"] = _stand_in(self.folder, repository.partition("/")[2])
        command = [_tool("act"), name, "-e", str(payload), "-a", "dependabot[bot]", "--json"]
        command += ["-P", "ubuntu-latest=-self-hosted", "--no-cache-server", "--no-skip-checkout"]
        command += ["--action-cache-path", str(work / "actions"), "-s", f"GITHUB_TOKEN={TOKEN}"]
        command += [word for item in variables.items() for word in ("--env", "=".join(item))]
        return command + [
            word for at, path in local.items() for word in ("--local-repository", f"{at}={path}")
        ]


def _results(log: str) -> dict[str, str]:
    """The result of every job, from act's own words; a job that was skipped is not in them."""
    found = {}
    for line in log.splitlines():
        if line.startswith("{") and "jobResult" in line:
            said = json.loads(line)
            found[said["jobID"]] = said["jobResult"]
    return found


def _messages(log: str) -> str:
    lines = [json.loads(line) if line.startswith("{") else {"msg": line} for line in log.splitlines()]
    return "\n".join(str(line.get("msg", "")).rstrip() for line in lines)


def _action(folder: Path) -> Path:
    """This repository as a release of the action: what git keeps, and nothing else."""
    target = folder / "action"
    if not target.exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file() and name.startswith(_RELEASED):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name)
    return target


def _stand_in(folder: Path, name: str) -> Path:
    target = folder / "stand-ins" / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "action.yml").write_text(STAND_INS[name], encoding="utf-8")
    return target


def _tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is not installed: it is in requirements-dev.lock"
    return found


def _uv_cache() -> str:
    import uv

    command = [uv.find_uv_bin(), "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

"""action.yml, its types, the command line, the documentation and the lock say the same."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
import yaml

from tests.action.guide import WORKFLOWS
from validator.cli import app
from validator.github.posts import CommentAction
from validator.github.publish import CommentOutcome, CommentPolicy
from validator.verdict.results import Verdict

ROOT = Path(__file__).resolve().parents[2]
ACTIONS = {
    "action.yml": "run",
    "report/action.yml": "publish",
    "plan/action.yml": "plan",
    "merge/action.yml": "merge",
}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def load(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def parameters(command: str) -> dict[str, Any]:
    """The options and arguments of a command that a variable can give, by that variable."""
    return {one.envvar: one for one in COMMANDS[command].params if one.envvar}


@pytest.fixture(params=ACTIONS)
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_input_and_output_is_named_alike_and_described(path: str) -> None:
    action = load(path)
    for kind in ("inputs", "outputs"):
        for name, value in action[kind].items():
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
            assert str(value["description"]).strip().endswith(".")
    assert action["branding"].keys() == {"icon", "color"}
    assert len(action["description"]) < 300


def test_every_input_and_output_has_a_type(path: str) -> None:
    action, types = load(path), load(path.replace("action.yml", "action-types.yml"))
    for kind in ("inputs", "outputs"):
        assert list(types[kind]) == list(action[kind])
        assert {one["type"] for one in types[kind].values()} <= {
            *("string", "boolean", "integer", "float", "list", "enum")
        }


def test_every_input_is_an_option_of_the_command_and_has_its_type(path: str) -> None:
    action, types = load(path), load(path.replace("action.yml", "action-types.yml"))
    environ = {name: value for step in action["runs"]["steps"] for name, value in step.get("env", {}).items()}
    named = parameters(ACTIONS[path])
    given = {name: value for name, value in environ.items() if name.startswith("KERAS_VALIDATOR_")}
    assert given.keys() == named.keys()
    for variable, value in given.items():
        name = variable.removeprefix("KERAS_VALIDATOR_").lower().replace("_", "-")
        assert value == f"${{{{ inputs.{name} }}}}"
        option, kind = named[variable], types["inputs"][name]["type"]
        assert (kind == "boolean") == bool(getattr(option, "is_flag", False))
        assert (kind == "list") == bool(getattr(option, "multiple", False))
    # `extras` says what is installed before there is a command.
    assert set(action["inputs"]) - {"token", "extras"} == {
        name.removeprefix("KERAS_VALIDATOR_").lower().replace("_", "-") for name in given
    }


def test_no_input_but_the_token_has_a_default(path: str) -> None:
    """A default here would win over validator.yml, and nobody would see it."""
    assert {name for name, value in load(path)["inputs"].items() if "default" in value} <= {"token"}


def test_the_steps_are_safe(path: str) -> None:
    for step in load(path)["runs"]["steps"]:
        assert "uses" not in step
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        assert not re.search(r"GITHUB_(ENV|PATH)\b", step["run"])
    tokens = [step.get("env", {}).get("GITHUB_TOKEN") for step in load(path)["runs"]["steps"]]
    assert tokens == [None, "${{ inputs.token }}" if path == "report/action.yml" else ""]


def test_every_output_is_written(path: str) -> None:
    for name, output in load(path)["outputs"].items():
        assert re.fullmatch(rf"\$\{{\{{ steps\.\w+\.outputs\.{name} \}}\}}", output["value"])


def test_the_choices_are_those_of_the_code() -> None:
    report = load("report/action-types.yml")
    assert report["inputs"]["comment"]["allowed-values"] == list(get_args(CommentPolicy))
    assert report["outputs"]["comment"]["allowed-values"] == list(get_args(CommentOutcome))
    assert set(get_args(CommentAction)) <= set(get_args(CommentOutcome))
    for types in (report, load("action-types.yml"), load("merge/action-types.yml")):
        assert types["outputs"]["verdict"]["allowed-values"] == list(get_args(Verdict))


def test_the_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "docs/tables.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run `python docs/tables.py`: {done.stdout}"


def test_a_table_is_written_between_its_markers_and_nowhere_else() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec
    assert spec.loader
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = "before\n<!-- table: inputs -->\nstale words\n<!-- /table -->\nbetween\n<!-- /table -->\n"
    updated = tables.updated(text)
    assert updated.startswith("before\n<!-- table: inputs -->\n\n| input | description |\n")
    assert updated.endswith("\n<!-- /table -->\nbetween\n<!-- /table -->\n")
    assert "stale words" not in updated
    assert tables.updated(updated) == updated
    with pytest.raises(KeyError):
        tables.updated(text.replace("inputs", "incantations"))


def test_the_guide_has_every_workflow() -> None:
    names = {"two-jobs", "fork-safe", "nightly", "one-job", "auto-merge", "monorepo", "fan-out"}
    assert names <= WORKFLOWS.keys()


def test_init_writes_the_workflow_of_the_guide() -> None:
    template = ROOT / "validator" / "adoption" / "templates" / "keras.yml"
    assert template.read_text(encoding="utf-8") == WORKFLOWS["two-jobs"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_of_the_guide_keeps_running_and_writing_apart(name: str) -> None:
    workflow = yaml.safe_load(WORKFLOWS[name])
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        uses = [step.get("uses", "") for step in job["steps"]]
        runs_models = any(one.startswith("OWNER/keras-upgrade-validator@") for one in uses)
        if runs_models and name != "one-job":
            assert job["permissions"] == {"contents": "read"}
        assert all(
            step["with"]["persist-credentials"] is False
            for step in job["steps"]
            if step.get("uses", "").startswith("actions/checkout@")
        )


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_of_the_guide_gives_only_inputs_that_exist(name: str) -> None:
    for job in yaml.safe_load(WORKFLOWS[name])["jobs"].values():
        for step in job["steps"]:
            action = {
                "OWNER/keras-upgrade-validator@v1": "action.yml",
                "OWNER/keras-upgrade-validator/report@v1": "report/action.yml",
                "OWNER/keras-upgrade-validator/plan@v1": "plan/action.yml",
                "OWNER/keras-upgrade-validator/merge@v1": "merge/action.yml",
            }.get(step.get("uses", ""))
            if action:
                inputs = load(action)["inputs"]
                assert set(step.get("with", {})) <= set(inputs)
                assert {key for key, value in inputs.items() if value.get("required")} <= set(
                    step.get("with", {})
                )


def tool(name: str) -> str:
    """A linter of the development lock, beside this interpreter."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed: it is in requirements-dev.lock"
    return found


def test_the_workflows_of_the_guide_are_lint_clean(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for name, body in WORKFLOWS.items():
        # what the guide tells people to write, for rules that ask for a commit
        (folder / f"{name}.yml").write_text(body.replace("@v1", f"@{'1' * 40}"), encoding="utf-8")
    files = [str(path) for path in sorted(folder.iterdir())]
    for command in (
        [tool("jactionlint"), "--profile", "correctness", "--shellcheck", tool("shellcheck"), *files],
        [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", *files],
        [tool("zizmor"), "--offline", "--pedantic", "--no-progress", str(folder)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_actions_are_lint_clean() -> None:
    files = [str(ROOT / path) for path in ACTIONS]
    for command in (
        [tool("jactionlint"), "--profile", "correctness", "--shellcheck", tool("shellcheck"), *files],
        [tool("check-jsonschema"), "--builtin-schema", "vendor.github-actions", *files],
        [tool("zizmor"), "--offline", "--pedantic", "--no-progress", *files],
        [tool("shellcheck"), str(ROOT / "report" / "install.sh")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_installer_is_executable_and_finds_uv_in_the_lock() -> None:
    script = ROOT / "report" / "install.sh"
    assert script.stat().st_mode & 0o111
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    chosen = re.findall(r"^uv==\S+(?: ;[^\\]*)? \\\n(?:\s+--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", lock, re.M)
    assert len(chosen) == 1

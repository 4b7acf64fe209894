"""What a run compares on a pull request, by the command line in real repositories. Nothing is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.action.conftest import SETTINGS, Consumer, outputs
from tests.upgrade.samples import PROJECTS, project

BASE, HEAD = "3.3.3", "3.5.0"


def planned(consumer: Consumer, *arguments: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    done = consumer.run("plan", "--json", *arguments, environ=environ)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def requirements(plan: dict[str, Any], name: str) -> list[str]:
    return next(one["requirements"] for one in plan["environments"] if one["name"] == name)


def reasons(plan: dict[str, Any]) -> list[tuple[str, ...]]:
    fields = ("kind", "name", "old", "new", "manifest")
    return [tuple(reason[field] for field in fields) for reason in plan["upgrade"]["reasons"]]


@pytest.mark.parametrize("kind", [name for name in PROJECTS if name not in {"conda only"}])
def test_every_kind_of_manifest_becomes_two_environments(consumer: Consumer, kind: str) -> None:
    consumer.start(project(kind, BASE))
    consumer.commit(project(kind, HEAD), "Bump keras")
    plan = planned(consumer, "--base", "HEAD^")
    assert plan["baseline"] == "base"
    assert [one["name"] for one in plan["environments"]] == ["base", "head"]
    texts = {
        side: {
            *requirements(plan, side),
            *next(one["constraints"] for one in plan["environments"] if one["name"] == side),
        }
        for side in ("base", "head")
    }
    assert any(text.startswith(f"keras=={BASE}") for text in texts["base"])
    assert any(text.startswith(f"keras=={HEAD}") for text in texts["head"])
    (change,) = [one for one in plan["upgrade"]["changes"] if one["name"] == "keras"]
    assert (change["old"], change["new"]) == (BASE, HEAD)


def test_a_merge_commit_is_compared_with_its_first_parent(consumer: Consumer) -> None:
    consumer.start(project("requirements.txt", BASE))
    tip = consumer.pull_request(project("requirements.txt", HEAD))
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    plan = planned(consumer, "--event", environ=environ)
    assert reasons(plan) == [("package", "keras", "3.3.3", "3.5.0", "requirements.txt")]


def test_the_matrix_stands_beside_the_two_sides(consumer: Consumer) -> None:
    settings = SETTINGS + 'requirements: [tensorflow-cpu==2.17.1]\nmatrix: {keras: ["3.10.0", legacy]}\n'
    consumer.start({**project("requirements.txt", BASE), "validator.yml": settings})
    consumer.commit(project("requirements.txt", HEAD))
    plan = planned(consumer, "--base", "HEAD^")
    assert [one["name"] for one in plan["environments"]] == ["base", "head", "keras-3.10.0", "legacy"]
    assert {cell["cell"] for cell in plan["cells"]} == {
        *("tiny@base", "tiny@head", "tiny@keras-3.10.0", "tiny@legacy")
    }
    assert "tensorflow-cpu==2.17.1" in requirements(plan, "base")


def test_outputs_that_cannot_be_written_cost_no_result(consumer: Consumer) -> None:
    consumer.start({**project("requirements.txt", BASE), "README.md": "one\n"})
    tip = consumer.pull_request({"README.md": "two\n"})
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    environ["GITHUB_OUTPUT"] = str(consumer.folder.parent)
    done = consumer.run("run", "--event", environ=environ)
    assert (done.returncode, consumer.report()["verdict"]) == (0, "pass")
    assert "::warning::The step's outputs cannot be written" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_where_nothing_relevant_changed_nothing_is_run(consumer: Consumer) -> None:
    consumer.start({**project("requirements.txt", BASE), "README.md": "one\n"})
    tip = consumer.pull_request({"README.md": "two\n"})
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    done = consumer.run("run", "--event", environ=environ)
    assert done.returncode == 0, done.stderr
    report = consumer.report()
    assert (report["verdict"], report["models"], report["environments"]) == ("pass", [], [])
    (reason,) = report["upgrade"].pop("reasons")
    assert reason["kind"] == "irrelevant"
    assert report["upgrade"] == {"asked": [], "changes": [], "relevant": False, "source": ""}
    assert report["commit"] == tip
    assert not (consumer.folder / ".keras-validator" / "environments").exists()
    told = outputs(Path(environ["GITHUB_OUTPUT"]))
    assert (told["verdict"], told["relevant"], told["unchanged"]) == ("pass", "false", "false")
    assert report["workflow_run"] == {"id": 77, "attempt": 1}
    assert Path(told["report"]).is_file()
    assert json.loads(told["json"])["reasons"] == [reason["message"] for reason in report["reasons"]]
    assert "nothing relevant changed" in Path(environ["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")


def test_an_own_package_is_relevant_when_the_settings_say_so(consumer: Consumer) -> None:
    files = {"requirements.txt": "keras==3.5.0\niniconfig==2.0.0\nsix==1.16.0\n"}
    consumer.start({**files, "validator.yml": SETTINGS + "upgrade: {relevant: [ini*]}\n"})
    consumer.commit({"requirements.txt": files["requirements.txt"].replace("six==1.16.0", "six==1.17.0")})
    assert planned(consumer, "--base", "HEAD^")["upgrade"]["relevant"] is False
    consumer.commit({"requirements.txt": files["requirements.txt"].replace("fig==2.0.0", "fig==2.1.0")})
    assert planned(consumer, "--base", "HEAD^")["upgrade"]["relevant"] is True


def test_a_scheduled_run_is_a_run_of_the_matrix(consumer: Consumer) -> None:
    consumer.start({"validator.yml": SETTINGS + 'matrix: {keras: ["3.3.3", "3.5.0"]}\n'})
    environ = consumer.actions("schedule", {"schedule": "17 3 * * *"})
    plan = planned(consumer, "--event", environ=environ)
    assert plan["upgrade"] is None
    assert plan["baseline"] == "keras-3.3.3"


def test_a_scheduled_run_compares_with_a_base_that_it_is_given(consumer: Consumer) -> None:
    consumer.start(project("requirements.txt", BASE))
    pushed = consumer.git("rev-parse", "HEAD")
    environ = consumer.actions("schedule", {"schedule": "17 3 * * *"})
    consumer.commit(project("requirements.txt", HEAD), "Nightly")
    plan = planned(consumer, "--event", environ={**environ, "KERAS_VALIDATOR_BASE": "HEAD^"})
    assert reasons(plan) == [("package", "keras", "3.3.3", "3.5.0", "requirements.txt")]
    assert environ["GITHUB_SHA"] == pushed


def test_two_revisions_are_compared_as_they_are(consumer: Consumer) -> None:
    consumer.start(project("requirements.txt", "3.1.0"))
    for version in (BASE, HEAD, "3.10.0"):
        consumer.commit(project("requirements.txt", version))
    plan = planned(consumer, "--base", "HEAD~2", "--head", "HEAD~1")
    assert reasons(plan) == [("package", "keras", "3.3.3", "3.5.0", "requirements.txt")]


def test_without_any_framework_the_matrix_stands_alone(consumer: Consumer) -> None:
    consumer.start({"requirements.txt": "numpy==1.26.3\n"})
    consumer.commit({"requirements.txt": "numpy==1.26.4\n"})
    done = consumer.run("plan", "--base", "HEAD^")
    assert done.returncode == 2
    assert "upgrade.manifests" in done.stderr
    consumer.commit(
        {
            "requirements.txt": "numpy==1.26.3\n",
            "validator.yml": SETTINGS + 'matrix: {keras: ["3.3.3", "3.5.0"]}\n',
        }
    )
    plan = planned(consumer, "--base", "HEAD^")
    assert [one["name"] for one in plan["environments"]] == ["keras-3.3.3", "keras-3.5.0"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--head", "HEAD"], "--head needs --base"),
        (["--base", "nowhere"], "nowhere"),
        (["--base", "--upload-pack=x"], "--upload-pack=x"),
        (["--event"], "GITHUB_"),
        (["--event", "--head", "HEAD"], "--head cannot be combined with --event"),
    ],
)
def test_what_cannot_be_compared_is_said(consumer: Consumer, arguments: list[str], said: str) -> None:
    consumer.start(project("requirements.txt", BASE))
    done = consumer.run("run", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_a_repository_it_is_said(consumer: Consumer) -> None:
    consumer.write({"validator.yml": SETTINGS, "model.py": ""})
    done = consumer.run("run", "--base", "HEAD^")
    assert done.returncode == 2
    assert "not a git repository" in done.stderr


@pytest.mark.parametrize("payload", ["", "[]", "{", '{"pull_request": 7}', '{"pull_request": {"number": 7}}'])
def test_an_event_that_is_none_is_refused(consumer: Consumer, payload: str) -> None:
    consumer.start(project("requirements.txt", BASE))
    environ = consumer.actions("pull_request", {})
    Path(environ["GITHUB_EVENT_PATH"]).write_text(payload, encoding="utf-8")
    done = consumer.run("run", "--event", environ=environ)
    assert done.returncode == 2
    assert "event" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_cannot_begin_leaves_a_report_that_says_so(consumer: Consumer) -> None:
    consumer.start(project("requirements.txt", BASE))
    stale = consumer.folder / ".keras-validator" / "run" / "report.json"
    stale.parent.mkdir(parents=True)
    stale.write_text('{"verdict": "pass"}', encoding="utf-8")
    tip = consumer.pull_request({**project("requirements.txt", HEAD), "validator.yml": "version: 1\n"})
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    done = consumer.run("run", "--event", environ=environ)
    assert done.returncode == 2
    report = consumer.report()
    assert report["verdict"] == "inconclusive"
    assert report["commit"] == tip
    assert "'models' is missing" in str(report["reasons"])
    assert outputs(Path(environ["GITHUB_OUTPUT"]))["verdict"] == "inconclusive"
    assert "::error title=Keras upgrade%3A inconclusive::" in done.stdout


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_warns_of_a_token_in_the_checkout(consumer: Consumer, kept: bool) -> None:
    consumer.start({**project("requirements.txt", BASE), "README.md": "one\n"})
    tip = consumer.pull_request({"README.md": "two\n"})
    if kept:
        consumer.git("config", "--local", "http.https://github.com/.extraheader", "AUTHORIZATION: basic eDp5")
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    done = consumer.run("run", "--event", environ=environ)
    assert done.returncode == 0
    assert ("`persist-credentials: false`" in done.stdout) is kept


def test_what_a_manifest_says_cannot_speak_to_the_runner(consumer: Consumer) -> None:
    consumer.start(project("requirements.txt", BASE))
    tip = consumer.pull_request({"requirements.txt": "keras==3.5.0\n::set-output name=verdict::pass\n"})
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    done = consumer.run("run", "--event", environ=environ)
    assert done.returncode == 2
    lines = (done.stdout + done.stderr).splitlines()
    assert not [line for line in lines if line.startswith("::set-output")]


SECOND = SETTINGS + "  - {name: second, builder: 'model:build', inputs: inputs.npy}\n"


@pytest.mark.parametrize(
    ("before", "after", "kind", "text"),
    [
        (SETTINGS, SECOND, "model-added", "second is new: it has no earlier version to compare with"),
        (SECOND, SETTINGS, "model-removed", "second is no longer in validator.yml, so it was not compared"),
    ],
)
def test_a_model_that_comes_or_goes_is_a_warning(
    consumer: Consumer, before: str, after: str, kind: str, text: str
) -> None:
    consumer.start({**project("requirements.txt", BASE), "validator.yml": before})
    tip = consumer.pull_request({"validator.yml": after})
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    done = consumer.run("run", "--event", environ=environ)
    assert done.returncode == 0, done.stderr
    report = consumer.report()
    assert report["verdict"] == "warn"
    assert [(reason["kind"], reason["model"]) for reason in report["reasons"]] == [(kind, "second")]
    assert report["reasons"][0]["message"] == text
    assert "new or gone" in Path(environ["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("keras", [BASE, HEAD])
def test_a_changed_builder_is_planned_from_both_commits(consumer: Consumer, keras: str) -> None:
    consumer.start(project("requirements.txt", BASE))
    consumer.commit({**project("requirements.txt", keras), "model.py": "def build(): ...\n"})
    plan = planned(consumer, "--base", "HEAD^")
    assert ("model", "tiny") in [(each["kind"], each.get("model")) for each in plan["upgrade"]["reasons"]]
    names = ["base-files", "head"] if keras == BASE else ["base-files", "base", "head"]
    assert [environment["name"] for environment in plan["environments"]] == names


def test_the_base_is_compared_in_a_shallow_clone_of_two_commits(consumer: Consumer, tmp_path: Path) -> None:
    consumer.start(project("requirements.txt", BASE))
    consumer.commit({"note": "1"})
    tip = consumer.pull_request({"model.py": "def build(): ...\n"})
    event = consumer.pull_request_event(tip)
    clone = Consumer(tmp_path / "shallow")
    clone.git("clone", "--quiet", "--depth", "2", f"file://{consumer.folder}", ".")
    environ = clone.actions("pull_request", event)
    plan = planned(clone, "--event", environ=environ)
    assert [reason["kind"] for reason in plan["upgrade"]["reasons"]] == ["model"]

"""A canary of the project itself, by the command line in real repositories. Nothing is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.action.conftest import SETTINGS, Consumer, outputs
from tests.action.test_pull_request import planned

#: As of this day there are Keras 3.5.0, nightly builds, and a release candidate of TensorFlow 2.18.
DAY = SETTINGS + "install: {exclude_newer: '2024-10-20'}\n"
LINES = "keras==3.3.3\ntensorflow-cpu==2.17.0\nnumpy==1.26.4\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Consumer:
    made = Consumer(tmp_path_factory.mktemp("canary") / "widget")
    made.start({"requirements.txt": LINES, "validator.yml": DAY})
    return made


def requirements(plan: dict[str, Any], name: str) -> dict[str, str]:
    """The versions that an environment is held to."""
    own = next(one for one in plan["environments"] if one["name"] == name)
    pins = (line.split("==") for line in (*own["requirements"], *own["constraints"]) if "==" in line)
    return {pin[0]: pin[1] for pin in pins}


def test_a_release_takes_the_place_of_the_projects_own(project: Consumer) -> None:
    plan = planned(project, "--with", "keras==3.5.0")
    base, head = requirements(plan, "base"), requirements(plan, "head")
    assert (base.pop("keras"), head.pop("keras")) == ("3.3.3", "3.5.0")
    assert base == head  # all packages, also those that nobody names
    assert {"h5py", "numpy", "tensorflow-cpu"} <= base.keys()
    upgrade = plan["upgrade"]
    assert (upgrade["relevant"], upgrade["asked"]) == (True, ["keras==3.5.0"])
    assert [(one["name"], one["old"], one["new"]) for one in upgrade["changes"]] == [
        ("keras", "3.3.3", "3.5.0")
    ]
    assert [cell["cell"] for cell in plan["cells"]] == ["tiny@base", "tiny@head"]


def test_what_the_resolver_moves_beside_it_is_reported(project: Consumer) -> None:
    plan = planned(project, "--with", "tensorflow-cpu", "--pre")
    reasons = {one["name"]: one for one in plan["upgrade"]["reasons"]}
    assert reasons["tensorflow-cpu"]["new"] == "2.18.0rc2"
    assert not reasons["tensorflow-cpu"]["beside"]
    keras = reasons["keras"]  # 2.18 needs 3.5 or newer, so the exact pin of the project gives way
    assert (keras["old"], keras["new"], keras["beside"]) == ("3.3.3", "3.6.0", True)
    head = next(one for one in plan["environments"] if one["name"] == "head")
    assert any(line.startswith("keras-nightly ;") for line in head["overrides"])  # it would lie over keras


def test_a_nightly_build_is_another_distribution_of_the_same_module(project: Consumer) -> None:
    plan = planned(project, "--with", "keras-nightly")
    head = next(one for one in plan["environments"] if one["name"] == "head")
    assert requirements(plan, "head").keys() >= {"keras-nightly"}
    assert "keras" not in requirements(plan, "head")
    assert any(line.startswith("keras ;") for line in head["overrides"])
    (reason,) = plan["upgrade"]["reasons"]
    assert (reason["name"], reason["instead"]) == ("keras-nightly", "keras 3.3.3")


def test_a_lock_keeps_its_versions_and_the_ranges_it_was_made_from(consumer: Consumer) -> None:
    locked = {"keras": "3.3.3", "numpy": "1.26.3", "rich": "13.7.0"}
    default = {name: {"version": f"=={version}"} for name, version in locked.items()}
    files = {
        "Pipfile": '[packages]\nkeras = "==3.3.3"\nnumpy = "<1.26.4"\n',
        "Pipfile.lock": json.dumps({"_meta": {"pipfile-spec": 6}, "default": default, "develop": {}}),
    }
    consumer.start({**files, "validator.yml": DAY})
    head = requirements(planned(consumer, "--with", "keras==3.5.0"), "head")
    assert (head["keras"], head["numpy"], head["rich"]) == ("3.5.0", "1.26.3", "13.7.0")
    moved = requirements(planned(consumer, "--with", "numpy==1.26.4"), "head")
    assert (moved["keras"], moved["numpy"]) == (
        "3.3.3",
        "1.26.4",
    )  # what is asked for wins over its own range
    done = consumer.run("plan", "--with", "h5py==2.10.0")  # no wheel for this Python
    assert done.returncode == 2, done.stderr
    done = consumer.run("run", "--with", "keras @ https://example.invalid/keras-3.5.0-py3-none-any.whl")
    assert done.returncode == 3, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--with", "keras==99"],
            2,
            "keras==99 is not to be had for this project: Because there is no version",
        ),
        (["--with", "keras", "--base", "HEAD"], 2, "--with cannot be combined with --base"),
        (["--pre", "--base", "HEAD"], 2, "--pre cannot be combined with --base"),
        (["--with", "kerass"], 2, "does not install kerass"),
        (["--with", "keras=3"], 2, "cannot be read"),
    ],
)
def test_what_cannot_be_moved_is_refused(
    project: Consumer, arguments: list[str], code: int, message: str
) -> None:
    done = project.run("run", *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "--base" in arguments or project.report()["verdict"] == "inconclusive"


def test_requirements_that_contradict_each_other_are_inconclusive(project: Consumer) -> None:
    asked = ("--with", "ml-dtypes==0.5.0", "--with", "tensorflow-cpu==2.17.0")  # which needs ml-dtypes<0.5
    done = project.run("run", *asked)
    assert done.returncode == 3, done.stderr
    assert (
        "requirements with ml-dtypes==0.5.0, tensorflow-cpu==2.17.0 cannot be resolved: Because"
        in done.stderr
    )
    assert project.report()["verdict"] == "inconclusive"


def test_what_the_project_already_has_is_a_pass(project: Consumer) -> None:
    environ = project.actions("schedule", {"schedule": "17 3 * * *"})
    done = project.run("run", "--event", environ={**environ, "KERAS_VALIDATOR_WITH": "keras==3.3.3 numpy<2"})
    assert done.returncode == 0, done.stderr
    report = project.report()
    assert (report["verdict"], report["models"]) == ("pass", [])
    (reason,) = report["reasons"]
    assert reason["message"] == (
        "the project already installs keras 3.3.3 and numpy 1.26.4, so there is nothing to compare"
    )
    assert report["commit"] == project.git("rev-parse", "HEAD")
    assert outputs(Path(environ["GITHUB_OUTPUT"]))["relevant"] == "false"


def test_an_event_that_compares_commits_refuses_a_canary(project: Consumer) -> None:
    head = project.git("rev-parse", "HEAD")
    environ = project.actions("push", {"before": head, "after": head, "ref": "refs/heads/main"})
    done = project.run("run", "--event", environ={**environ, "KERAS_VALIDATOR_PRE": "true"})
    assert done.returncode == 2
    assert "this event compares two commits" in done.stderr


def test_a_package_of_nobody_else_runs_because_it_is_asked_for(project: Consumer) -> None:
    done = project.run("plan", "--json", "--with", "rich==13.7.0")
    plan = json.loads(done.stdout)
    assert plan["upgrade"]["relevant"] is True

"""The real uv: ranges resolved as of an instant, locks that it wrote, and failures in its own words."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import uv as uv_package
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.upgrade.conftest import Repo
from validator.environments import Uv, UvInstaller
from validator.environments.installer import versions
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.upgrade import Index, Options, Requirements, Trigger, detect
from validator.upgrade.types import PackageReason

THEN = "2022-01-01T00:00:00Z"


@pytest.fixture
def uv() -> Uv:
    return Uv.bundled(os.environ)


@pytest.fixture
def installer(uv: Uv) -> UvInstaller:
    return UvInstaller(uv)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.git("init", "--quiet", "-b", "main")
    return made


def test_an_instant_decides_which_release_is_the_newest(installer: UvInstaller) -> None:
    wanted = Requirements(requirements=("iniconfig",), python="3.11")

    assert installer.resolve(wanted, THEN) == {"iniconfig": "1.1.1"}
    assert installer.resolve(wanted, "2023-06-01T00:00:00Z") == {"iniconfig": "2.0.0"}


def test_constraints_and_markers_count(installer: UvInstaller) -> None:
    wanted = Requirements(
        requirements=("iniconfig", 'six ; python_version < "3"'),
        constraints=("iniconfig<1.1",),
        python="3.11",
    )

    assert installer.resolve(wanted, THEN) == {"iniconfig": "1.0.1"}


def test_a_version_that_does_not_exist_is_a_failure_in_uvs_words(installer: UvInstaller) -> None:
    failure = installer.resolve(Requirements(requirements=("iniconfig>=99",), python="3.11"), THEN)

    assert isinstance(failure, Failure)
    assert (failure.stage, failure.error) == ("resolve", "uv")
    assert "iniconfig" in failure.message
    assert failure.message.startswith("No solution found when resolving dependencies: Because ")
    assert failure.message.endswith("your requirements are unsatisfiable.")
    assert failure.hint == "requirements"


def test_an_index_that_is_an_option_stays_a_value_and_its_credentials_are_not_told(
    installer: UvInstaller,
) -> None:
    for url in ("--config-file=/etc/passwd", "http://user:secret@127.0.0.1:9/simple"):
        failure = installer.resolve(
            Requirements(requirements=("iniconfig",), index=Index(index_url=url)), THEN
        )
        assert isinstance(failure, Failure)
        assert "secret" not in failure.message + failure.log


def test_a_uv_that_is_not_there_or_takes_too_long_is_a_failure(uv: Uv) -> None:
    requirements = Requirements(requirements=("iniconfig",))

    missing = UvInstaller(replace(uv, binary="/nowhere/uv")).resolve(requirements, THEN)
    slow = UvInstaller(uv, seconds=0.001).resolve(requirements, THEN)

    assert isinstance(missing, Failure)
    assert "cannot be started" in missing.message
    assert isinstance(slow, Failure)
    assert "did not finish" in slow.message


def test_a_resolver_sees_no_token(tmp_path: Path) -> None:
    fake = tmp_path / "uv"
    fake.write_text("#!/bin/sh\nenv > " + str(tmp_path / "seen") + "\necho keras==3.5.0\n")
    fake.chmod(0o755)
    environ = {
        "PATH": os.environ["PATH"],
        "GITHUB_TOKEN": "s3cret",
        "INPUT_TOKEN": "s3cret",
        "ACTIONS_RUNTIME_TOKEN": "s3cret",
        "HF_TOKEN": "s3cret",
        "UV_PUBLISH_TOKEN": "s3cret",
        "DATABASE": "s3cret",
        "https_proxy": "http://proxy.example.com",
        "UV_CACHE_DIR": "/c",
    }

    hidden = replace(Uv.bundled(environ), binary=str(fake))
    assert UvInstaller(hidden).resolve(Requirements(), THEN) == {"keras": "3.5.0"}
    seen = (tmp_path / "seen").read_text()
    assert "s3cret" not in seen
    assert "UV_CACHE_DIR" in seen
    assert "https_proxy" in seen


def test_compiled_lines() -> None:
    lines = [
        "# made by uv",
        "keras==3.5.0  # via",
        "Numpy==1.26.4 ; python_version > '3'",
        "a @ https://x/a.whl",
        "-e .",
    ]
    assert versions("\n".join(lines)) == {"keras": "3.5.0", "numpy": "1.26.4"}


def test_a_pull_request_with_ranges_through_the_real_uv(repo: Repo, installer: UvInstaller) -> None:
    repo.commit({"requirements.txt": "iniconfig<1.1\n"})
    repo.pull_request({"requirements.txt": "iniconfig>=1\n"})
    named = ("base", "head")
    options = Options(exclude_newer=THEN, python="3.11", relevant=("iniconfig",), named=named)

    found = detect(repo.folder, Trigger(event="pull_request"), options, installer)

    assert [(change.old, change.new) for change in found.upgrade.changes] == [("1.0.1", "1.1.1")]
    assert found.upgrade.reasons == (
        PackageReason(name="iniconfig", old="1.0.1", new="1.1.1", manifest="requirements.txt"),
    )


@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_what_a_lock_installs_is_what_uv_exports_of_the_project(
    repo: Repo, installer: UvInstaller, python: str
) -> None:
    """uv's export of the whole project is the oracle: forks, extras, markers on the way, and a group."""
    repo.write(
        {
            "pyproject.toml": '[project]\nname = "demo"\nversion = "0.1"\nrequires-python = ">=3.10"\n'
            "dependencies = [\"six<1.16; python_version<'3.11'\", \"six; python_version>='3.11'\", "
            '"coverage[toml]", "pytest", "colorama; sys_platform==\'win32\'"]\n'
            '[dependency-groups]\nml = ["packaging"]\n'
        }
    )
    base = _uv(repo.folder, "lock", "--quiet", "--exclude-newer", "2024-01-01T00:00:00Z")
    assert base == ""
    repo.commit({})
    repo.pull_request({"uv.lock": (repo.folder / "uv.lock").read_text() + "\n"})
    exported = _uv(
        repo.folder,
        "export",
        "--frozen",
        "--no-hashes",
        "--no-emit-project",
        "--no-header",
        "--no-annotate",
        "--only-group=ml",
    ) + _uv(
        repo.folder,
        "export",
        "--frozen",
        "--no-hashes",
        "--no-emit-project",
        "--no-header",
        "--no-annotate",
        "--no-dev",
    )
    machine = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    expected = set()
    for line in filter(None, exported.splitlines()):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(machine):
            expected.add(f"{requirement.name}{requirement.specifier}")

    found = detect(
        repo.folder,
        Trigger(event="pull_request"),
        Options(python=python, groups=("ml",), relevant=("pytest",)),
        installer,
    )

    assert {text.partition(";")[0].strip() for text in found.head.requirements} == expected


def _uv(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [uv_package.find_uv_bin(), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WORKSPACE = {
    "pyproject.toml": """[project]
name = "root"
version = "0.1"
requires-python = ">=3.10"
dependencies = ["six==1.16.0", "lib", "own"]
[project.optional-dependencies]
old = ["iniconfig==1.1.1"]
new = ["iniconfig==2.0.0"]
[dependency-groups]
dev = ["packaging==24.1"]
[tool.uv]
conflicts = [[{extra = "old"}, {extra = "new"}]]
[tool.uv.workspace]
members = ["packages/*"]
[tool.uv.sources]
lib = {workspace = true}
own = {path = "tools/own"}
""",
    "packages/lib/pyproject.toml": """[project]
name = "lib"
version = "0"
requires-python = ">=3.10"
dependencies = ["pluggy==1.5.0", "colorama==0.4.6; sys_platform == 'win32'"]
[project.optional-dependencies]
more = ["idna==3.10"]
""",
    "tools/own/pyproject.toml": """[project]
name = "own"
version = "0"
requires-python = ">=3.10"
dependencies = ["attrs==24.2.0"]
""",
}
PLAIN = {"six==1.16.0", "pluggy==1.5.0", "attrs==24.2.0"}


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (Options(), set()),
        (Options(extras=("old",)), {"iniconfig==1.1.1"}),
        (
            Options(extras=("new", "more"), groups=("dev",)),
            {"iniconfig==2.0.0", "idna==3.10", "packaging==24.1"},
        ),
    ],
)
def test_a_workspace_with_extras_that_conflict(
    repo: Repo, installer: UvInstaller, options: Options, more: set[str]
) -> None:
    repo.write(WORKSPACE)
    _uv(repo.folder, "lock", "--quiet", "--exclude-newer", "2025-01-01T00:00:00Z")
    repo.commit({})
    repo.pull_request({"uv.lock": (repo.folder / "uv.lock").read_text() + "\n"})

    options = options.model_copy(update={"python": "3.11", "manifests": ("uv.lock",)})
    side = detect(repo.folder, Trigger(event="pull_request"), options, installer).head

    assert {text.partition(";")[0].strip() for text in side.requirements} == PLAIN | more


def test_a_project_that_is_only_groups(repo: Repo, installer: UvInstaller) -> None:
    repo.write({"pyproject.toml": '[dependency-groups]\nml = ["six==1.16.0"]\ndocs = ["idna==3.10"]\n'})
    _uv(repo.folder, "lock", "--quiet", "--exclude-newer", "2025-01-01T00:00:00Z")
    repo.commit({})
    repo.pull_request({"uv.lock": (repo.folder / "uv.lock").read_text() + "\n"})

    options = Options(python="3.11", groups=("ml",), manifests=("uv.lock",))
    side = detect(repo.folder, Trigger(event="pull_request"), options, installer).head

    assert side.requirements == ("six==1.16.0",)


def test_a_lock_that_uv_cannot_export_is_refused_in_uvs_words(repo: Repo, installer: UvInstaller) -> None:
    lock = 'version = 1\n[[package]]\nname = "demo"\nversion = "0"\nsource = { virtual = "." }\n'
    lock += 'dependencies = [{ name = "keras" }]\n[[package]]\nname = "keras"\nversion = "3.5.0"\n'
    repo.commit({"uv.lock": lock})
    repo.pull_request({"uv.lock": lock + "\n"})

    with pytest.raises(ConfigurationError, match=r"uv\.lock@base: uv cannot export this lock: .+uv lock"):
        detect(repo.folder, Trigger(event="pull_request"), Options(), installer)

"""The real uv: ranges resolved as of an instant, locks that it wrote, and failures in its own words."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import uv
from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.upgrade.conftest import Repo
from validator.results import Failure
from validator.upgrade import Event, Index, Options, Requirements, UvResolver, Wanted, detect
from validator.upgrade.resolver import versions

THEN = "2022-01-01T00:00:00Z"


@pytest.fixture
def resolver() -> UvResolver:
    return UvResolver(environ=os.environ)


def test_an_instant_decides_which_release_is_the_newest(resolver: UvResolver) -> None:
    wanted = Requirements(requirements=("iniconfig",), python="3.11")

    assert resolver(wanted, THEN) == {"iniconfig": "1.1.1"}
    assert resolver(wanted, "2023-06-01T00:00:00Z") == {"iniconfig": "2.0.0"}


def test_constraints_and_markers_count(resolver: UvResolver) -> None:
    wanted = Requirements(
        requirements=("iniconfig", 'six ; python_version < "3"'),
        constraints=("iniconfig<1.1",),
        python="3.11",
    )

    assert resolver(wanted, THEN) == {"iniconfig": "1.0.1"}


def test_a_version_that_does_not_exist_is_a_failure_in_uvs_words(resolver: UvResolver) -> None:
    failure = resolver(Requirements(requirements=("iniconfig>=99",), python="3.11"), THEN)

    assert isinstance(failure, Failure)
    assert (failure.stage, failure.error) == ("resolve", "uv")
    assert "iniconfig" in failure.message
    assert "unsatisfiable" in failure.message


def test_an_index_that_is_an_option_stays_a_value_and_its_credentials_are_not_told(
    resolver: UvResolver,
) -> None:
    for url in ("--config-file=/etc/passwd", "http://user:secret@127.0.0.1:9/simple"):
        failure = resolver(Requirements(requirements=("iniconfig",), index=Index(index_url=url)), THEN)
        assert isinstance(failure, Failure)
        assert "secret" not in failure.message + failure.log


def test_a_uv_that_is_not_there_or_takes_too_long_is_a_failure() -> None:
    wanted = Requirements(requirements=("iniconfig",))

    missing = UvResolver(environ=os.environ, binary="/nowhere/uv")(wanted, THEN)
    slow = UvResolver(environ=os.environ, seconds=0.001)(wanted, THEN)

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
        "UV_CACHE_DIR": "/c",
    }

    assert UvResolver(environ=environ, binary=str(fake))(Requirements(), THEN) == {"keras": "3.5.0"}
    seen = (tmp_path / "seen").read_text()
    assert "s3cret" not in seen
    assert "UV_CACHE_DIR" in seen


def test_compiled_lines() -> None:
    lines = [
        "# made by uv",
        "keras==3.5.0  # via",
        "Numpy==1.26.4 ; python_version > '3'",
        "a @ https://x/a.whl",
        "-e .",
    ]
    assert versions(lines) == {"keras": "3.5.0", "numpy": "1.26.4"}


def test_a_pull_request_with_ranges_through_the_real_uv(repo: Repo, resolver: UvResolver) -> None:
    repo.commit({"requirements.txt": "iniconfig<1.1\n"})
    repo.pull_request({"requirements.txt": "iniconfig>=1\n"})
    options = Options(exclude_newer=THEN, wanted=Wanted(python="3.11"), relevant=("iniconfig",))

    found = detect(repo.folder, Event(name="pull_request"), options, resolver)

    assert [(change.old, change.new) for change in found.upgrade.changes] == [("1.0.1", "1.1.1")]
    assert found.reasons == ("iniconfig 1.0.1 → 1.1.1 in requirements.txt",)


@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_what_a_lock_installs_is_what_uv_exports(repo: Repo, python: str) -> None:
    """uv's own export is the oracle: forks, extras, markers on the way, and a group."""
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
        Event(name="pull_request"),
        Options(wanted=Wanted(python=python, groups=("ml",)), relevant=("pytest",)),
    )

    assert {text.partition(" ;")[0] for text in found.head.requirements} == expected


def _uv(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [uv.find_uv_bin(), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

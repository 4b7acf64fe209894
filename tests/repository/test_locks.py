"""The committed locks hold what pyproject.toml asks for, by hash, and nothing of the machine that wrote."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pip_requirements_parser import InstallRequirement, RequirementsFile

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = [text for extra in PROJECT["project"]["optional-dependencies"].values() for text in extra]
DEVELOPMENT = [*RUNTIME, *EXTRAS, *PROJECT["dependency-groups"]["dev"]]
LOCKS = {
    "requirements.lock": RUNTIME,
    "requirements-extras.lock": [*RUNTIME, *EXTRAS],
    "requirements-dev.lock": DEVELOPMENT,
}
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@cache
def pins(name: str) -> list[InstallRequirement]:
    """The pins of a lock."""
    parsed = RequirementsFile.from_file(str(ROOT / name))
    assert not parsed.invalid_lines
    return parsed.requirements


def environment(python: str) -> dict[str, str]:
    """What a marker sees on Linux with that Python."""
    full = f"{python}.0"
    return {"python_version": python, "python_full_version": full, "sys_platform": "linux"}


def holds(marker: Marker | None, python: str) -> bool:
    """Whether a requirement with this marker counts there."""
    return marker is None or marker.evaluate(environment(python))


@cache
def versions(name: str, python: str) -> dict[str, str]:
    """Package → the one version that the lock gives to that Python."""
    found: dict[str, str] = {}
    for pin in pins(name):
        if holds(pin.marker, python):
            key = canonicalize_name(pin.name)
            assert key not in found, f"{name} gives Python {python} two versions of {key}"
            found[key] = pin.get_pinned_version
    return found


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LOCKS)
def test_what_is_asked_for_is_locked(name: str, python: str) -> None:
    locked = versions(name, python)
    unmet = [
        text
        for text in LOCKS[name]
        if holds((asked := Requirement(text)).marker, python)
        and not asked.specifier.contains(locked.get(canonicalize_name(asked.name), "0"), prereleases=True)
    ]
    assert unmet == [], f"{name} is behind pyproject.toml: run `nox -s lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_is_exact_and_hashed(name: str) -> None:
    assert pins(name)
    for pin in pins(name):
        assert pin.is_pinned, pin.line
        assert pin.hash_options, f"{pin.name} has no hash"
        assert not pin.link, f"{pin.name} comes from a fixed place"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_no_place(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "nox -s lock" in text.splitlines()[1]
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize("python", PYTHONS)
def test_development_runs_what_users_run(python: str) -> None:
    development = versions("requirements-dev.lock", python)
    assert versions("requirements.lock", python).items() <= development.items()
    assert versions("requirements-extras.lock", python).items() <= development.items()


def test_every_dependency_has_its_reason() -> None:
    rows = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Dependencies")[2].splitlines()
    cells = [row.split("|")[1] for row in rows if row.startswith("| ") and not row.startswith("| package")]
    explained = {canonicalize_name(name.strip()) for cell in cells for name in cell.split(",")}
    asked = [*RUNTIME, *EXTRAS]
    assert explained == {canonicalize_name(Requirement(text).name) for text in asked}

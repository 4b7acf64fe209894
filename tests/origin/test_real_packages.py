"""Partial upgrades of real packages from the index: which one moves the numbers, since which release."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from packaging.version import Version

from tests.origin.test_real_overlays import BOUNDS, MODELS, job
from validator.config.settings import Install
from validator.environments import Overlays, Uv
from validator.matrix import Environment
from validator.origin import Budget, Case, Corners, Group, Packages, find_packages

BEFORE = {"keras": "3.14.1", "numpy": "2.3.1", "jax": "0.4.38"}
AFTER = {"keras": "3.15.1", "numpy": "2.3.3", "jax": "0.4.38"}
VARIABLES = (("KERAS_BACKEND", "jax"),)

pytestmark = [pytest.mark.environment, pytest.mark.matrix]


def side(name: str, packages: dict[str, str]) -> Environment:
    lines = tuple(f"{package}=={version}" for package, version in packages.items())
    return Environment(name, "3.11", lines, backend="jax", variables=VARIABLES)


def corners(folder: Path, builder: str) -> Corners:
    asked = job(folder / "template", builder=f"origin_models:{builder}")
    return Corners(
        case=Case("cell", "outputs", asked, (), builder, Version("3.14.1"), None),
        group=Group.between(BEFORE, AFTER),
        sides=(side("baseline", BEFORE), side("candidate", AFTER)),
        install=Install(),
        root=folder / "origin",
        pythonpath=(MODELS,),
        bounds=BOUNDS,
        budget=Budget(900),
    )


def test_one_package_is_named_with_the_release_that_moves_the_numbers(tmp_path: Path) -> None:
    with corners(tmp_path, "numpy_alone") as searched:
        packages = find_packages(searched.group, searched.observe)
        assert searched.broken == ""
        assert (packages.alone, packages.unmoved) == (("numpy",), ("keras",))
        python = searched.root / "environments" / searched.environment(frozenset()).name / "bin" / "python"
        overlays = Overlays(tmp_path / "overlays", python, Install(), Uv.bundled(os.environ))
        listed = overlays.releases("numpy")
        assert isinstance(listed, tuple)
        releases = searched.releases("numpy", listed)
    assert releases is not None
    assert releases.package == "numpy"
    assert [(each.before, each.after) for each in releases.transitions] == [("2.3.1", "2.3.2")]
    assert releases.since is not None
    assert releases.since.like == "candidate"
    assert not (searched.root / "environments").exists()


def test_two_packages_that_move_the_numbers_only_together_are_named_as_such(tmp_path: Path) -> None:
    with corners(tmp_path, "only_together") as searched:
        packages = find_packages(searched.group, searched.observe)
        assert searched.broken == ""
        assert searched.releases("numpy", [Version("2.3.2")]) is not None
    assert packages == Packages(
        packages=searched.group.packages, together=(("keras", "numpy"),), corners=4, runs=4
    )

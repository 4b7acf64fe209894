"""The requirements file of a validator.yml, read by the reader of every other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from validator.config.load import parse
from validator.config.settings import Install
from validator.errors import ConfigurationError
from validator.matrix import common_requirements, install_with, make_plan
from validator.upgrade import Requirements

MODELS = "models: [{name: m, artifact: m.keras, inputs: i.npz}]\n"


def common(folder: Path, name: str, text: str | None = None) -> Requirements:
    if text is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "requirements.txt").write_text(text)
    settings = parse(f"version: 1\nrequirements: {name}\n" + MODELS, "validator.yml")
    return common_requirements(settings, folder)


def test_a_list_is_taken_as_it_is(tmp_path: Path) -> None:
    assert common(tmp_path, "[numpy<2, six]").requirements == ("numpy<2", "six")


def test_hashes_includes_constraints_and_indexes_are_read(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("six\n")
    (tmp_path / "limits.txt").write_text("ml-dtypes<0.5\n")
    text = "-r ../base.txt\n-c ../limits.txt\n--extra-index-url https://p.example/simple\n-f wheels\n"
    text += f"numpy==1.26.4 \\\n    --hash=sha256:{'a' * 64}  # why\n"

    found = common(tmp_path / "deps", "requirements.txt", text)

    assert found.requirements == ("numpy==1.26.4", "six")
    assert found.constraints == ("ml-dtypes<0.5",)
    install = install_with(Install(find_links=("https://a.example",)), found.index)
    assert install.extra_index_urls == ("https://p.example/simple",)
    assert install.find_links == ("https://a.example", f"{tmp_path}/deps/wheels")


def test_constraints_reach_every_environment_of_the_matrix(tmp_path: Path) -> None:
    settings = parse('version: 1\nmatrix: {keras: ["3.3.3", "3.5.0"]}\n' + MODELS, "validator.yml")
    plan = make_plan(settings, Requirements(requirements=("six",), constraints=("numpy<2",)))
    assert {environment.constraints for environment in plan.environments} == {("numpy<2",)}


@pytest.mark.parametrize("name", ["requirements.txt", "../nowhere.txt"])
def test_a_file_that_does_not_exist(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        common(tmp_path, name)


@pytest.mark.parametrize("line", ["./layers", "-e .", "keras=3", "--no-such-option", "-r gone.txt"])
def test_a_line_that_cannot_be_used_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"requirements\.txt"):
        common(tmp_path, "requirements.txt", f"six\n{line}\n")


def test_a_file_outside_the_folder_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")
    (tmp_path / "ml").mkdir()
    assert common(tmp_path / "ml", "../requirements.txt").requirements == ("six",)

"""What a kept result of a search depends on."""

from __future__ import annotations

from pathlib import Path

from validator.pipeline.origins import identity
from validator.runner import Job


def test_every_python_file_of_the_project_counts_but_those_of_environments(tmp_path: Path) -> None:
    job = Job(
        id="m@e",
        folder="",
        artifact=None,
        builder="model:build",
        builder_arguments={},
        weights=None,
        custom_objects=(),
        safe_mode=True,
        compile=True,
        signature="",
        variant={},
        inputs="",
        labels=None,
        batch_size=1,
        evaluate=False,
        environment="e",
    )
    (tmp_path / "model.py").write_text("import shared.parts")
    (tmp_path / "shared").mkdir()
    for folder in (".cache", "venv"):
        (tmp_path / folder).mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    before = identity(job, tmp_path)
    for elsewhere in (".cache", "venv"):
        (tmp_path / elsewhere / "parts.py").write_text("FACTOR = 1")
        assert identity(job, tmp_path) == before
    (tmp_path / "shared" / "parts.py").write_text("FACTOR = 2")  # `model` imports it, validator.yml does not
    assert identity(job, tmp_path) != before

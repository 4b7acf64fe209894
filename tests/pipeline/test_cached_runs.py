"""A run that finds an earlier one in a cache: what did not change does not run; nothing wrong survives."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.small_project import CONFIG, write_project
from validator.pipeline.jobs import JobMaker
from validator.pipeline.project import open_project
from validator.pipeline.restoring import Restoring, _unpinned, store_in
from validator.pipeline.rounds import predictions
from validator.pipeline.run import clear
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.validate import Run, validate
from validator.runner import Machine, Marks, Watcher
from validator.verdict.results import Report

pytestmark = pytest.mark.environment

BOTH = {"same@keras-3.3.3", "same@keras-3.5.0"}


@dataclass
class Kept:
    """The project, with one model, in git; its cache."""

    folder: Path

    def commit(self) -> None:
        git = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b"]
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "x"]):
            subprocess.run([*git, *arguments], check=True)

    def run(self) -> Report:
        """Run with the cache; `started` has the environments in which something was installed or ran."""
        folder = RunFolder(self.folder / "run")
        clear(folder)
        self.started: set[str] = set()
        watcher = replace(Watcher(), environment=lambda name, _: self.started.add(name))
        project = open_project(self.folder / "validator.yml")
        return validate(Run(project, folder, 2, watcher, cache=self.folder / "kept"))

    def keys(self) -> dict[str, str | None]:
        """The key of each prediction."""
        project, folder = open_project(self.folder / "validator.yml"), RunFolder(self.folder / "run")
        maker = JobMaker(project, folder)
        marks = Marks(folder.ended(), Machine.this())
        pool = Run(project, folder, 1, Watcher()).pool()
        restoring = Restoring(pool, project, folder, marks, store_in(self.folder / "kept"))
        return {job.id: restoring.key(job) for job in predictions(maker)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("cached")
    write_project(folder)
    lines = [line for line in CONFIG.splitlines() if "name: moved" not in line and "name: lost" not in line]
    (folder / "validator.yml").write_text("\n".join(lines) + "\n")
    (folder / ".gitignore").write_text(".keras-validator\nrun\nkept\n")
    made = Kept(folder)
    made.commit()
    report = made.run()
    assert report.restored == ()
    assert made.started == {"keras-3.3.3", "keras-3.5.0"}
    return made


def cell(report: Report) -> str:
    ((only,),) = [model.cells for model in report.models]
    return only.verdict


def test_what_did_not_change_is_not_even_installed(kept: Kept) -> None:
    report = kept.run()
    assert {each.cell for each in report.restored} == BOTH
    assert kept.started == set()
    assert not any(each.verified for each in report.restored)  # identical: there is nothing to doubt
    assert (report.verdict, cell(report)) == ("pass", "identical")
    assert [each.keras for each in report.environments] == ["keras 3.3.3", "keras 3.5.0"]
    assert report.cache_notes == ()


def test_an_unchanged_baseline_is_restored_beside_a_candidate_that_runs(kept: Kept) -> None:
    for path in (kept.folder / "kept").iterdir():
        if b"same@keras-3.5.0" in zipfile.ZipFile(path).read("files/response.json"):
            path.unlink()
    report = kept.run()
    assert {each.cell for each in report.restored} == {"same@keras-3.3.3"}
    assert kept.started == {"keras-3.5.0"}
    assert (report.verdict, cell(report)) == ("pass", "identical")


def test_a_baseline_that_is_not_what_it_gives_now_is_found_and_runs_again(kept: Kept) -> None:
    for path in (kept.folder / "kept").iterdir():
        if b"same@keras-3.3.3" in zipfile.ZipFile(path).read("files/response.json"):
            forge(path)
    report = kept.run()
    assert {each.cell for each in report.restored} == {"same@keras-3.5.0"}
    assert (report.verdict, cell(report)) == ("pass", "identical")
    assert report.cache_notes == (
        "a batch of same@keras-3.3.3 differs from what was kept, so keras-3.3.3 ran again",
    )
    assert {each.cell for each in kept.run().restored} == BOTH  # and was kept anew


def forge(path: Path, predictions: bytes = b"") -> None:
    """Other predictions, with digests that are right."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.startswith("files/outputs/"))
    values = np.load(io.BytesIO(members[name]))
    written = io.BytesIO()
    np.save(written, values + np.float32(1))
    members[name] = predictions or written.getvalue()
    entry = json.loads(members["entry.json"])
    entry["files"][name.removeprefix("files/")] = hashlib.sha256(members[name]).hexdigest()
    members["entry.json"] = json.dumps(entry).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)


def test_what_turns_out_stale_beside_a_training_is_measured(tmp_path: Path) -> None:
    """Restored, both sides are the same; what the candidate really gives is not, and no rounding either."""
    write_project(tmp_path)
    lines = [line for line in CONFIG.splitlines() if "name: lost" not in line]
    (tmp_path / "validator.yml").write_text("\n".join(lines) + "\n")
    (tmp_path / ".gitignore").write_text(".keras-validator\nrun\nkept\n")
    with (tmp_path / "little.py").open("a") as file:
        file.write(TRAINED)
    kept = Kept(tmp_path)
    kept.commit()
    fresh = told(kept.run())
    assert (fresh["same"][0], fresh["moved"][0]) == ("identical", "changed")
    entries = {of(path): path for path in (tmp_path / "kept").iterdir()}
    forge(entries["moved@keras-3.5.0"], outputs(entries["moved@keras-3.3.3"]))
    assert told(kept.run())["moved"][0] == "identical"  # nothing ran, so that nothing could tell
    trained = lines[-2].replace("}", ", training: {function: 'little:trained'}}")
    (tmp_path / "validator.yml").write_text("\n".join([*lines[:-2], trained, lines[-1]]) + "\n")
    report = kept.run()
    assert report.cache_notes == (
        "a batch of moved@keras-3.5.0 differs from what was kept, so keras-3.5.0 ran again",
        "that came to light when cells had been judged by it, so all others ran again too",
    )
    assert told(report)["moved"] == fresh["moved"]


TRAINED = """
def trained():
    model = same()
    model.compile("sgd", "mse")
    return model
"""


def told(report: Report) -> dict[str, tuple[str, list[str]]]:
    """Model → its verdict, and what kinds of findings there are."""
    cells = {model.name: model.cells[0] for model in report.models}
    return {name: (cell.verdict, [finding.kind for finding in cell.findings]) for name, cell in cells.items()}


def of(path: Path) -> str:
    """Which job a kept archive is of."""
    response = json.loads(zipfile.ZipFile(path).read("files/response.json"))
    return str(response["id"])


def outputs(path: Path) -> bytes:
    return zipfile.ZipFile(path).read("files/outputs/0.npy")


def test_another_machine_has_to_run_and_says_so(kept: Kept) -> None:
    project, folder = open_project(kept.folder / "validator.yml"), RunFolder(kept.folder / "elsewhere")
    store = store_in(kept.folder / "kept")
    assert store is not None
    other = replace(store, machine=Machine.this().model_copy(update={"processor": "another one"}))
    restoring = Restoring(
        Run(project, folder, 1, Watcher()).pool(),
        project,
        folder,
        Marks(folder.ended(), Machine.this()),
        other,
    )
    job = predictions(JobMaker(project, folder))[0]
    key = restoring.key(job)
    assert key is not None
    assert "another machine than this one (another one)" in str(
        other.restore(key, job, folder.captures("keras-3.3.3"))
    )


def test_whatever_decides_a_prediction_is_in_the_key(kept: Kept) -> None:
    before = kept.keys()
    assert None not in before.values()
    assert kept.keys() == before
    model = kept.folder / "little.py"
    original = model.read_text()
    model.write_text(original.replace("Dense(8", "Dense(9"))
    assert set(kept.keys().values()) == {None}  # not committed
    kept.commit()
    assert not set(kept.keys().values()) & set(before.values())
    model.write_text(original)
    kept.commit()
    assert kept.keys() == before
    inputs = kept.folder / "inputs.npz"
    bytes_before = inputs.read_bytes()
    np.savez(inputs, x=np.zeros((50, 4), np.float32))
    assert not set(kept.keys().values()) & set(before.values())
    inputs.write_bytes(bytes_before)
    settings = kept.folder / "validator.yml"
    text = settings.read_text()
    settings.write_text(text + "environments: {keras-3.5.0: {variables: {TF_ENABLE_ONEDNN_OPTS: '0'}}}\n")
    after = kept.keys()
    assert after["same@keras-3.3.3"] == before["same@keras-3.3.3"]
    assert after["same@keras-3.5.0"] != before["same@keras-3.5.0"]
    settings.write_text(text)


def test_when_and_where_it_ran_is_not_in_the_key(kept: Kept, tmp_path: Path) -> None:
    before = kept.keys()
    shutil.copytree(kept.folder, tmp_path / "elsewhere", symlinks=True)
    elsewhere = Kept(tmp_path / "elsewhere")
    assert elsewhere.keys() == before
    settings = elsewhere.folder / "validator.yml"
    settings.write_text(settings.read_text() + "install: {exclude_newer: 2099-01-01}\n")  # the same versions
    assert elsewhere.keys() == before


def test_a_package_of_this_machine_is_pinned_by_no_lock(kept: Kept, tmp_path: Path) -> None:
    shutil.copytree(kept.folder, tmp_path / "elsewhere", symlinks=True)
    elsewhere = Kept(tmp_path / "elsewhere")
    (elsewhere.folder / "lib").mkdir()
    (elsewhere.folder / "lib" / "pyproject.toml").write_text('[project]\nname = "lib"\nversion = "1"\n')
    settings = elsewhere.folder / "validator.yml"
    written = settings.read_text()
    for lib in (f"lib @ file://{tmp_path}/elsewhere/lib", f"lib @ {tmp_path}/elsewhere/lib"):
        settings.write_text(written.replace("[tensorflow", f'["{lib}", tensorflow'))
        elsewhere.commit()
        assert set(elsewhere.keys().values()) == {None}, lib


@pytest.mark.parametrize(
    ("line", "loose"),
    [
        ("keras==3.5.0", False),
        ("keras==3.5.0 ; python_version < '4' \\", False),
        ("    --hash=sha256:00", False),
        ("# a comment", False),
        (f"keras @ git+https://github.com/keras-team/keras@{'a' * 40}", False),
        ("keras @ git+https://github.com/keras-team/keras@master", True),
        ("keras @ https://example.com/keras-3.5.0-py3-none-any.whl", True),
        ("./lib", True),
        ("-e ./lib", True),
        ("/srv/lib", True),
    ],
)
def test_a_lock_pins_what_has_a_version_or_a_commit(line: str, loose: bool) -> None:
    assert bool(_unpinned(f"numpy==1.26.4\n{line}\n")) == loose

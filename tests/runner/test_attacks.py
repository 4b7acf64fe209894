"""What model code tries against others: contained by the kernel where it can, and seen where it cannot."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.runner.conftest import GIB, MODELS, Bench, failure_of
from validator.failure import Failure
from validator.runner import Bounds, Capture, Job, Sandbox, can_confine, intact
from validator.runner.seals import sealed

pytestmark = pytest.mark.environment
KERAS = "keras-3.3.3"
FREE = Bounds(120, 60, 64 * GIB)
confined = pytest.mark.skipif(not can_confine(), reason="this kernel has no Landlock")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of the job, such as GITHUB_OUTPUT, with something in it."""
    path = tmp_path / "job" / "output"
    path.parent.mkdir()
    path.write_text("before\n")
    return path


@pytest.fixture
def bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bounds:
    """A sandbox as a run has it, in a home with something hidden."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("password")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", "secret")
    return Bounds(120, 60, 64 * GIB, Sandbox((MODELS, tmp_path / KERAS)))


def hostile(bench: Bench, name: str, builder: str, **arguments: object) -> Job:
    job = bench.job(name, arguments=arguments, inputs="hostile_models:inputs")
    return Job(**{**vars(job), "builder": f"hostile_models:{builder}"})


def values(result: Capture | Failure) -> np.ndarray:
    assert isinstance(result, Capture), result
    return np.array(result.outputs[0].open().values)


@confined
def test_a_model_in_a_sandbox_reaches_nothing_but_its_own(
    bench: Bench, bounds: Bounds, outside: Path
) -> None:
    victim = hostile(bench, "victim", "honest")
    attacker = hostile(
        bench,
        "attacker",
        "reaching_out",
        victim=victim.folder,
        outside=str(outside),
        hidden=str(Path.home() / ".netrc"),
        tool=os.getpid(),
    )
    linking = hostile(bench, "linking", "linking_out", folder=str(bench.folder / KERAS / "linking"),
                      outside=str(outside.parent))  # fmt: skip
    with bench.pool(bench.place(KERAS), bounds=bounds) as pool:
        results = pool.run([victim, attacker, linking, hostile(bench, "after", "honest")])
    attempts = attempts_of(results["attacker"])
    denied = "PermissionError"
    assert {attempts[name] for name in ("overwrite", "replace", "append", "hidden")} == {denied}
    assert attempts["worker"] == [denied, denied]
    assert attempts["above"] == [denied, denied]
    assert attempts["privileges"] == 1
    if landlock_version() >= 6:
        assert attempts["signals"] == [denied] * 3
    assert not {"HF_TOKEN", "ACTIONS_RUNTIME_TOKEN"} & set(attempts["variables"])
    assert failure_of(results["linking"]).stage == "predict"
    assert outside.read_text() == "before\n"
    assert list(outside.parent.iterdir()) == [outside]
    assert np.array_equal(values(intact_capture(results["victim"])), values(results["after"]))


def attempts_of(result: Capture | Failure) -> dict[str, Any]:
    """What the model tried and came to; behind it stands where the failure was."""
    attempts: dict[str, Any] = json.JSONDecoder().raw_decode(failure_of(result).message)[0]
    return attempts


def landlock_version() -> int:
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))


def intact_capture(result: Capture | Failure) -> Capture | Failure:
    assert isinstance(result, Capture), result
    return intact(result)


def test_results_that_another_model_overwrites_are_not_judged(bench: Bench, outside: Path) -> None:
    """Without a sandbox nothing keeps a model from it, so the tool has to notice, however late it looks."""
    bench.busy = 1.0
    victim = hostile(bench, "victim", "honest")
    folder = bench.folder / KERAS
    jobs = [
        victim,
        hostile(bench, "attacker", "reaching_out", victim=victim.folder, outside=str(outside),
                hidden=str(outside), tool=os.getpid()),
        hostile(bench, "links", "linking_a_file", folder=str(folder / "links"), outside=str(outside)),
        hostile(bench, "huge", "claiming_much", folder=str(folder / "huge")),
        hostile(bench, "after", "honest"),
    ]  # fmt: skip
    with bench.pool(bench.place(KERAS), bounds=FREE) as pool:
        results = pool.run(jobs)
    assert attempts_of(results["attacker"])["overwrite"] == "done"
    changed = intact_capture(results["victim"])
    assert isinstance(changed, Failure)
    assert changed.stage == "tampered"
    assert "of victim is not what its job left" in changed.message
    assert "extra.npy is a link" in failure_of(results["links"]).message
    assert "more than the disk had room for" in failure_of(results["huge"]).message
    assert isinstance(intact_capture(results["after"]), Capture)


@pytest.fixture
def adopting() -> Iterator[None]:
    """This process adopts what outlives its parent, as the command line does."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a process adopt others")
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


@pytest.mark.usefixtures("adopting")
def test_a_daemon_that_outlives_its_guard_ends_with_the_worker(bench: Bench, tmp_path: Path) -> None:
    victim, pids = hostile(bench, "victim", "honest"), tmp_path / "pid"
    daemon = hostile(bench, "daemon", "writing_later", victim=victim.folder, pids=str(pids))
    with bench.pool(bench.place(KERAS), bounds=FREE) as pool:
        results = pool.run([victim, daemon])
    assert failure_of(results["daemon"]).stage == "crash"
    assert not psutil.pid_exists(int(pids.read_text()))
    time.sleep(2)  # when it would write
    assert isinstance(intact_capture(results["victim"]), Capture)


def test_a_model_that_fills_the_disk_is_ended(tmp_path: Path, keras_python: Callable[[str], Path]) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("no small disk can be mounted")
    try:
        bench = Bench(small, keras_python)
        jobs = [hostile(bench, "fills", "filling_the_disk"), hostile(bench, "after", "honest")]
        with bench.pool(bench.place(KERAS), bounds=FREE) as pool:
            results = pool.run(jobs)
        assert failure_of(results["fills"]).error == "DiskLimit"
        assert "of the disk, which had" in failure_of(results["fills"]).message
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_folder_that_became_a_link_holds_no_capture(bench: Bench) -> None:
    job = hostile(bench, "linked", "honest")
    with bench.pool(bench.place(KERAS), bounds=FREE) as pool:
        result = pool.run([job])["linked"]
    assert isinstance(result, Capture)
    moved = Path(job.folder).rename(bench.folder / "moved")
    Path(job.folder).symlink_to(moved)
    assert "replaced by a link" in failure_of(sealed(result, 1 << 40)).message

"""What memory workers may take, and what happens where jobs beside each other take all of it."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

from tests.runner.conftest import GIB, Bench
from validator.failure import Failure
from validator.runner import Bounds, Capture, default_memory
from validator.runner.crowd import Crowd
from validator.runner.memory import available, total
from validator.runner.turns import ComputingTurns

OLDEST, LEGACY = "keras-3.3.3", "legacy"
KILLED = Failure(stage="crash", error="SIGKILL", message="the worker was ended by SIGKILL")


def group(folder: Path, limit: object, used: int = 0, cached: int = 0) -> None:
    """A control group of version 2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")


class TestContainers:
    def test_without_any_limit_the_machine_is_the_limit(self, tmp_path: Path) -> None:
        assert total(tmp_path / "no groups", tmp_path) == psutil.virtual_memory().total

    def test_the_closest_limit_around_a_process_counts(self, tmp_path: Path) -> None:
        groups = tmp_path / "cgroup"
        groups.write_text("0::/pod/container\n")
        group(tmp_path / "pod", 3 << 20, used=2 << 20, cached=1 << 19)
        group(tmp_path / "pod" / "container", "max")
        assert total(groups, tmp_path) == 3 << 20
        assert available(groups, tmp_path) == (1 << 20) + (1 << 19)
        group(tmp_path / "pod" / "container", 2 << 20, used=5 << 20)
        assert total(groups, tmp_path) == 2 << 20
        assert available(groups, tmp_path) == 0

    def test_a_container_sees_its_own_group_as_the_root(self, tmp_path: Path) -> None:
        groups = tmp_path / "cgroup"
        groups.write_text("0::/\n")
        group(tmp_path, 1 << 20)
        assert total(groups, tmp_path) == 1 << 20

    def test_the_older_groups(self, tmp_path: Path) -> None:
        groups = tmp_path / "cgroup"
        groups.write_text("5:cpu,cpuacct:/job\n4:memory:/job\n")
        folder = tmp_path / "memory" / "job"
        folder.mkdir(parents=True)
        (folder / "memory.limit_in_bytes").write_text("4096\n")
        (folder / "memory.usage_in_bytes").write_text("1024\n")
        assert total(groups, tmp_path) == 4096
        assert available(groups, tmp_path) == 3072

    def test_a_worker_may_take_most_of_it(self) -> None:
        assert default_memory() == int(total() * 0.9)
        assert 0 < available() < total()


class TestCrowd:
    def test_the_last_that_began_ends_and_comes_back(self) -> None:
        left = [0.5]
        crowd = Crowd(lambda: left[0])
        with crowd.among("first"):
            left[0] = 0.01
            assert crowd.excess("first") is None  # alone: it has limits of its own
            with crowd.among("second"):
                assert crowd.excess("first") is None
                left[0] = 0.3
                assert crowd.excess("second") is None
                left[0] = 0.01
                failure = crowd.excess("second")
                assert failure is not None
                assert crowd.repeats("second", failure)
            assert crowd.takes_back("second")
            assert not crowd.takes_back("second")

    @pytest.mark.parametrize(("left", "repeats"), [(0.1, True), (0.6, False)])
    def test_a_kill_by_the_system_is_one_for_memory_where_little_was_left(
        self, left: float, repeats: bool
    ) -> None:
        crowd = Crowd(lambda: left)
        with crowd.among("first"), crowd.among("second"):
            crowd.excess("second")
            assert crowd.repeats("first", KILLED) == repeats
            assert not crowd.repeats("second", KILLED.model_copy(update={"error": "SIGSEGV"}))

    def test_a_job_that_ran_alone_is_not_repeated(self) -> None:
        crowd = Crowd(lambda: 0.0)
        with crowd.among("first"):
            crowd.excess("first")
            assert not crowd.repeats("first", KILLED)


def test_turns_that_narrow_let_one_compute_at_a_time() -> None:
    turns, served = ComputingTurns(3), []
    turns.take(1.0)
    turns.take(1.0)
    assert turns.narrow()
    assert not turns.narrow()

    def serve() -> None:
        turns.take(1.0)
        served.append(True)

    waiting = threading.Thread(target=serve)
    waiting.start()
    turns.give()  # one of two: the other still has its turn
    waiting.join(0.2)
    assert not served
    turns.give()
    waiting.join(10)
    assert served


@pytest.mark.environment
def test_jobs_that_do_not_fit_beside_each_other_run_one_after_the_other(bench: Bench) -> None:
    """Real workers; only how much memory is left is told to the pool."""
    left = Shortage(bench)
    lines: list[str] = []
    bounds = Bounds(120, 60, 64 * GIB, share_left=left)
    with bench.pool(bench.place(OLDEST), bench.place(LEGACY), bounds=bounds, noted=lines.append) as pool:
        jobs = [bench.job("a", builder="slow"), bench.job("b", environment=LEGACY, builder="slow")]
        results = pool.run(jobs)
        assert pool.starts == {OLDEST: 1, LEGACY: 1}
    assert all(isinstance(result, Capture) for result in results.values()), results
    begun = [event[1] for event in bench.events if event[0] == "started"]
    assert sorted(begun) in (["a", "a", "b"], ["a", "b", "b"])
    assert begun[1] == begun[2]  # the one that began last began again
    assert bench.events.count(("finished", begun[1], "")) == 1
    assert lines == ["models beside each other took all memory: from here on, one runs at a time"]


class Shortage:
    """No memory is left as soon as two jobs have begun."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __call__(self) -> float:
        return 0.01 if sum(event[0] == "started" for event in self._bench.events) == 2 else 0.5

"""Whatever a job does to its process costs that job; everything else goes on over the same worker."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.runner.conftest import GIB, Bench, failure_of
from validator.failure import Failure
from validator.runner import WORKER_FOLDER, Bounds, Capture, Job, Pool, RunLimit, read_environment
from validator.runner.turns import ComputingTurns

pytestmark = pytest.mark.environment
FORK, PROCESS = (), (("KERAS_VALIDATOR_ISOLATION", "process"),)
OLDEST = "keras-3.3.3"


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.05)


@pytest.mark.parametrize("variables", [FORK, PROCESS], ids=["fork", "process"])
def test_a_job_that_breaks_its_process_costs_itself(
    bench: Bench, variables: tuple[tuple[str, str], ...]
) -> None:
    jobs = [
        bench.job("first"),
        bench.job("segfault", builder="crashing"),
        bench.job("exit-0", builder="exiting", arguments={"code": 0}),
        bench.job("exit-7", builder="exiting", arguments={"code": 7}),
        bench.job("hangs", builder="hanging_with_the_interpreter"),
        bench.job("hogs", builder="hogging"),
        bench.job("reads", builder="reading_stdin"),
        bench.job("last"),
    ]
    bounds = Bounds(120, 8, 2 * GIB)
    with bench.pool(bench.place(OLDEST, variables=variables), bounds=bounds) as pool:
        results = pool.run(jobs)
        facts = read_environment(bench.folder / OLDEST / WORKER_FOLDER)
        # without a fork each job has a process, with another import; a forked child that dies is not missed
        assert pool.starts == {OLDEST: 1 if variables == FORK else 8}
    assert list(results) == [job.id for job in jobs]
    assert facts is not None
    assert facts.isolation == ("fork" if variables == FORK else "process")
    errors = {
        name: failure_of(results[name]).error for name in ("segfault", "exit-0", "exit-7", "hangs", "hogs")
    }
    assert errors == {
        "segfault": "SIGSEGV",
        "exit-0": "exit 0",
        "exit-7": "exit 7",
        "hangs": "TimeLimit",
        "hogs": "MemoryLimit",
    }
    assert failure_of(results["hangs"]).stage == "timeout"
    assert "runner_models.py" in failure_of(results["segfault"]).log
    for name in ("first", "reads", "last"):
        assert isinstance(results[name], Capture), results[name]
    assert bench.events[:4] == [
        (OLDEST, "installing"),
        (OLDEST, "running"),
        ("started", "first"),
        ("finished", "first", ""),
    ]
    assert bench.events[-1] == (OLDEST, "done")


def test_a_second_round_reuses_the_worker_and_no_model_reaches_another(bench: Bench) -> None:
    with bench.pool(bench.place(OLDEST)) as pool:
        first = pool.run([bench.job("spoils", builder="touching_the_class"), bench.job("after")])
        written = (bench.folder / OLDEST / WORKER_FOLDER / "environment.json").stat().st_mtime_ns
        second = pool.run([bench.job("again"), bench.job("after", needs=("spoils",))])
        assert pool.starts == {OLDEST: 1}
        assert pool.seconds()[OLDEST] > 0
    assert (bench.folder / OLDEST / WORKER_FOLDER / "environment.json").stat().st_mtime_ns == written
    assert bench.preparations == [OLDEST]
    digests = [result.outputs[0].open().values.sum() for result in (first["after"], second["again"])]  # type: ignore[union-attr]
    assert digests[0] == digests[1] != 0
    requests = sorted(path.name for path in (bench.folder / OLDEST / WORKER_FOLDER).glob("request*"))
    assert requests == ["request-2.json", "request-3.json", "request-4.json", "request.json"]


def test_a_worker_that_died_is_replaced(bench: Bench) -> None:
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run([bench.job("kills", builder="killing_the_worker"), bench.job("next")])
        assert failure_of(results["kills"]).error == "SIGKILL"
        assert isinstance(results["next"], Capture)
        assert pool.starts == {OLDEST: 2}
        killed = json.loads((bench.folder / OLDEST / "kills" / "started").read_text())["pid"]
        assert not is_running(killed)
    assert not (bench.folder / OLDEST / WORKER_FOLDER / "home").exists()


def test_what_a_job_leaves_running_ends_with_it(bench: Bench) -> None:
    with bench.pool(bench.place(OLDEST)) as pool:
        assert isinstance(pool.run([bench.job("leaves", builder="leaving_a_child")])["leaves"], Capture)
        assert not is_running(int((bench.folder / OLDEST / WORKER_FOLDER / "left.pid").read_text()))


def test_a_daemon_ends_with_its_job(bench: Bench) -> None:
    with bench.pool(bench.place(OLDEST)) as pool:
        assert isinstance(pool.run([bench.job("leaves", builder="leaving_a_daemon")])["leaves"], Capture)
        assert not is_running(int((bench.folder / OLDEST / WORKER_FOLDER / "daemon.pid").read_text()))


def test_whatever_a_job_leaves_in_its_folder_costs_that_job_and_no_other(bench: Bench) -> None:
    def spoils(identity: str, **arguments: str) -> Job:
        folder = str(bench.folder / OLDEST / identity)
        return bench.job(identity, builder="spoiling", arguments={"folder": folder, **arguments})

    lost = [
        spoils("removed", then="exit"),
        spoils("a-file", what="x"),
        spoils("a-pipe", what="pipe"),
        spoils("pipe-for-response", name="response.json", what="pipe", then="exit"),
        spoils("folder-for-response", name="response.json", what="folder", then="exit"),
        spoils("no-json", name="response.json", what="{", then="exit"),
        spoils("deep", name="response.json", what="[" * 10_000, then="exit"),
        spoils(
            "of-another",
            name="response.json",
            what='{"schema": 1, "id": "first", "failure": null}',
            then="exit",
        ),
        spoils("half-predicted", name="predicted.json", what='{"schema": 1', then="exit"),
        bench.job("removes-its-own-place", builder="spoiling_the_worker"),
    ]
    kept = [
        bench.job("first"),
        spoils("text-for-start", name="started", what="at noon"),
        bench.job("stops-the-worker", builder="stopping", arguments={"levels": 1}),
        bench.job("stops-the-guard", builder="stopping", arguments={"levels": 2}),
        bench.job("leaves-files", builder="leaving_files"),
        bench.job("sees-no-files", builder="leaving_files"),
        bench.job("last"),
    ]
    jobs = [kept[0], *lost, *kept[1:]]
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run(jobs)
        assert pool.facts()[OLDEST].keras is not None
    assert {name for name, result in results.items() if not isinstance(result, Capture)} == {
        job.id for job in lost
    }
    assert {failure_of(results[job.id]).stage for job in lost} == {"crash", "build"}
    assert {name for event, name, *_ in bench.events if event == "finished"} == {job.id for job in jobs}


def test_names_of_jobs_meet_no_file_of_the_worker(bench: Bench) -> None:
    names = ["request.json", "environment.json", "worker.log", "home", "request-2.json", "started", "outputs"]
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run([bench.job(name) for name in names])
        again = pool.run([bench.job(name) for name in names])
    assert all(isinstance(result, Capture) for result in (*results.values(), *again.values())), results


def test_jobs_wait_for_what_they_need_in_another_environment(bench: Bench) -> None:
    jobs = [
        bench.job("candidate", "legacy", needs=("baseline",)),
        bench.job("needs-broken", "legacy", needs=("broken",)),
        bench.job("broken", builder="exiting", arguments={"code": 3}),
        bench.job("baseline"),
    ]
    with bench.pool(bench.place(OLDEST), bench.place("legacy"), jobs=1) as pool:
        results = pool.run(jobs)
        assert pool.failures() == {}
    assert isinstance(results["candidate"], Capture)
    failure = failure_of(results["needs-broken"])
    assert (failure.stage, failure.error) == ("crash", "NeededJob")
    assert "broken" in failure.message
    assert ("started", "needs-broken") not in bench.events
    assert bench.events.index(("finished", "baseline", "")) < bench.events.index(("started", "candidate"))


def installed(bench: Bench, *names: str, jobs: int = 2) -> Pool:
    """A pool whose environments are there: who is first does not depend on what had to be installed."""
    for name in names:
        bench.python(name)
    return bench.pool(*map(bench.place, names), jobs=jobs)


def test_a_job_that_waits_lets_others_go_first(bench: Bench) -> None:
    jobs = [
        bench.job("candidate", "legacy", needs=("baseline",)),
        bench.job("other", "legacy"),
        bench.job("first"),
        bench.job("baseline"),
    ]
    with installed(bench, OLDEST, "legacy") as pool:
        results = pool.run(jobs)
    assert all(isinstance(result, Capture) for result in results.values()), results
    started = [name for event, name, *_ in bench.events if event == "started"]
    assert started.index("other") < started.index("candidate")


def test_whoever_has_the_most_left_to_do_is_next() -> None:
    """So that it is not left for the end, alone. Of equal ones: whoever waits longest."""
    turns, served = ComputingTurns(1), []
    turns.take(9.0)

    def serve(name: str, seconds_left: float) -> None:
        turns.take(seconds_left)
        served.append(name)
        turns.give()

    threads = []
    for count, (name, seconds_left) in enumerate(
        [("short", 1.0), ("long", 5.0), ("as long", 5.0), ("new", math.inf)]
    ):
        threads.append(threading.Thread(target=serve, args=(name, seconds_left)))
        threads[-1].start()
        while len(turns._waiting) <= count:
            time.sleep(0.001)
    assert not turns.keeps(9.0)  # whoever has not begun comes before all others
    turns.give()
    for thread in threads:
        thread.join(10)
    assert served == ["new", "long", "as long", "short"]
    turns.take(1.0)
    assert turns.keeps(1.0)  # nobody waits


def test_every_environment_begins_before_one_goes_on(bench: Bench) -> None:
    jobs = [bench.job(f"{name}-{number}", name) for name in (OLDEST, "legacy") for number in range(3)]
    with installed(bench, OLDEST, "legacy", jobs=1) as pool:
        pool.run(jobs)
    started = [name.rpartition("-")[0] for event, name, *_ in bench.events if event == "started"]
    assert set(started[:2]) == {OLDEST, "legacy"}, started


def test_no_budget_runs_while_a_job_without_one_waits(bench: Bench) -> None:
    jobs = [
        bench.job("candidate", "legacy", needs=("baseline",)),
        bench.job("trial", "legacy", budget="search"),
        bench.job("first"),
        bench.job("baseline"),
    ]
    with installed(bench, OLDEST, "legacy") as pool:
        results = pool.run(jobs, {"search": 60.0})
    assert all(isinstance(result, Capture) for result in results.values()), results
    started = [name for event, name, *_ in bench.events if event == "started"]
    assert started.index("candidate") < started.index("trial")


def falling(bench: Bench, *starts: int) -> Callable[[str], Path]:
    """Interpreters that end at once in these starts, of which the first is 1."""
    script, count = bench.folder / "python", bench.folder / "starts"
    real = bench.python(OLDEST)
    cases = "|".join(map(str, starts))
    script.write_text(
        f'#!/bin/sh\necho >> {count}\ncase $(wc -l < {count} | tr -d " ") in {cases}) exit 9;; esac\n'
        f'exec {real} "$@"\n'
    )
    script.chmod(0o755)
    return lambda _: script


def test_a_worker_that_dies_as_it_starts_costs_one_job_where_another_ran(bench: Bench) -> None:
    bench.python = falling(bench, 2)
    jobs = [bench.job("kills", builder="killing_the_worker"), bench.job("lost"), bench.job("next")]
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run(jobs)
        again = pool.run([bench.job("again")])
        assert pool.failures() == {}
    assert failure_of(results["lost"]).error == "exit 9"
    assert isinstance(results["next"], Capture)
    assert isinstance(again["again"], Capture)


def test_where_no_worker_came_to_run_none_is_tried_again(bench: Bench) -> None:
    bench.python = falling(bench, 1)
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run([bench.job("one"), bench.job("two")])
        again = pool.run([bench.job("three")])
        assert pool.failures()[OLDEST].error == "exit 9"
        assert pool.starts == {OLDEST: 1}
    assert {failure_of(result).error for result in (*results.values(), *again.values())} == {"exit 9"}


def test_a_budget_ends_the_running_job_and_all_that_follow(bench: Bench) -> None:
    jobs = [
        bench.job("quick", budget="search"),
        bench.job("hangs", builder="hanging", budget="search"),
        bench.job("late", budget="search"),
        bench.job("other"),
    ]
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run(jobs, {"search": 6.0})
    for name in ("hangs", "late"):
        failure = failure_of(results[name])
        assert (failure.stage, failure.error) == ("timeout", "TimeBudget")
    assert ("started", "late") not in bench.events
    assert isinstance(results["quick"], Capture)
    assert isinstance(results["other"], Capture)


class UntilItHangs(RunLimit):
    """A limit that is over half a second after a job began to hang."""

    bench: Bench
    since: float | None = None

    def left(self) -> float:
        if ("started", "hangs") in self.bench.events and self.since is None:
            object.__setattr__(self, "since", time.monotonic())
        return 1.0 if self.since is None else 0.5 - (time.monotonic() - self.since)


def test_the_limit_of_a_run_ends_the_running_job_and_all_that_follow(bench: Bench) -> None:
    limit = UntilItHangs(90.0)
    object.__setattr__(limit, "bench", bench)
    jobs = [bench.job("quick"), bench.job("hangs", builder="hanging"), bench.job("late")]
    other = bench.place("keras-3.5.0")
    with bench.pool(bench.place(OLDEST), other, limit=limit) as pool:
        results = pool.run([*jobs, bench.job("needs", environment="keras-3.5.0", needs=("hangs",))])
        again = pool.run([bench.job("again")])
    assert isinstance(results["quick"], Capture)
    for result in (*list(results.values())[1:], *again.values()):
        failure = failure_of(result)
        assert failure.stage == "unreached"
        assert "limits.total_seconds: 90" in failure.message
    assert ("started", "late") not in bench.events


def test_jobs_with_variables_get_a_worker_of_their_own(bench: Bench) -> None:
    special = bench.job("special", builder="dense_with_variable", variables={"RUNNER_TEST": "set"})
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run([special, bench.job("plain")])
        assert pool.starts == {OLDEST: 1}
    assert all(isinstance(result, Capture) for result in results.values()), results
    assert bench.events.index(("started", "plain")) < bench.events.index(("started", "special"))


def test_an_environment_in_which_nothing_runs_costs_its_own_jobs(bench: Bench) -> None:
    failure = Failure(stage="resolve", error="uv", message="no such release")
    places = [
        bench.place("keras-9", failure),
        bench.place("legacy", variables=(("KERAS_BACKEND", "jax"),), legacy=False),
        bench.place(OLDEST),
    ]
    with bench.pool(*places) as pool:
        results = pool.run([bench.job(name, name) for name in ("keras-9", "legacy", OLDEST)])
        again = pool.run([bench.job("again", "legacy")])
        failures = pool.failures()
    assert results["keras-9"] == failures["keras-9"] == failure
    assert failure_of(results["legacy"]).stage == failures["legacy"].stage == "import"
    assert again["again"] == failures["legacy"]
    assert isinstance(results[OLDEST], Capture)
    assert bench.preparations.count("legacy") == 1
    assert ("keras-9", "failed") in bench.events


def test_an_interpreter_that_cannot_be_started_loses_its_jobs(bench: Bench) -> None:
    bench.python = lambda name: bench.folder / "no-such-python"
    with bench.pool(bench.place(OLDEST)) as pool:
        assert failure_of(pool.run([bench.job("never")])["never"]).error == "FileNotFoundError"


def test_jobs_that_can_never_start_are_refused(bench: Bench) -> None:
    with bench.pool(bench.place(OLDEST), bench.place("legacy")) as pool:
        circle = [bench.job("a", needs=("b",)), bench.job("b", "legacy", needs=("a",))]
        budgeted = [bench.job("a", needs=("b",)), bench.job("b", budget="search")]  # a goes first
        for jobs in ([bench.job("x", "keras-9")], [bench.job("x", needs=("unknown",))], circle, budgeted):
            with pytest.raises(ValueError, match=r"jobs"):
                pool.run(jobs)


def test_an_error_in_a_thread_ends_everything_and_is_passed_on(bench: Bench) -> None:
    def prepare() -> Path:
        wait_for(bench.folder / OLDEST / "hangs" / "started")
        raise RuntimeError("not ours to handle")

    place = bench.place("legacy")
    places = [bench.place(OLDEST), type(place)(place.environment, place.folder, (), prepare)]
    jobs = [bench.job("hangs", builder="hanging"), bench.job("never", "legacy")]
    with pytest.raises(RuntimeError, match="not ours"), bench.pool(*places) as pool:
        pool.run(jobs)
    pid = json.loads((bench.folder / OLDEST / "hangs" / "started").read_text())["pid"]
    assert not is_running(pid)


#: A job in the background of a shell starts with SIGINT ignored; a runner in front of a person does not.
RUNNER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, os.getcwd())
from pathlib import Path
from tests.runner.conftest import Bench
bench = Bench(Path(sys.argv[1]), lambda name: Path(sys.argv[2]))
with bench.pool(bench.place("keras-3.3.3")) as pool:
    pool.run([bench.job("hangs", builder=sys.argv[3])])
"""


@pytest.mark.parametrize(
    "kill", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
)
@pytest.mark.parametrize("levels", [0, 1], ids=["worker", "guard"])
def test_a_worker_that_is_ended_by_a_signal_costs_its_job(
    bench: Bench, kill: signal.Signals, levels: int
) -> None:
    started = bench.folder / OLDEST / "hangs" / "started"
    family: list[psutil.Process] = []

    def end() -> None:
        wait_for(started)
        job = psutil.Process(json.loads(started.read_text())["pid"])
        family.extend((job, *job.parents()[:2]))
        family[levels + 1].send_signal(kill)

    thread = threading.Thread(target=end)
    thread.start()
    with bench.pool(bench.place(OLDEST)) as pool:
        results = pool.run([bench.job("hangs", builder="hanging_with_the_interpreter"), bench.job("next")])
        thread.join()
        assert failure_of(results["hangs"]).stage == "crash"
        assert isinstance(results["next"], Capture)
        assert not any(is_running(process.pid) for process in family)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
@pytest.mark.parametrize("builder", ["hanging", "hanging_with_the_interpreter"])
def test_a_runner_that_ends_leaves_no_process(bench: Bench, kill: signal.Signals, builder: str) -> None:
    command = [sys.executable, "-c", RUNNER, str(bench.folder), str(bench.python(OLDEST)), builder]
    runner = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    started = bench.folder / OLDEST / "hangs" / "started"
    wait_for(started)
    child = json.loads(started.read_text())["pid"]
    worker = psutil.Process(child).ppid()
    os.kill(runner.pid, kill)
    runner.wait(timeout=30)
    deadline = time.monotonic() + 10
    while is_running(child) or is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)

"""What becomes of shards when workers fail, vanish, lack files, are slow or are of another version."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from validator.cluster import Answer, Bundle, LostError, Order, Outcome, Patience, dispatch
from validator.cluster.dispatch import TooLargeError
from validator.errors import CannotJudgeError

DONE = Answer(kind="done", part="part", seconds=1.0)


def order(name: str) -> Order:
    return Order(
        name=name, run="run", part="part.json", system="linux", bundle=Bundle(files=()), request="{}"
    )


@dataclass
class Workers:
    """Workers that answer as their script says: worker → answers, one an order; the last one again and again.

    None is a worker that dies instead; a number is a worker that takes so many looks before it is done.
    """

    scripts: dict[str, list[Answer | int | None]]
    unsupplied: str = ""
    uncollected: list[str] = field(default_factory=list)
    too_large: str = ""
    lost_after: int = 10_000
    asked: list[tuple[str, str]] = field(default_factory=list)
    supplied: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    _open: dict[str, Answer | int] = field(default_factory=dict)
    _dead: set[str] = field(default_factory=set)

    def workers(self) -> Sequence[str]:
        self.lost_after -= 1
        if self.lost_after < 0:
            raise LostError("closed: no heartbeat")
        return [worker for worker in self.scripts if worker not in self._dead]

    def ask(self, worker: str, order: Order) -> None:
        self.asked.append((worker, order.name))
        script = self.scripts[worker]
        answer = script.pop(0) if len(script) > 1 else script[0]
        if answer is None:
            self._dead.add(worker)
        else:
            self._open[worker] = answer

    def answers(self) -> Sequence[tuple[str, Answer]]:
        answers = []
        for worker, answer in list(self._open.items()):
            if isinstance(answer, Answer):
                answers.append((worker, answer))
                del self._open[worker]
            else:
                self._open[worker] = answer - 1 if answer > 1 else DONE
        return answers

    def supply(self, worker: str, missing: Sequence[str]) -> str:
        self.supplied.append((worker, tuple(missing)))
        return self.unsupplied

    def collect(self, worker: str, order: Order, answer: Answer) -> str:
        if self.too_large and "samples" in order.name:
            raise TooLargeError(self.too_large)
        return self.uncollected.pop() if self.uncollected else ""

    def drop(self, worker: str) -> None:
        self.dropped.append(worker)
        self._open.pop(worker, None)


@dataclass
class Asking:
    """A client that keeps what orders leave, and completes an order with the names of what is kept then."""

    kept: dict[str, str] = field(default_factory=dict)
    completed: dict[str, list[str]] = field(default_factory=dict)

    @staticmethod
    def say(line: str) -> None:
        assert line.isprintable()

    def keep(self, name: str, part: str) -> None:
        self.kept[name] = part

    def complete(self, order: Order) -> Order:
        self.completed[order.name] = sorted(self.kept)
        return order


LIMITS = Patience(retries=2, wait_seconds=0.05, poll_seconds=0.001)


def run(fleet: Workers, names: Sequence[str] = ("1/2", "2/2"), **patience: float) -> Outcome:
    asking = Asking()
    limits = Patience(**{**LIMITS.__dict__, **patience})
    outcome = dispatch(fleet, [order(name) for name in names], limits, asking)
    assert asking.kept == outcome.parts
    return outcome


def test_every_shard_is_run_once_by_some_worker() -> None:
    fleet = Workers({"a": [DONE], "b": [DONE]})
    names = [f"{number}/9" for number in range(1, 10)]
    assert run(fleet, names) == Outcome(dict.fromkeys(names, "part"), {})
    assert sorted(name for _, name in fleet.asked) == names
    assert {worker for worker, _ in fleet.asked} == {"a", "b"}


def test_a_worker_that_is_lost_costs_a_retry_of_its_shard() -> None:
    fleet = Workers({"a": [None], "b": [3, DONE]})
    assert run(fleet).lost == {}
    assert fleet.asked.count(("b", "1/2")) == 1
    assert fleet.dropped == ["a"]


def test_a_shard_that_fails_goes_to_another_worker() -> None:
    fleet = Workers({"a": [Answer(kind="failed", why="No space left on device")], "b": [20, DONE]})
    assert run(fleet).parts.keys() == {"1/2", "2/2"}
    assert [worker for worker, name in fleet.asked if name == "1/2"][-1] == "b"


def test_a_shard_that_fails_everywhere_is_lost_with_the_last_reason() -> None:
    failed = Answer(kind="failed", why="No space left on device")
    outcome = run(Workers({"a": [failed], "b": [failed]}))
    assert outcome == Outcome({}, dict.fromkeys(("1/2", "2/2"), "No space left on device"))


REFUSED = Answer(kind="refused", why="metrics: no such metric")


def test_what_the_only_worker_refuses_is_not_tried_again() -> None:
    fleet = Workers({"a": [REFUSED, DONE]})
    assert run(fleet) == Outcome({"2/2": "part"}, {"1/2": "metrics: no such metric"})
    assert len(fleet.asked) == 2


def test_what_two_workers_refuse_is_given_up() -> None:
    fleet = Workers({"a": [REFUSED], "b": [REFUSED], "c": [REFUSED]})
    assert run(fleet).lost == dict.fromkeys(("1/2", "2/2"), "metrics: no such metric")
    assert len(fleet.asked) == 4


def test_a_worker_that_refuses_everything_does_not_cost_the_others_their_shards() -> None:
    fleet = Workers({"a": [REFUSED], "b": [DONE]})
    names = [f"{number}/9" for number in range(1, 10)]
    assert run(fleet, names) == Outcome(dict.fromkeys(names, "part"), {})


def test_a_worker_of_another_version_is_left_out() -> None:
    fleet = Workers({"a": [Answer(kind="other-tool", why="it has 2.0")], "b": [DONE]})
    assert run(fleet).parts.keys() == {"1/2", "2/2"}
    assert [worker for worker, _ in fleet.asked].count("a") == 1


def test_where_all_are_of_another_version_nothing_is_run_and_the_reason_is_given() -> None:
    outcome = run(Workers({"a": [Answer(kind="other-tool", why="it has 2.0")]}))
    assert outcome.parts == {}
    assert "a: it has 2.0" in outcome.lost["1/2"]


def test_without_workers_the_run_ends() -> None:
    outcome = run(Workers({}))
    assert outcome.lost["2/2"] == "no worker could be used for 0.05 s"


def test_missing_files_are_supplied_once_and_the_shard_runs_there() -> None:
    fleet = Workers({"a": [Answer(kind="missing", missing=("x", "y")), DONE]})
    assert run(fleet).parts.keys() == {"1/2", "2/2"}
    assert fleet.supplied == [("a", ("x", "y"))]


def test_files_that_cannot_be_supplied_are_why_a_shard_is_lost() -> None:
    fleet = Workers({"a": [Answer(kind="missing", missing=("x",))]}, unsupplied="over 2 GiB")
    assert run(fleet).lost == {"1/2": "over 2 GiB", "2/2": "over 2 GiB"}


def test_files_that_do_not_stay_on_a_worker_do_not_keep_it_for_ever() -> None:
    fleet = Workers({"a": [Answer(kind="missing", missing=("x",))]})
    assert run(fleet, retries=0).lost.keys() == {"1/2", "2/2"}
    assert len(fleet.supplied) == 6


def test_what_cannot_be_collected_from_a_worker_is_done_by_another() -> None:
    fleet = Workers({"a": [DONE], "b": [DONE]}, uncollected=["it is gone"])
    assert run(fleet).parts.keys() == {"1/2", "2/2"}
    assert len(fleet.asked) == 3


def test_what_can_be_collected_from_nobody_is_lost_with_the_reason() -> None:
    fleet = Workers({"a": [DONE]}, uncollected=["over 2 GiB"] * 6)
    assert run(fleet).lost == {"1/2": "over 2 GiB", "2/2": "over 2 GiB"}


def test_a_shard_on_a_slow_worker_is_run_a_second_time_and_the_first_answer_counts() -> None:
    fleet = Workers({"a": [100_000], "b": [DONE]})
    assert run(fleet, slow_seconds=0.02).parts.keys() == {"1/2", "2/2"}
    assert ("b", "1/2") in fleet.asked
    assert fleet.dropped[0] == "a"


def test_a_second_copy_that_fails_does_not_end_the_first() -> None:
    fleet = Workers({"a": [60], "b": [DONE, Answer(kind="failed", why="disk")]})
    assert run(fleet, slow_seconds=0.001).lost == {}
    assert [name for worker, name in fleet.asked if worker == "b"].count("1/2") == 1


def test_a_hung_worker_is_overtaken_also_where_another_shard_waits_for_it() -> None:
    # `a` failed shard 1 once, so that it waits for `b`, which hangs in shard 2.
    failed = Answer(kind="failed", why="once")
    fleet = Workers({"a": [DONE, failed, DONE], "b": [DONE, 100_000, DONE]})
    outcome = run(fleet, ("1/4", "2/4", "3/4", "4/4"), slow_seconds=0.02, retries=5)
    assert outcome.lost == {}


def test_a_worker_that_dies_after_its_shard_was_done_elsewhere_costs_nothing() -> None:
    fleet = Workers({"a": [100_000], "b": [DONE, DONE, DONE]})
    outcome = run(fleet, ("1/3", "2/3", "3/3"), slow_seconds=0.02)
    assert outcome.lost == {}


def test_a_lost_scheduler_ends_the_run_with_what_is_kept() -> None:
    asking = Asking()
    fleet = Workers({"a": [DONE, 100_000]}, lost_after=20)
    began = time.monotonic()
    with pytest.raises(CannotJudgeError, match=r"no heartbeat.*1 of 2 shards are done and kept"):
        dispatch(
            fleet,
            [order("1/2"), order("2/2")],
            Patience(2, 60.0, poll_seconds=0.001),
            asking,
        )
    assert asking.kept == {"1/2": "part"}
    assert time.monotonic() - began < 10


def divided(*extra: str) -> list[Order]:
    """Two pieces, the shard that waits for them, and others."""
    whole = order("1/2").model_copy(update={"after": ("1/2, samples 1/2", "1/2, samples 2/2")})
    return [*map(order, whole.after), whole, *map(order, extra)]


def test_a_shard_begins_when_its_pieces_have_ended_and_others_do_not_wait() -> None:
    asking = Asking()
    fleet = Workers({"a": [30, DONE], "b": [DONE]})
    outcome = dispatch(fleet, divided("2/2"), LIMITS, asking)
    assert outcome.parts.keys() == {"1/2, samples 1/2", "1/2, samples 2/2", "1/2", "2/2"}
    assert asking.completed == {"1/2": ["1/2, samples 1/2", "1/2, samples 2/2", "2/2"]}
    assert fleet.asked[2] == ("b", "2/2")


def test_pieces_that_are_too_large_are_predicted_once() -> None:
    asking = Asking()
    fleet = Workers({"a": [DONE]}, too_large="over 2 GiB")
    outcome = dispatch(fleet, divided(), LIMITS, asking)
    assert outcome.parts.keys() == {"1/2"}
    assert [name for _, name in fleet.asked] == ["1/2, samples 1/2", "1/2, samples 2/2", "1/2"]
    assert outcome.lost.keys() == {"1/2, samples 1/2", "1/2, samples 2/2"}


def test_a_shard_begins_where_a_piece_of_it_is_lost() -> None:
    asking = Asking()
    failed = Answer(kind="failed", why="disk")
    fleet = Workers({"a": [failed, failed, failed, DONE]})
    outcome = dispatch(fleet, divided(), LIMITS, asking)
    assert outcome.lost == {"1/2, samples 1/2": "disk"}
    assert asking.completed == {"1/2": ["1/2, samples 2/2"]}

"""Hands shards to workers until each has left its part or cannot: one shard a worker at a time."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from validator.cluster.order import Answer, Order
from validator.errors import CannotJudgeError

_NEWS_SECONDS = 30.0
_MOST_SUPPLIES = 3  # of one order to one worker: what is lost again and again is not kept there
_SLOW = 3.0  # times the median, after which an idle worker runs a shard a second time


class LostError(Exception):
    """The scheduler is gone; the text is the reason."""


class TooLargeError(Exception):
    """What a worker left is more than may be sent, from any worker; the text is the reason."""


class Fleet(Protocol):
    """Workers somewhere, each of which runs an order at a time."""

    def workers(self) -> Sequence[str]:
        """The names of the workers that live. LostError where nobody knows any more."""

    def ask(self, worker: str, order: Order) -> None:
        """Give an order to a worker."""

    def answers(self) -> Sequence[tuple[str, Answer]]:
        """What workers answered since the last call. A worker that is gone answers nothing."""

    def supply(self, worker: str, missing: Sequence[str]) -> str:
        """Bring contents to a worker; why that failed, or nothing."""

    def collect(self, worker: str, order: Order, answer: Answer) -> str:
        """Bring what a worker left beside its answer to where others get it; why that failed, or nothing.

        Raises:
            TooLargeError: no worker's can be brought.
        """

    def drop(self, worker: str) -> None:
        """Forget what a worker was asked: it is gone, or another was faster."""


class Asker(Protocol):
    """Who asks for the orders."""

    @property
    def say(self) -> Callable[[str], None]:
        """Gets a line whenever something happens."""

    def keep(self, name: str, part: str) -> None:
        """Keep what an order left, as soon as it is there."""

    def complete(self, order: Order) -> Order:
        """The order with what those before it left."""


@dataclass
class Outcome:
    """Parts by the name of their shard, and why the other shards have none."""

    parts: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Patience:
    """How often a shard is run again, and seconds: without a usable worker, of a slow shard, between looks.

    A shard is slow that takes `slow_seconds` at least, and three times as long as half of the others.
    """

    retries: int
    wait_seconds: float
    slow_seconds: float = 60.0
    poll_seconds: float = 0.2


@dataclass
class _Dispatch:
    fleet: Fleet
    patience: Patience
    client: Asker
    total: int
    waiting: deque[Order]
    outcome: Outcome = field(default_factory=Outcome)
    running: dict[str, tuple[Order, float]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    supplied: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    refused: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    usable: tuple[str, ...] = ()
    unusable: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    news: float = field(default_factory=time.monotonic)
    usable_since: float = field(default_factory=time.monotonic)

    def run(self) -> Outcome:
        while self.waiting or self.running:
            alive = self.fleet.workers()
            self.usable = tuple(worker for worker in alive if worker not in self.unusable)
            for worker in [each for each in self.running if each not in alive]:
                order, _ = self.running.pop(worker)
                self.fleet.drop(worker)
                self._again(worker, order, "the connection to it was lost")
            for worker, answer in self.fleet.answers():
                if worker in self.running:
                    self._heed(worker, answer)
            self.usable = tuple(worker for worker in alive if worker not in self.unusable)
            self._hand_out(self.usable)
            if not self.running and self._is_alone():
                break
            self._tell()
            time.sleep(self.patience.poll_seconds)
        return self.outcome

    def _hand_out(self, usable: Sequence[str]) -> None:
        idle = [worker for worker in usable if worker not in self.running]
        if usable:
            self.usable_since = time.monotonic()
        for worker in idle:
            order = self._next(worker, usable) or self._slow(worker)
            if order is None:
                continue
            self.running[worker] = (order, time.monotonic())
            self.fleet.ask(worker, order)
            self.client.say(f"shard {order.name} on {worker}")

    def _next(self, worker: str, usable: Sequence[str]) -> Order | None:
        """The next order that can begin and that this worker has not failed already, unless all have."""
        unfinished = {order.name for order in (*self.waiting, *(each for each, _ in self.running.values()))}
        for order in self.waiting:
            failed = self.failed[order.name]
            if unfinished.isdisjoint(order.after) and (worker not in failed or set(usable) <= set(failed)):
                self.waiting.remove(order)
                return self.client.complete(order).model_copy(update={"after": ()}) if order.after else order
        return None

    def _slow(self, worker: str) -> Order | None:
        """An order that takes much longer than others did, and that this worker has not failed."""
        if not self.seconds:
            return None
        limit = max(self.patience.slow_seconds, _SLOW * statistics.median(self.seconds))
        names = [order.name for order, _ in self.running.values()]
        for order, since in self.running.values():
            is_alone = names.count(order.name) == 1 and worker not in self.failed[order.name]
            if time.monotonic() - since > limit and is_alone:
                return order
        return None

    def _heed(self, worker: str, answer: Answer) -> None:
        order, since = self.running.pop(worker)
        match answer.kind:
            case "done":
                try:
                    why = self.fleet.collect(worker, order, answer)
                except TooLargeError as error:  # it would be done again for nothing
                    self._lose(order, str(error))
                    return
                if why:
                    self._again(worker, order, why)
                else:
                    self._finish(order, since, answer)
            case "missing":
                if why := self._supply(worker, order, answer):
                    self._again(worker, order, why)
                else:
                    self.running[worker] = (order, since)
                    self.fleet.ask(worker, order)
            case "other-tool":
                self.unusable[worker] = answer.why
                self.client.say(f"{worker} is left out: {answer.why}")
                self._return(order)
            case "refused":  # by the project's fault, or by this host's: another one knows
                self.refused[order.name].add(worker)
                others = set(self.usable) - self.refused[order.name]
                if len(self.refused[order.name]) > 1 or not others:
                    self._lose(order, answer.why)
                else:
                    self._again(worker, order, answer.why)
            case "failed":
                self._again(worker, order, answer.why)

    def _finish(self, order: Order, since: float, answer: Answer) -> None:
        self.outcome.parts[order.name] = answer.part
        self.client.keep(order.name, answer.part)
        self.seconds.append(time.monotonic() - since)
        self._end(order)
        self.client.say(
            f"shard {order.name} is done ({len(self.outcome.parts)} of {self.total}, {answer.seconds:.0f} s)"
        )

    def _supply(self, worker: str, order: Order, answer: Answer) -> str:
        """Bring a worker what it lacks; why that is of no use, or nothing."""
        self.supplied[worker, order.name] += 1
        if self.supplied[worker, order.name] > _MOST_SUPPLIES:
            return "files do not stay there"
        return self.fleet.supply(worker, answer.missing)

    def _again(self, worker: str, order: Order, why: str) -> None:
        """A worker did not do its order; another gets it, or it is lost."""
        self.failed[order.name].append(worker)
        if order.name in [other.name for other, _ in self.running.values()]:
            return  # another worker is on it
        if len(self.failed[order.name]) > self.patience.retries:
            self._lose(order, why)
            return
        self.client.say(f"shard {order.name} is run again: on {worker}, {why}")
        self._return(order)

    def _return(self, order: Order) -> None:
        """Put an order back in front, unless another worker is on it."""
        if order.name not in [other.name for other, _ in self.running.values()]:
            self.waiting.appendleft(order)

    def _lose(self, order: Order, why: str) -> None:
        self._end(order)
        self.outcome.lost[order.name] = why
        self.client.say(f"shard {order.name} is given up: {why}")

    def _end(self, order: Order) -> None:
        """Nobody runs this order any more."""
        for worker in [each for each, (other, _) in self.running.items() if other.name == order.name]:
            del self.running[worker]
            self.fleet.drop(worker)

    def _is_alone(self) -> bool:
        """Whether no usable worker has been there for so long that the rest is given up."""
        if time.monotonic() - self.usable_since <= self.patience.wait_seconds:
            return False
        reasons = "; ".join(f"{worker}: {why}" for worker, why in self.unusable.items())
        why = f"no worker could be used for {self.patience.wait_seconds:g} s" + (
            f" ({reasons})" if reasons else ""
        )
        for order in self.waiting:
            self.outcome.lost[order.name] = why
        self.waiting.clear()
        return True

    def _tell(self) -> None:
        """A line now and then, so that a log shows that the run lives."""
        if time.monotonic() - self.news < _NEWS_SECONDS:
            return
        self.news = time.monotonic()
        left = len(self.waiting) + len(self.running)
        rest = ""
        if self.seconds:
            workers = max(1, len(self.running))
            rest = f", about {statistics.mean(self.seconds) * -(-left // workers) / 60:.0f} min left"
        self.client.say(
            f"{len(self.outcome.parts)} of {self.total} shards are done, {len(self.running)} run, "
            f"{len(self.waiting)} wait{rest}"
        )


def dispatch(
    fleet: Fleet,
    orders: Sequence[Order],
    patience: Patience,
    client: Asker,
) -> Outcome:
    """Run orders on a fleet, and give what they left.

    A worker that is lost, or fails, costs a retry of its shard on another. A shard that no worker can do is
    lost, with the reason.

    Args:
        fleet: the workers.
        orders: a shard each, or some of its samples.
        patience: how much is borne before a shard is given up.
        client: whose orders these are.

    Raises:
        CannotJudgeError: the scheduler is gone; what was kept is not lost.
    """
    run = _Dispatch(fleet, patience, client, len(orders), deque(orders))
    try:
        return run.run()
    except LostError as error:
        done = len(run.outcome.parts)
        raise CannotJudgeError(
            f"the scheduler was lost ({error}); {done} of {len(orders)} shards are done and kept: run the "
            "same command again, which does the rest"
        ) from None

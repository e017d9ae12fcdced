"""The background loop: a slow lane delays no other one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from payment_service.background.loop import PARALLEL, JobLoop, Lanes
from payment_service.key_store.contract import Order
from payment_service.payments.record.order_record import OrderRecord
from tests.support.flow_bench import order_record

PATIENCE_SECONDS = 20.0


@dataclass
class Shops:
    """A job whose records wait until they are handled; those of `hanging` wait for `release`."""

    lanes: Lanes
    hanging: str = "shop-a"
    queue: list[OrderRecord] = field(default_factory=list)
    done: list[Order] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    handled: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    expected: int = 0

    def add(self, client_id: str, count: int) -> None:
        with self.lock:
            self.queue += [
                order_record(Order(False, client_id, f"A-{each}")) for each in range(count)
            ]

    def due(self, limit: int) -> list[OrderRecord]:
        with self.lock:
            return [each for each in self.queue if self.lanes.is_free(each.order)][:limit]

    def run(self, record: OrderRecord) -> bool:
        if record.order.client_id == self.hanging:
            with self.lock:
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            assert self.release.wait(PATIENCE_SECONDS)
            with self.lock:
                self.at_once -= 1
        with self.lock:
            self.queue.remove(record)
            self.done.append(record.order)
            if len(self.done) >= self.expected:
                self.handled.set()
        return True

    def wait_for(self, count: int) -> None:
        with self.lock:
            self.expected = count
            self.handled.clear()
            if len(self.done) >= count:
                return
        assert self.handled.wait(PATIENCE_SECONDS), f"{len(self.done)} of {count}"


@pytest.fixture
def shops() -> Iterator[Shops]:
    lanes = Lanes(lambda order: order.client_id)
    shops = Shops(lanes)
    loop = JobLoop(shops, poll_seconds=0.01, lanes=lanes)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield shops
    shops.release.set()
    loop.stop()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def test_hanging_lane_does_not_delay_the_others(shops: Shops) -> None:
    """The hanging lane has more records than a batch, and all of them come first."""
    shops.add("shop-a", 500)
    shops.add("shop-b", 300)
    shops.wait_for(300)
    assert {order.client_id for order in shops.done} == {"shop-b"}
    shops.add("shop-c", 1)
    shops.wait_for(301)
    assert shops.done[-1].client_id == "shop-c"
    shops.release.set()
    shops.wait_for(801)
    assert len(set(shops.done)) == 801


def test_one_lane_has_at_most_its_share_of_the_threads(shops: Shops) -> None:
    shops.add("shop-a", 50)
    shops.add("shop-b", 50)
    shops.wait_for(50)
    assert shops.most_at_once == PARALLEL


def test_run_once_tries_each_order_once_and_the_rest_behind_it() -> None:
    """Failing records may come due again at once; they must not end or prolong the run."""

    class Failing:
        def __init__(self) -> None:
            self.tried: list[str] = []
            self.failing = [order_record(Order(False, None, f"F-{each}")) for each in range(200)]
            self.good = [order_record(Order(False, None, f"G-{each}")) for each in range(100)]

        def due(self, limit: int) -> list[OrderRecord]:
            tried = [each for each in self.failing if each.order.order_id in self.tried]
            fresh = [each for each in self.failing if each.order.order_id not in self.tried]
            return [*fresh, *self.good, *tried][:limit]

        def run(self, record: OrderRecord) -> bool:
            self.tried.append(record.order.order_id)
            if record in self.good:
                self.good.remove(record)
                return True
            return False

    job = Failing()
    assert JobLoop(job).run_once() == 100
    assert len(job.tried) == len(set(job.tried)) == 300

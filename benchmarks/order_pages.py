"""The time of a page of orders, and its dependence on the number of stored orders.

    python -m benchmarks.order_pages [--orders 1000000] [--stores sqlite,postgresql,redis]

Lower quartiles of 300 pages of 20 orders, in milliseconds, of a store with 10,000 orders and of a
large one, which take turns: the first page of all orders, a page in the middle of a client's paid
ones, and the orders that wait for a capture (one in 500). Then the write of an order, as in
store_cost. A lower quartile, because other programs of the machine only ever add to a time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from benchmarks.filled_stores import NOW, STORES, fill, take_order
from payment_service.key_store import KeyStore
from payment_service.key_store.contract import Position, Selection

SMALL, MEASURED, LIMIT = 10_000, 300, 20

ALL = Selection(livemode=False)
PAID = Selection(livemode=False, client_id="shop-7", statuses=("succeeded",))
RARE = Selection(livemode=False, statuses=("requires_capture",))

Work = Callable[[KeyStore, int], object]


def page(selection: Selection, middle: float, store: KeyStore, orders: int) -> object:
    """Read a page; `middle` is the share of the orders that are newer."""
    before = Position(NOW + orders * 0.01 * (1 - middle) + 1, b"") if middle else None
    found = store.page(selection, LIMIT, before)
    assert found
    return found


class Writes:
    """Writes a new order each time."""

    def __init__(self) -> None:
        self._next = 10_000_000

    def __call__(self, store: KeyStore, _: int) -> None:
        self._next += 1
        take_order(store, self._next)


KINDS: dict[str, Callable[[], Work]] = {
    "first page of all": lambda: partial(page, ALL, 0.0),
    "paid ones of a client, in the middle": lambda: partial(page, PAID, 0.5),
    "waiting for a capture": lambda: partial(page, RARE, 0.0),
    "write of an order": Writes,
}


def measure(work: Work, stores: tuple[tuple[KeyStore, int], ...]) -> list[float]:
    """Return the lower quartile of the milliseconds of each store; the stores take turns."""
    spent: list[list[float]] = [[] for _ in stores]
    for _ in range(MEASURED):
        for (store, orders), times in zip(stores, spent, strict=True):
            started = time.perf_counter()
            work(store, orders)
            times.append(time.perf_counter() - started)
    return [statistics.quantiles(times, n=4)[0] * 1000 for times in spent]


def rows(name: str, orders: int) -> list[str]:
    """Measure a small and a large store of one kind; return the rows of the table."""
    with STORES[name](SMALL) as small, STORES[name](orders) as large:
        fill(small, SMALL)
        fill(large, orders)
        found = []
        for kind, new in KINDS.items():
            few, many = measure(new(), ((small.store, SMALL), (large.store, orders)))
            found.append(f"| {name} | {kind} | {few:.2f} | {many:.2f} | {many / few:.2f} |")
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--stores", default="sqlite,postgresql,redis")
    options = parser.parse_args()
    print(f"| store | work | ms at {SMALL:,} | at {options.orders:,} | ratio |")
    print("|---|---|---|---|---|")
    for name in options.stores.split(","):
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as process:
            print(*process.submit(rows, name, options.orders).result(), sep="\n", flush=True)


if __name__ == "__main__":
    main()

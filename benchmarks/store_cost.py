"""The cost of an order in each store, and its dependence on the number of stored orders.

    python -m benchmarks.store_cost [--orders 1000000] [--stores sqlite,redis]

For an order, the service writes a claim and then the record of its PaymentIntent. Times are medians
of 1,000 sequential orders. CPU is that of this process, without the store's server. Bytes are the
size of the store, divided by the number of orders.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.filled_stores import FEW, STORES, fill, take_order
from payment_service.key_store import KeyStore

MEASURED = 1_000


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_us: float
    wall_us: float


def measure(stores: tuple[KeyStore, ...], first: int) -> list[Cost]:
    """Alternate between the stores, so that other load on the machine affects all alike."""
    spent: list[list[tuple[float, float]]] = [[] for _ in stores]
    for number in range(first, first + MEASURED):
        for store, costs in zip(stores, spent, strict=True):
            cpu, wall = time.process_time(), time.perf_counter()
            take_order(store, number)
            costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    return [Cost(*(statistics.median(each) * 1e6 for each in zip(*c, strict=True))) for c in spent]


def cost(name: str, orders: int) -> str:
    """Measure a small and a large store of one kind; return a row of the table."""
    with STORES[name](FEW) as small, STORES[name](orders) as large:
        fill(small, FEW)
        fill(large, orders)
        taken = large.bytes_taken() / orders
        few, many = measure((small.store, large.store), orders)
    times = f"{few.cpu_us:.0f} | {many.cpu_us:.0f} | {few.wall_us:.0f} | {many.wall_us:.0f}"
    ratios = f"{many.cpu_us / few.cpu_us:.2f} | {many.wall_us / few.wall_us:.2f}"
    return f"| {name} | {taken:.0f} | {times} | {ratios} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--stores", default=",".join(STORES))
    options = parser.parse_args()
    print(
        f"| store | bytes | CPU µs at {FEW:,} | at {options.orders:,} | wall µs at {FEW:,} "
        f"| at {options.orders:,} | CPU ratio | wall ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in options.stores.split(","):
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn) as process:
            print(process.submit(cost, name, options.orders).result(), flush=True)


if __name__ == "__main__":
    main()

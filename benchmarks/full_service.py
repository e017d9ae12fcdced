"""The whole service's rate where a million orders are stored, against a thousand.

    python -m benchmarks.full_service [--orders 1000000] [--rounds 3] [--seconds 5]

Both stores are filled first and stay; the service is started on one and on the other, in turn, and
pressed as in the benchmark's `hold`: Stripe answers in 300 ms, 400 connections. Ratios are within
each round.
"""

from __future__ import annotations

import argparse
from statistics import median

from benchmarks.bench import measured_with
from benchmarks.filled_stores import FEW, STORES, Bench, fill
from benchmarks.load import Load, press
from benchmarks.running import running, stand_in
from benchmarks.servers import ours

CONNECTIONS, STRIPE_SECONDS = 400, 0.3

# A dict in this process cannot be given to a service; "shared memory" is what memory:// is there.
NAMES = [name for name in STORES if name != "memory"]

COLUMNS = (
    "store", "orders", "answers/s", "of those with few", "p50 ms", "of those with few",
    "server CPU ms each", "failed",
)  # fmt: skip


def compare(name: str, orders: int, rounds: int, seconds: int) -> str:
    """Return two lines of the table: a store with few orders and one with many."""
    with STORES[name](FEW) as small, STORES[name](orders) as large:
        fill(small, FEW)
        fill(large, orders)
        pairs = [(_press(small, seconds), _press(large, seconds)) for _ in range(rounds)]
    few, many = (list(each) for each in zip(*pairs, strict=True))
    return f"{_line(name, FEW, few, few)}\n{_line(name, orders, many, few)}"


def _press(bench: Bench, seconds: int) -> Load:
    with stand_in(STRIPE_SECONDS), running(ours("ours", bench.url)) as service:
        return press(service, CONNECTIONS, seconds)


def _line(name: str, orders: int, loads: list[Load], few: list[Load]) -> str:
    rate, p50, cpu = (
        median(getattr(each, of) for each in loads) for of in ("rate", "p50", "cpu_ms")
    )
    pairs = list(zip(loads, few, strict=True))
    of_rate = median(each.rate / base.rate for each, base in pairs)
    of_p50 = median(each.p50 / base.p50 for each, base in pairs)
    failed = sum(each.failed for each in loads)
    return (
        f"| {name} | {orders:,} | {rate:,.0f} | {of_rate:.2f} | {p50:.0f} | {of_p50:.2f} "
        f"| {cpu:.2f} | {failed} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--stores", nargs="+", default=NAMES, choices=NAMES)
    asked = parser.parse_args()
    print(f"{measured_with()}\n\n| {' | '.join(COLUMNS)} |\n|---|---:" + "|---:" * 6 + "|")
    for name in asked.stores:
        print(compare(name, asked.orders, asked.rounds, asked.seconds), flush=True)


if __name__ == "__main__":
    main()

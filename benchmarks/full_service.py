"""The rate of the whole service with a million stored orders, compared with a thousand.

    python -m benchmarks.full_service [--orders 1000000] [--rounds 3] [--seconds 5]

Both stores are filled once. Each round runs the service on one and then on the other, with the
load of the part `hold`: Stripe answers in 300 ms, 400 connections. Ratios are computed within each
round.
"""

from __future__ import annotations

import argparse
from statistics import median

from benchmarks.bench import measured_with
from benchmarks.filled_stores import FEW, STORES, FilledStore, fill
from benchmarks.load import Load, run_load
from benchmarks.running import fake_stripe, running
from benchmarks.servers import ours

CONNECTIONS, STRIPE_SECONDS = 400, 0.3

# The service cannot use a dict of this process; its memory:// store is "shared memory" here.
NAMES = [name for name in STORES if name != "memory"]

COLUMNS = (
    "store", "orders", "answers/s", "of those with few", "p50 ms", "of those with few",
    "server CPU ms each", "failed",
)  # fmt: skip


def compare(name: str, orders: int, rounds: int, seconds: int) -> str:
    """Return two rows of the table: a store with few orders and one with many."""
    with STORES[name](FEW) as small, STORES[name](orders) as large:
        fill(small, FEW)
        fill(large, orders)
        pairs = [(_run_load(small, seconds), _run_load(large, seconds)) for _ in range(rounds)]
    few, many = (list(each) for each in zip(*pairs, strict=True))
    return f"{_line(name, FEW, few, few)}\n{_line(name, orders, many, few)}"


def _run_load(bench: FilledStore, seconds: int) -> Load:
    with fake_stripe(STRIPE_SECONDS), running(ours("ours", bench.url)) as service:
        return run_load(service, CONNECTIONS, seconds)


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
    options = parser.parse_args()
    print(f"{measured_with()}\n\n| {' | '.join(COLUMNS)} |\n|---|---:" + "|---:" * 6 + "|")
    for name in options.stores:
        print(compare(name, options.orders, options.rounds, options.seconds), flush=True)


if __name__ == "__main__":
    main()

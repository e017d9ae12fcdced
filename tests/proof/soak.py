"""python -m tests.proof.soak --minutes N: the long form of tests/proof/test_chaos.py, with a
table."""

from __future__ import annotations

import argparse
import sys
import time

from tests.proof.chaos import Chaos, Tally
from tests.proof.chaos_stores import STORES, ChaosStore


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="in all, shared by the stores")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    stores = given.store or list(STORES)
    failed = False
    for name in stores:
        seconds = given.minutes * 60 / len(stores) / 2
        for forgetful in (False, True):
            tally = soak(name, seconds, given.seed, forgetful=forgetful)
            what = f"{name}, records deleted or rolled back" if forgetful else name
            print(f"\n## {what}, seed {given.seed}\n\n{tally.table()}", flush=True)
            failed |= bool(tally.two_given or tally.unanswered)
            failed |= bool(tally.refunded_twice or tally.refunds_left)
            failed |= bool(tally.two_payable) and tally.keeps
    return 1 if failed else 0


def _chaos(store: ChaosStore, seed: int, forgetful: bool) -> Chaos:
    return Chaos(store, seed=seed, forgetful=forgetful, refunds=True)


def soak(name: str, seconds: float, seed: int, *, forgetful: bool) -> Tally:
    """Run the chaos test once on one store."""
    with STORES[name]() as store, _chaos(store, seed, forgetful) as chaos:
        tally = chaos.run(seconds, threads=24)
        for order_id in tally.strays if tally.keeps else tally.two_given:
            print("\n".join(chaos.story_of(order_id)), flush=True)
        return tally


if __name__ == "__main__":
    sys.exit(main())

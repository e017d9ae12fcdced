"""python -m tests.proof.soak --minutes N: the long form of tests/proof/test_chaos.py, with a
table."""

from __future__ import annotations

import argparse
import sys
import time

from tests.proof.chaos import Chaos
from tests.proof.chaos_stores import STORES, ChaosStore
from tests.proof.gateway_chaos import GatewayChaos
from tests.proof.tally import Tally

# The kinds of runs.
PLAIN, FORGETFUL = "one gateway", "records deleted or rolled back"
GATEWAYS = "two gateways"

# A store that loses the capture of a second gateway can cost a second payment, so that kind is for
# those that keep what they acknowledged.
KEEPING = ("postgresql", "redis", "postgresql-synchronous")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="in all, shared by the runs")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--kind", choices=(PLAIN, FORGETFUL, GATEWAYS), action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    runs = [
        (name, kind)
        for name in given.store or STORES
        for kind in given.kind or (PLAIN, FORGETFUL, GATEWAYS)
        if kind != GATEWAYS or name in KEEPING
    ]
    failed = False
    for name, kind in runs:
        tally = soak(name, given.minutes * 60 / len(runs), given.seed, kind)
        print(f"\n## {name}, {kind}, seed {given.seed}\n\n{tally.table()}", flush=True)
        failed |= tally.failed()
    return 1 if failed else 0


def _chaos(store: ChaosStore, seed: int, kind: str) -> Chaos:
    if kind == GATEWAYS:
        return GatewayChaos(store, seed=seed)
    return Chaos(store, seed=seed, forgetful=kind == FORGETFUL, refunds=True)


def soak(name: str, seconds: float, seed: int, kind: str) -> Tally:
    """Run the chaos test once on one store."""
    with STORES[name]() as store, _chaos(store, seed, kind) as chaos:
        tally = chaos.run(seconds, threads=24)
        for order_id in tally.suspects():
            print("\n".join(chaos.story_of(order_id)), flush=True)
        return tally


if __name__ == "__main__":
    sys.exit(main())

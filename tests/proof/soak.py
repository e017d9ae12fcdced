"""python -m tests.proof.soak --minutes N: the long form of tests/proof/test_chaos.py, with a
table."""

from __future__ import annotations

import argparse
import sys
import time

from tests.proof.chaos import Chaos, Tally
from tests.proof.gateway_chaos import GatewayChaos
from tests.support.servers import Postgres, Redis

# A kind of run, and what it says of itself: a store that forgets does so with one gateway only.
KINDS = {
    "keeps": "that keeps its records",
    "forgets": "that forgets",
    "gateways": "with two gateways",
}

SERVERS: dict[str, type[Postgres] | type[Redis]] = {"postgresql": Postgres, "redis": Redis}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="in all, shared by the runs")
    parser.add_argument("--store", choices=SERVERS, action="append")
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    stores, kinds = given.store or list(SERVERS), given.kind or list(KINDS)
    seconds = given.minutes * 60 / len(stores) / len(kinds)
    failed = False
    for name in stores:
        for kind in kinds:
            tally = soak(name, seconds, given.seed, kind)
            print(f"\n## {name} {KINDS[kind]}, seed {given.seed}\n\n{tally.table()}", flush=True)
            failed |= tally.failed(forgetful=kind == "forgets")
    return 1 if failed else 0


def _chaos(store: Postgres | Redis, seed: int, kind: str) -> Chaos:
    if kind == "gateways":
        return GatewayChaos(store, seed=seed)
    return Chaos(store, seed=seed, forgetful=kind == "forgets", refunds=True)


def soak(name: str, seconds: float, seed: int, kind: str) -> Tally:
    """Run the chaos test once on one store."""
    with SERVERS[name]() as store, _chaos(store, seed, kind) as chaos:
        tally = chaos.run(seconds, threads=24)
        for order_id in tally.two_given if kind == "forgets" else tally.suspects():
            print("\n".join(chaos.story_of(order_id)), flush=True)
        return tally


if __name__ == "__main__":
    sys.exit(main())

"""`make bench`: compare this service with its peers; medians, ratios, a picture.

    python -m benchmarks.bench [--rounds 3] [--seconds 8] [--only hold fast] [--write | --check]

Each round runs every server once, one after the other, and computes ratios within the round, so
that other load on the machine affects all servers alike. All traffic stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import cpu_split, failover, scale, servers, start, steady
from benchmarks.load import Load, run_load
from benchmarks.picture import draw
from benchmarks.results import Result, check, summarize, table
from benchmarks.running import fake_stripe, running
from benchmarks.servers import Server
from tests.support.servers import Postgres, Redis

HERE = Path(__file__).resolve().parent
PARTS = ["hold", "fast", "cpu", "replay", "steady", "start", "failover", "scale"]
TABLE, NUMBERS, PICTURE = HERE / "results.md", HERE / "results.json", HERE / "results.svg"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of load for a set of servers; ratios are relative to `base`."""

    name: str
    title: str
    base: str
    connections: int
    servers: tuple[Server, ...]
    stripe_seconds: float = 0.0
    script: str = "new_orders"
    # Multiplies the seconds of the command line.
    duration_factor: int = 1


def scenarios(on_stores: tuple[Server, ...]) -> list[Scenario]:
    """Return the scenarios that measure maximum throughput."""
    memory = on_stores[0]
    return [
        Scenario(
            "hold", "New orders, Stripe answers in 300 ms, 400 connections", servers.NODE, 400,
            (servers.node(), *on_stores, servers.tutorial(256), servers.fastapi()), 0.3,
            duration_factor=3,
        ),
        Scenario(
            "fast", "New orders, Stripe answers at once, 16 connections", servers.SAMPLE, 16,
            (servers.flask_sample(), *on_stores, servers.node(), servers.tutorial(16),
             servers.fastapi()),
        ),
        Scenario(
            "replay", "The same orders again, 16 connections", servers.ECHO, 16,
            (servers.echo(), memory), script="replays",
        ),
    ]  # fmt: skip


def measure(scenario: Scenario, server: Server, seconds: int) -> Load:
    """Start the servers, apply the load, and stop them."""
    with fake_stripe(scenario.stripe_seconds), running(server) as found:
        load = run_load(
            found, scenario.connections, seconds * scenario.duration_factor, scenario.script
        )
        return replace(
            load,
            first_answer_seconds=found.first_answer_seconds,
            worker_mb=found.worker_bytes() / 1e6,
        )


def measured_with() -> str:
    """Describe the interpreters, because build options change the results by a fifth."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    built = f"{platform.python_compiler()}, {platform.python_build()[1]}"
    return (
        f"CPython {platform.python_version()} ({built}), Node {node.stdout.strip()}, "
        f"{os.cpu_count()} cores."
    )


def main() -> int:
    """Run the selected parts, and print or write the results."""
    options = _options()
    if shutil.which("wrk") is None or shutil.which("node") is None:
        sys.stderr.write("wrk and node are required: apt-get install wrk nodejs\n")
        return 1
    with _stores() as stores:
        results = [
            _result(scenario, options, print)
            for scenario in scenarios(stores)
            if scenario.name in options.only
        ]
        compared = (*stores, servers.node(), servers.flask_sample())
        held = "steady" in options.only
        calm = steady.measure(compared, options.seconds, options.rounds) if held else []
        split = [
            cpu_split.measure(each, options.seconds) for each in stores if "cpu" in options.only
        ]
        begun = "start" in options.only
        starts = start.measure((servers.flask_sample(), *stores, servers.node())) if begun else []
        switched = [
            failover.measure(each, options.seconds) for each in stores if "failover" in options.only
        ]
    scaled = scale.measure(options.seconds) if "scale" in options.only else []
    text = table(results) + (steady.table(calm) if calm else "")
    text += start.table(starts) if starts else ""
    text += cpu_split.table(split) if split else ""
    text += failover.table(switched) if switched else ""
    text += scale.table(scaled) if scaled else ""
    text = f"{measured_with()}\n\n{text}"
    print(text)
    if options.check:
        return check(results, json.loads(NUMBERS.read_text()))
    if options.write and set(options.only) < set(PARTS):
        print("Not written: the written table needs all parts, and only some ran.")
    elif options.write:
        TABLE.write_text(text)
        NUMBERS.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")
        PICTURE.write_text(draw(results))
    return 0


def _result(scenario: Scenario, options: argparse.Namespace, say: Callable[[str], None]) -> Result:
    rounds = []
    for number in range(options.rounds):
        loads = {}
        for server in scenario.servers:
            loads[server.name] = load = measure(scenario, server, options.seconds)
            say(f"{scenario.name} {number + 1}: {server.name}: {load.rate:.0f}/s {load.p50:.1f} ms")
        rounds.append(loads)
    return summarize(scenario.name, scenario.title, scenario.base, rounds)


@contextmanager
def _stores() -> Iterator[tuple[Server, ...]]:
    """Our service on every store, memory first; the others durable and on disk."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        postgres = stack.enter_context(Postgres(disk=None))
        redis = stack.enter_context(Redis(disk=None))
        urls = {
            "memory": "memory://",
            "SQLite": f"sqlite:///{directory}/keys.db",
            "PostgreSQL": postgres.new_url(),
            "Redis": redis.new_url(),
        }
        yield tuple(servers.ours(f"ours, {name}", url) for name, url in urls.items())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="duration of each measurement")
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument(
        "--write", action="store_true", help="write the table, the numbers and the picture"
    )
    parser.add_argument("--check", action="store_true", help="compare with the written numbers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

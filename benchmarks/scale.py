"""Several services on one store: the rate, and the CPU time of each part of an order.

Each service has one worker, its own port and its own load generator. Stripe answers in 300 ms.
All parts share the cores of one machine. So the rate shows what this machine can do, and the CPU
times show what an order costs on machines of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import psutil

from benchmarks import servers
from benchmarks.load import WARM_UP_SECONDS, wrk
from benchmarks.running import RunningServer, cpu_seconds, fake_stripe, running
from tests.support.redis_cluster import RedisCluster
from tests.support.servers import Postgres

SERVICES = (1, 2, 4)
FIRST_PORT = 4270
CONNECTIONS = 400
STRIPE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Scale:
    """One row. Milliseconds of CPU of one order: all services, the store, Stripe's stand-in.

    `idle`: the share of the machine's CPU time that no process used. `failed`: answers other than
    200 and broken connections. Latencies in milliseconds, those of the slowest service.
    """

    store: str
    services: int
    rate: float
    p50: float
    p99: float
    failed: int
    service_ms: float
    store_ms: float
    stripe_ms: float
    idle: float


def measure(seconds: int) -> list[Scale]:
    """Measure each number of services on each store; each number gets a new store."""
    return [
        _measured(name, opened, number, seconds)
        for name, opened in (("PostgreSQL", _postgres), ("Redis Cluster", _cluster))
        for number in SERVICES
    ]


def table(found: Sequence[Scale]) -> str:
    """Return a Markdown table."""
    lines = [
        f"## Several services on one store, Stripe answers in {STRIPE_SECONDS * 1000:.0f} ms, "
        f"{CONNECTIONS} connections in all, {os.cpu_count()} cores for everything",
        "",
        "| store | services | orders/s | p50 ms | p99 ms | failed | CPU ms of an order: services "
        "| store | Stripe's stand-in | idle |",
        "|---|" + "---:|" * 9,
        *(
            f"| {each.store} | {each.services} | {each.rate:,.0f} | {each.p50:.0f} | {each.p99:.0f}"
            f" | {each.failed} | {each.service_ms:.2f} | {each.store_ms:.2f} "
            f"| {each.stripe_ms:.2f} | {each.idle:.0%} |"
            for each in found
        ),
        "",
    ]
    return "\n".join(lines)


@contextmanager
def _postgres() -> Iterator[str]:
    with Postgres(disk=None) as server:
        yield server.new_url()


@contextmanager
def _cluster() -> Iterator[str]:
    with RedisCluster() as cluster:
        yield cluster.new_url()


def _measured(
    name: str, opened: Callable[[], AbstractContextManager[str]], number: int, seconds: int
) -> Scale:
    with ExitStack() as stack:
        before = {each.pid for each in psutil.Process().children()}
        url = stack.enter_context(opened())
        store = [each for each in psutil.Process().children() if each.pid not in before]
        stripe = stack.enter_context(fake_stripe(STRIPE_SECONDS))
        ports = range(FIRST_PORT, FIRST_PORT + number)
        services = [
            stack.enter_context(running(servers.ours(name, url, port, WEB_CONCURRENCY="1")))
            for port in ports
        ]
        load = stack.enter_context(ThreadPoolExecutor(number))

        def run(duration: int) -> list[tuple[int, ...]]:
            each = CONNECTIONS // number
            return list(load.map(lambda port: wrk(each, duration, "new_orders", port), ports))

        run(WARM_UP_SECONDS)
        used = _used(services, store, stripe)
        psutil.cpu_times_percent()
        answered = run(seconds)
        idle = psutil.cpu_times_percent().idle / 100
        spent = [then - now for then, now in zip(_used(services, store, stripe), used, strict=True)]
    requests, micros, p50, p99, not_200, broken = zip(*answered, strict=True)
    orders = sum(requests) - sum(not_200)
    return Scale(
        store=name,
        services=number,
        rate=sum((n - bad) / t * 1e6 for n, bad, t in zip(requests, not_200, micros, strict=True)),
        p50=max(p50) / 1000,
        p99=max(p99) / 1000,
        failed=sum(not_200) + sum(broken),
        service_ms=spent[0] / max(1, orders) * 1000,
        store_ms=spent[1] / max(1, orders) * 1000,
        stripe_ms=spent[2] / max(1, orders) * 1000,
        idle=idle,
    )


def _used(
    services: Sequence[RunningServer], store: Sequence[psutil.Process], stripe: RunningServer
) -> tuple[float, float, float]:
    """Return the seconds of CPU of the services, the store's servers and Stripe's stand-in."""
    return (
        sum(each.cpu_seconds() for each in services),
        sum(map(cpu_seconds, store)),
        stripe.cpu_seconds(),
    )

"""Delivery rate of order events from each store, with one and with two deliverers.

    python -m benchmarks.outbox [--events 2000] [--stores memory,sqlite,postgresql,redis]

Each event needs two writes (claim and completion), a read, a query for due events, and a signed
POST over a keep-alive connection to a shop on this machine that answers at once. The run with two
deliverers shows that they share the work and deliver no event twice.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection
from threading import Thread

from payment_service.background.loop import JobLoop
from payment_service.background.receivers import Posts, Receiver, Receivers
from payment_service.gateways.intent import Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store import KeyStore, open_key_store
from payment_service.key_store.contract import Order
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.record import transitions
from payment_service.payments.record.records import Records
from payment_service.payments.shop_events.catalogue import with_event
from payment_service.payments.shop_events.outbox import Outbox
from tests.support.servers import Postgres, Redis

SECRET = "whsec_benchmark"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def shop(ready: Connection) -> None:
    """A shop that accepts every event: sends its port, then its count on demand."""
    count = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                count += 1
                writer.write(OK)

    async def serve() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(ready.recv):
            ready.send(count)

    asyncio.run(serve())


def fill(store: KeyStore, events: int) -> None:
    """Store paid orders with an undelivered event."""
    now, records = time.time(), Records(store)
    for number in range(events):
        order = Order(livemode=False, client_id=None, order_id=f"O-{number}")
        params = {"amount": 1099, "currency": "usd", "metadata": {"order_id": order.order_id}}
        sent = SentParams("2026-10-28.endive", params)
        held = records.claim(
            transitions.first_claim(
                transitions.Wanted(order, "0" * 64, sent), transitions.Lease("me", now, 35)
            )
        )
        paid = Intent(f"pi_{number:024d}", "", "succeeded", 1099, "usd", int(now), {})
        assert records.replace(held, with_event(transitions.created(held, paid, now), paid, now))


def measure(store: KeyStore, port: int, events: int, deliverers: int) -> float:
    """Return events per second."""
    fill(store, events)
    receivers = Receivers(Receiver(f"http://127.0.0.1:{port}/", (SECRET,)))
    loops = [
        JobLoop(Outbox(Records(store), Posts(receivers), time.time)) for _ in range(deliverers)
    ]
    threads = [Thread(target=loop.run_once) for loop in loops]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    assert not store.due(time.time() + 60, 1)
    for record in list(store.scan()):
        store.forget(record)
    return events / seconds


@contextmanager
def memory() -> Iterator[KeyStore]:
    yield MemoryStore()


@contextmanager
def sqlite() -> Iterator[KeyStore]:
    directory = tempfile.mkdtemp()
    store = open_key_store(f"sqlite:///{directory}/keys.db", timeout_seconds=60)
    yield store
    store.close()
    shutil.rmtree(directory)


@contextmanager
def postgresql() -> Iterator[KeyStore]:
    with Postgres(disk=None) as server:
        store = open_key_store(server.url(), timeout_seconds=60)
        yield store
        store.close()


@contextmanager
def redis() -> Iterator[KeyStore]:
    with Redis(disk=None) as server:
        store = open_key_store(server.url(), timeout_seconds=60)
        yield store
        store.close()


STORES: dict[str, Callable[[], AbstractContextManager[KeyStore]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgresql": postgresql,
    "redis": redis,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--stores", default=",".join(STORES))
    given = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=shop, args=(theirs,), daemon=True)
    process.start()
    port, posts = ours.recv(), 0
    print(f"{given.events} events; events per second with 1 and 2 deliverers, and duplicate posts")
    for name in given.stores.split(","):
        with STORES[name]() as store:
            rates = [measure(store, port, given.events, count) for count in (1, 2)]
        ours.send(True)
        before, posts = posts, ours.recv()
        excess = posts - before - 2 * given.events
        print(f"{name:<12}{rates[0]:>8.0f}{rates[1]:>8.0f}{excess:>8}")
    process.terminate()


if __name__ == "__main__":
    main()

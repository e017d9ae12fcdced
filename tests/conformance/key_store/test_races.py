"""Many at once, in threads and in processes: every claim and every version has one owner."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection

import pytest
from msgspec.structs import replace

from payment_service.key_store import KeyStore, open_key_store
from tests.support.key_stores import DISTANT, SHARED, STORES, Place, order, record
from tests.support.servers import Postgres

PROCESSES = 4
THREADS = 8
CROWD = 32
ORDERS = [f"A-{number}" for number in range(8)]

# A race on two busy cores is no measure of how long one operation takes.
PATIENCE_SECONDS = 20.0

_start: list[threading.Barrier] = []


def together(count: int, act: Callable[[int], list[str]]) -> list[list[str]]:
    """Let that many threads act at the same moment."""
    barrier = threading.Barrier(count)

    def run(number: int) -> list[str]:
        barrier.wait(30)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def claim_all(store: KeyStore, owner: str) -> list[str]:
    return [store.claim(record(name, owner)).owner for name in ORDERS]


def win_versions(store: KeyStore, owner: str) -> list[str]:
    """Replace each order's first version; return those that were won."""
    held = [record(name, "first") for name in ORDERS]
    return [r.order.order_id for r in held if store.replace(r, replace(r, version=2, owner=owner))]


def raise_versions(store: KeyStore, owner: str) -> list[str]:
    """Replace the current record of each order a few times; return the replacements that won."""
    won = []
    for name in ORDERS * 3:
        held = store.read(order(name))
        assert held is not None
        if store.replace(held, replace(held, version=held.version + 1, owner=owner)):
            won.append(name)
    return won


def claim_and_tell(place: Place, pipe: Connection) -> None:
    """Claim with many threads, and tell of each that was answered, until killed."""
    store = place.open(PATIENCE_SECONDS)
    telling = threading.Lock()

    def claim(number: int) -> list[str]:
        for turn in range(100_000):
            held = store.claim(record(f"{number}-{turn}"))
            with telling:
                pipe.send(held.order.order_id)
        return []

    together(CROWD, claim)


def keep_barrier(barrier: threading.Barrier) -> None:
    _start.append(barrier)


def claim_in_process(place: Place, owner: str) -> list[str]:
    """Open the store and claim, at the same moment as the other processes do."""
    _start[0].wait(30)
    store = place.open(PATIENCE_SECONDS)
    try:
        return claim_all(store, owner)
    finally:
        store.close()


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, context, keep_barrier, (barrier,)) as pool:
        yield pool


@pytest.mark.parametrize("place", [*STORES, *DISTANT], indirect=True)
def test_claims_of_many_threads_have_one_owner(place: Place) -> None:
    store = place.open(PATIENCE_SECONDS)
    owners = together(THREADS, lambda number: claim_all(store, f"{number}"))
    assert len(set(map(tuple, owners))) == 1
    store.close()


@pytest.mark.parametrize("place", [*STORES, *DISTANT], indirect=True)
def test_of_many_that_replace_one_version_one_succeeds(place: Place) -> None:
    store = place.open(PATIENCE_SECONDS)
    claim_all(store, "first")
    won = together(THREADS, lambda number: win_versions(store, f"{number}"))
    assert Counter(name for names in won for name in names) == Counter(ORDERS)
    for number, names in enumerate(won):
        assert {held.owner for held in map(store.read, map(order, names)) if held} <= {f"{number}"}
    store.close()


@pytest.mark.parametrize("place", [*STORES, *DISTANT], indirect=True)
def test_of_many_threads_on_few_orders_every_success_is_one_version(place: Place) -> None:
    """Each operation of a batch must get its own result."""
    store = place.open(PATIENCE_SECONDS)
    claim_all(store, "first")
    won = together(CROWD, lambda number: raise_versions(store, f"{number}"))
    wins = Counter(name for names in won for name in names)
    held = [store.read(order(name)) for name in ORDERS]
    assert [each.version for each in held if each] == [1 + wins[name] for name in ORDERS]
    store.close()


@pytest.mark.parametrize("place", [*SHARED, *DISTANT], indirect=True)
def test_acknowledged_writes_survive_a_kill_of_the_process(place: Place) -> None:
    """No operation of a batch may return before the commit."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=claim_and_tell, args=(place, theirs), daemon=True)
    process.start()
    theirs.close()
    told = [mine.recv() for _ in range(200)]
    process.kill()
    process.join(20)
    with suppress(EOFError):
        while True:
            told.append(mine.recv())
    store = place.open(PATIENCE_SECONDS)
    assert set(told) <= {held.order.order_id for held in store.scan()}
    store.close()


@pytest.mark.parametrize("place", [*SHARED, *DISTANT], indirect=True)
def test_another_handle_sees_the_writes(place: Place, store: KeyStore) -> None:
    other = place.open()
    assert store.claim(record()) == record()
    assert other.read(order()) == record()
    assert other.claim(record(owner="second")) == record()
    other.close()
    assert store.read(order()) == record()


@pytest.mark.parametrize("place", [*SHARED, *DISTANT], indirect=True)
def test_claims_of_many_processes_have_one_owner(
    place: Place, processes: ProcessPoolExecutor
) -> None:
    """They open a store that has no table yet, too, all at the same moment."""
    tasks = [processes.submit(claim_in_process, place, f"{n}") for n in range(PROCESSES)]
    owners = [task.result(60) for task in tasks]
    assert len(set(map(tuple, owners))) == 1


def test_ten_may_prepare_the_database_at_once(postgres_server: Postgres) -> None:
    url = postgres_server.new_url()

    def prepare(number: int) -> list[str]:
        store = open_key_store(url, timeout_seconds=PATIENCE_SECONDS)
        try:
            return [store.claim(record(owner=f"{number}")).owner]
        finally:
            store.close()

    assert len(set(map(tuple, together(10, prepare)))) == 1


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_claims_race_well_where_transactions_are_serializable(
    place: Place, postgres_server: Postgres
) -> None:
    """The server undoes some claims, and the store sends them again."""
    url = f"{place.where}%20-c%20default_transaction_isolation%3Dserializable"
    store = open_key_store(url, timeout_seconds=PATIENCE_SECONDS)
    owners = together(THREADS, lambda number: claim_all(store, f"{number}"))
    assert len(set(map(tuple, owners))) == 1
    won = together(THREADS, lambda number: win_versions(store, f"{number}"))
    assert sum(map(len, won)) <= len(ORDERS)
    store.close()

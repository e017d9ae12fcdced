"""Lists after an upgrade: records of the release before, and its processes that still run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import asdict, replace
from redis import Redis as Client

from payment_service.background.enlisting import Enlisting
from payment_service.background.loop import JobLoop
from payment_service.key_store import KeyStore, open_key_store
from payment_service.key_store.contract import KeyRecord, Selection
from payment_service.key_store.order_key import order_key
from payment_service.key_store.redis.record import record_key
from payment_service.key_store.statements import statement
from payment_service.payments.record.records import Records
from tests.support.key_stores import NOW, order, record
from tests.support.servers import Postgres, Redis

TEST = Selection(livemode=False)
ALARMS = replace(TEST, alarm_by=NOW + 1e6)

PARAMS = '{"api_version": "v", "params": {"amount": 1099, "currency": "usd"}}'
TWO_PAID = json.dumps({"history": [{"at": NOW, "what": "two_paid", "payment_intent_id": "pi_2"}]})

# The columns of the release before.
NAMES = (
    *("attempt", "fingerprint", "params", "state", "owner", "locked_until", "first_sent_at"),
    *("updated_at", "version", "saved_5xx", "payment_intent_id", "payment_status", "follow_up"),
    "due_at",
)
COLUMNS = ", ".join(("key", *NAMES))

Write = Callable[[KeyRecord], None]


def first(order_id: str, **more: Any) -> KeyRecord:
    held = record(order(order_id, "shop-a"), params=PARAMS)
    return replace(held, **{"state": "created", "payment_status": "succeeded", **more})


def row(held: KeyRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(held).items() if name in NAMES}


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Iterator[tuple[str, Write]]:
    path = tmp_path / "keys.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(statement("sqlite", "schema_1.sql"))
        connection.execute("PRAGMA user_version = 1")
        values = ", ".join(f":{name}" for name in ("key", *NAMES))
        changes = ", ".join(f"{name} = :{name}" for name in NAMES)

        def write(held: KeyRecord) -> None:
            sql = f"INSERT INTO key_records ({COLUMNS}) VALUES ({values}) "
            sql += f"ON CONFLICT (key) DO UPDATE SET {changes}"
            connection.execute(sql, {**row(held), "key": order_key(held.order)})

        yield f"sqlite:///{path}", write


@pytest.fixture
def in_postgres(postgres_server: Postgres) -> Iterator[tuple[str, Write]]:
    url = postgres_server.new_url()
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("versions", "schema_1"):
            connection.execute(statement("postgres", f"{name}.sql").encode())
        connection.execute("INSERT INTO key_store_versions VALUES (1)")
        values = ", ".join(f"%({name})s" for name in ("key", *NAMES))
        changes = ", ".join(f"{name} = %({name})s" for name in NAMES)

        def write(held: KeyRecord) -> None:
            sql = f"INSERT INTO key_records ({COLUMNS}) VALUES ({values}) "
            sql += f"ON CONFLICT (key) DO UPDATE SET {changes}"
            key = order_key(held.order).encode()
            connection.execute(sql.encode(), {**row(held), "key": key})

        yield url, write


@pytest.fixture
def in_redis(redis_server: Redis) -> Iterator[tuple[str, Write]]:
    url = redis_server.new_url()
    with Client.from_url(url) as client:

        def write(held: KeyRecord) -> None:
            text = json.dumps({k: v for k, v in row(held).items() if k not in ("owner", "version")})
            fields = {"owner": held.owner, "version": held.version, "record": text}
            client.hset(record_key(held.order), mapping=fields)

        yield url, write


@pytest.fixture(params=["in_sqlite", "in_postgres", "in_redis"])
def earlier(request: pytest.FixtureRequest) -> tuple[str, Write]:
    """An empty store of the release before: its URL, and its write of a record."""
    found: tuple[str, Write] = request.getfixturevalue(request.param)
    return found


def enlist(store: KeyStore, *, again: bool = False) -> int:
    return JobLoop(Enlisting(Records(store), lambda: NOW, again=again)).run_once()


def listed(store: KeyStore, selection: Selection = TEST) -> list[str]:
    return [each.order.order_id for each in store.page(selection, 100)]


def test_records_of_the_release_before_are_added_to_the_lists(earlier: tuple[str, Write]) -> None:
    url, write = earlier
    for number in range(600):
        write(first(f"A-{number}", updated_at=NOW + number))
    write(first("doubled", updated_at=NOW + 999, follow_up=TWO_PAID))
    with closing(open_key_store(url)) as store:
        assert store.read(first("A-1").order) == first("A-1", updated_at=NOW + 1)
        assert listed(store) == []
        assert enlist(store) == 601
        assert listed(store)[:2] == ["doubled", "A-599"]
        assert listed(store, ALARMS) == ["doubled"]
        assert sum(1 for _ in store.scan()) == 601
        assert enlist(store) == enlist(store, again=True) == 0


def test_a_record_in_flight_is_left_to_its_owner(earlier: tuple[str, Write]) -> None:
    url, write = earlier
    write(first("mine", state="pending", payment_status=None, locked_until=NOW + 4))
    write(first("lost", state="pending", payment_status=None, locked_until=NOW - 60))
    with closing(open_key_store(url)) as store:
        assert enlist(store) == 1
        assert listed(store) == ["lost"]
        held = store.read(first("mine").order)
        assert held
        assert store.replace(held, replace(held, version=2, state="rejected"))
        assert sorted(listed(store)) == ["lost", "mine"]


def test_processes_of_the_release_before_may_write_between_ours(earlier: tuple[str, Write]) -> None:
    url, write = earlier
    with closing(open_key_store(url)) as store:
        ours = store.claim(first("ours", alarm_at=NOW))
        assert listed(store) == listed(store, ALARMS) == ["ours"]
        theirs = replace(ours, version=2, payment_status="canceled", updated_at=NOW + 5)
        write(theirs)
        write(first("theirs", follow_up=TWO_PAID, updated_at=NOW + 6))
        listed(store)
        assert enlist(store, again=True) == 2
        assert listed(store) == ["theirs", "ours"]
        assert listed(store, replace(TEST, statuses=("canceled",))) == ["ours"]
        assert listed(store, replace(TEST, statuses=("succeeded",))) == ["theirs"]
        assert listed(store, ALARMS) == ["theirs"]
        assert listed(store, replace(TEST, client_id="shop-a")) == ["theirs", "ours"]


def test_the_release_before_can_read_what_ours_writes(redis_server: Redis) -> None:
    """It rejects a name in the JSON text that it does not know."""
    url = redis_server.new_url()
    with closing(open_key_store(url)) as store, Client.from_url(url) as client:
        held = first("A-1", alarm_at=NOW, due_at=NOW)
        store.claim(held)
        text = client.hget(record_key(held.order), "record")
        assert set(json.loads(text)) <= set(NAMES)

"""A database's configuration must not change the text that is stored or read."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from payment_service.key_store import open_key_store, refuse_unusable
from payment_service.key_store.contract import StoreUnavailable
from tests.support.key_stores import order, record
from tests.support.sandbox_process import ROOT
from tests.support.servers import Postgres, Redis, free_port

EVERY_CHARACTER = '{"a":"é 名 🛒 \\\\ \\""}'

# Settings that a role or a database may have.
ROLE_SETTINGS = (
    "extra_float_digits = -15",
    "bytea_output = escape",
    "client_encoding = 'LATIN1'",
    "DateStyle = 'German'",
    "IntervalStyle = sql_standard",
    "TimeZone = 'Asia/Kathmandu'",
)


@pytest.mark.parametrize("setting", ROLE_SETTINGS)
def test_role_settings_change_nothing(setting: str, postgres_server: Postgres) -> None:
    role = f"role_{ROLE_SETTINGS.index(setting)}"
    postgres_server.run(f"CREATE ROLE {role} LOGIN SUPERUSER")
    postgres_server.run(f"ALTER ROLE {role} SET {setting}")
    url = postgres_server.new_url().replace("postgres:secret-word", role)
    store = open_key_store(url, timeout_seconds=20)
    full = record(params=EVERY_CHARACTER, first_sent_at=1_800_000_000.123456, due_at=0.1 + 0.2)
    store.claim(full)
    assert store.read(order()) == full
    assert list(store.scan()) == [full]
    store.close()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "UTF8"])
def test_orders_in_one_batch_keep_every_character(encoding: str, postgres_server: Postgres) -> None:
    store = open_key_store(postgres_server.new_database(encoding), timeout_seconds=20)
    records = [record(f"名-{n}", params=EVERY_CHARACTER, owner=f"ö{n}") for n in range(60)]
    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(store.claim, records)) == records
    assert {each.order.order_id: each for each in store.scan()} == {
        each.order.order_id: each for each in records
    }
    store.close()


def test_environment_does_not_set_the_encoding(
    postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    store = open_key_store(postgres_server.new_url(), timeout_seconds=20)
    full = record(params=EVERY_CHARACTER)
    assert store.claim(full) == full
    assert store.read(order()) == full
    store.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "EUC_JP"])
def test_database_without_unicode_is_rejected(
    encoding: str, postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres_server.new_database(encoding)
    with pytest.raises(ValueError, match=f"encoding is {encoding}, .* ENCODING 'UTF8'"):
        refuse_unusable(url)
    store = open_key_store(url)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.claim(record())
    lines = [line for line in caplog.messages if f"encoding is {encoding}" in line]
    assert len(lines) == 1
    assert {each.levelno for each in caplog.records if encoding in each.message} == {logging.ERROR}
    store.close()


def test_server_that_is_down_is_not_rejected() -> None:
    refuse_unusable(f"postgresql://me:hunter2@127.0.0.1:{free_port()}/db", 0.5)


def test_database_without_unicode_stops_the_start(postgres_server: Postgres) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "STRIPE_SECRET_KEY": "sk_test_abc",
        "KEY_STORE_URL": postgres_server.new_database("LATIN1"),
        "PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "gunicorn", "stripe_back_end_api:app"]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "Settings: KEY_STORE_URL: the PostgreSQL database's encoding is LATIN1"
    )
    assert "secret-word" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["decode_responses=True", "encoding=latin-1"])
def test_redis_url_does_not_set_the_encoding(option: str, redis_server: Redis) -> None:
    store = open_key_store(f"{redis_server.new_url()}?{option}")
    full = record("名", params=EVERY_CHARACTER)
    assert store.claim(full) == full
    assert store.read(order("名")) == full
    assert list(store.scan()) == [full]
    store.close()


def test_utf_16_sqlite_file_is_rejected(quick_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite in UTF-16 reads U+FFFF as U+FFFD, so two orders would share a key."""
    path = quick_path / "keys.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA encoding = 'UTF-16le'")
        made.execute("CREATE TABLE other (n)")
    store = open_key_store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="encoding is not UTF-8"):
        store.claim(record())
    assert "encoding is not UTF-8" in caplog.text
    store.close()

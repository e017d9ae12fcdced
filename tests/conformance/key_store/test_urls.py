"""The URL selects the store; a wrong URL is reported at once, without its password."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback

import pytest

from payment_service.key_store import SCHEMES, open_key_store, validate_url
from payment_service.key_store.contract import StoreUnavailable
from payment_service.key_store.shared_directory import shared_directory
from payment_service.key_store.sqlite.store import sqlite_path
from payment_service.settings import SettingsError, load_settings
from tests.support.key_stores import record
from tests.support.sandbox_process import ROOT
from tests.support.servers import Postgres, Redis, free_port

WRONG = [
    "mysql://me:hunter2@host/db",
    "hunter2",
    "",
    "sqlite://keys.db",
    "sqlite:///",
    "sqlite:///:memory:",
    "sqlite:///keys.db?mode=hunter2",
    "memory:",
    "memory://hunter2",
    "memory:////tmp/hunter2/orders.db",
    "postgresql://me:hunter2@host:port/db",
    "postgresql://me:hunter2@host/db?nosuch=hunter2",
    "postgresql://me:hunter2%zz@host/db",
    "postgresql://me:hunter2 x@host/db",
    "postgresql://me:hunter2@[::1/db",
    "postgresql://me:hunter2@host:99999/db",
    "postgresql://me:hunter2@host:0/db",
    "postgresql:hunter2",
    "redis://me:hunter2@host:port/0",
    "redis://me:hunter2@host/0?nosuch=hunter2",
    "redis://me:hunter2@host/0?db=hunter2",
    "redis://me:hunter2@host/0?socket_timeout=abc",
    "redis://me:hunter2@host/abc",
    "redis://me:hunter2@host/0/1",
    "redis://me:hunter2#@host/0",
    "redis://me:hunter2@host:65536/0",
    "redis://me:hunter2@a host/0",
    "redis://[hunter2",
    "rediss://me:hunter2@host?ssl_cert_reqs=zzz",
    "redis://me:hunter2@one,two/0",
    "redis://me:hunter2@host/0?wait_replicas=hunter2",
    "redis+cluster://me:hunter2@host:port",
    "redis+cluster://me:hunter2@one:6379,two:65536",
    "redis+cluster://me:hunter2@one,/",
    "redis+cluster://me:hunter2@host/3",
    "redis+cluster://me:hunter2@host?nosuch=hunter2",
    "rediss+cluster://me:hunter2@host?ssl_cert_reqs=zzz",
    "redis+sentinel://me:hunter2@host",
    "redis+sentinel://me:hunter2@host/one/two",
    "redis+sentinel://me:hunter2@a host/service",
]


# A store may find its directory later, the start of a service may not.
NO_PLACE = ["sqlite:////nonexistent-hunter2/keys.db", "sqlite:////tmp", "sqlite:///keys.db/"]


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_is_an_error_that_does_not_show_it(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        open_key_store(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", [*(url for url in WRONG if url), *NO_PLACE])
def test_the_settings_stop_at_a_wrong_url(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"STRIPE_SECRET_KEY": "sk_test_abc", "KEY_STORE_URL": url})
    scheme = url.partition(":")[0].replace("rediss", "redis")
    rule = f"a {scheme} URL" if scheme in SCHEMES else "unknown scheme: use one of memory://"
    assert str(caught.value).startswith(f"Settings: KEY_STORE_URL: {rule}")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///keys.db",
        "postgresql:///db?host=/tmp",
        "postgresql://me:p%20w@one:5432,two:5433/db",
        "postgresql://one,two/db",
        "redis://host",
        "rediss://me:p%20w@host:6379/1?ssl_cert_reqs=none",
        "redis://host?wait_replicas=1",
        "redis+cluster://me:p%20w@one:6379,[::1]:6380,three",
        "rediss+cluster://one/?ssl_cert_reqs=none&wait_replicas=1",
        "redis+sentinel://me:p%20w@one,two:26380/my-service?sentinel_password=p%20w",
    ],
)
def test_a_scheme_may_be_in_capitals(url: str) -> None:
    scheme, _, rest = url.partition(":")
    assert validate_url(f"{scheme.upper()}:{rest}") == validate_url(url) == url


def test_shared_memory_must_be_in_the_masters_directory() -> None:
    url = f"memory://{shared_directory()}/orders.db"
    assert validate_url(url) == url
    for wrong in (f"{shared_directory()}-gone/orders.db", f"{shared_directory()}/../orders.db"):
        with pytest.raises(ValueError):
            validate_url(f"memory://{wrong}")


def test_an_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(ValueError) as caught:
        open_key_store("mysql://host/db")
    assert all(f"{scheme}://" in str(caught.value) for scheme in SCHEMES)


def test_a_sqlite_path_is_relative_or_absolute() -> None:
    assert sqlite_path("sqlite:///keys.db") == "keys.db"
    assert sqlite_path("sqlite:////var/lib/keys.db") == "/var/lib/keys.db"


def test_a_driver_is_loaded_only_for_its_store() -> None:
    code = "import sys; print(*({'sqlite3', 'psycopg', 'redis'} & set(sys.modules)))"
    store = "key_store.open_key_store(key_store.validate_url('memory://'))"
    asked = [sys.executable, "-c", f"from payment_service import key_store; {store}; {code}"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def shown(url: str, caplog: pytest.LogCaptureFixture) -> str:
    """All that a store of that URL says when it cannot be used."""
    caplog.set_level(logging.DEBUG)
    store = open_key_store(url, timeout_seconds=0.3)
    with pytest.raises(StoreUnavailable) as caught:
        store.claim(record())
    store.close()
    return "".join(traceback.format_exception(caught.value)) + repr(store) + caplog.text


def test_a_password_is_not_shown_if_the_server_is_down(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    assert "hunter2" not in shown(f"postgresql://me:hunter2@127.0.0.1:{port}/db", caplog)
    assert "hunter2" not in shown(f"redis://me:hunter2@127.0.0.1:{port}/0", caplog)


def test_a_password_that_is_refused_is_not_shown(
    postgres_server: Postgres, redis_server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    postgres_server.run("CREATE ROLE nobody NOLOGIN PASSWORD 'hunter2'")
    assert "hunter2" not in shown(
        postgres_server.url().replace("postgres:secret-word", "nobody:hunter2"), caplog
    )
    assert "hunter2" not in shown(redis_server.url().replace("//", "//me:hunter2@"), caplog)


def test_a_server_without_the_table_is_unavailable(postgres_server: Postgres) -> None:
    """The file was removed while the service ran: its orders must not count as new ones."""
    url = postgres_server.new_url()
    store = open_key_store(url)
    store.claim(record())
    postgres_server.run(f"DROP SCHEMA {url.rpartition('%3D')[2]} CASCADE")
    with pytest.raises(StoreUnavailable):
        store.claim(record())
    store.close()


def test_redis_that_can_lose_orders_is_warned_of(
    redis_server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    open_key_store(redis_server.new_url()).close()
    assert caplog.text == ""
    forgets = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
    with Redis(*forgets) as server:
        open_key_store(server.url()).close()
    assert "maxmemory-policy" in caplog.text
    assert "appendonly" in caplog.text

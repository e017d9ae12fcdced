"""The URL selects the store; a wrong URL is reported at once, without its password."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from pathlib import Path

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
    "rediss+sentinel://me:hunter2@host/service?ssl_cert_reqs=zzz",
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
        "redis+sentinel://one,[::1]:26380/my-service",
        "rediss+sentinel://one,two/my-service?ssl_cert_reqs=none&sentinel_password=p%20w",
    ],
)
def test_a_scheme_may_be_in_capitals(url: str) -> None:
    scheme, _, rest = url.partition(":")
    assert validate_url(f"{scheme.upper()}:{rest}") == validate_url(url) == url


def test_heroku_s_scheme_is_postgresql_s() -> None:
    assert validate_url("Postgres://me:pw@host/db") == "postgresql://me:pw@host/db"
    settings = load_settings({"STRIPE_SECRET_KEY": "sk_test_a", "KEY_STORE_URL": "postgres://u@h/"})
    assert settings.key_store_url.get_secret_value() == "postgresql://u@h/"


def test_orders_are_stored_under_either_scheme(postgres_server: Postgres) -> None:
    url = postgres_server.new_url().replace("postgresql://", "postgres://")
    store = open_key_store(url)
    made = store.claim(record())
    assert store.read(made.order) == made
    store.close()


REFUSED = [
    ("postgresql://u:p@h/d?sslmode=no-verify", 'invalid sslmode value: "no-verify"'),
    ("postgres://u:p@h/d?sslmode=no-verify", 'invalid sslmode value: "no-verify"'),
    ("postgresql://u:p@a:1,b:2/d?sslmode=on", 'invalid sslmode value: "on"'),
    ("postgresql://u:p@h/d?nosuch=hunter2", 'invalid URI query parameter: "nosuch"'),
    ("postgresql://u:p@h/d?pgbouncer=true", 'invalid URI query parameter: "pgbouncer"'),
    ("postgresql://u:p@h/d?target_session_attrs=any1", "invalid target_session_attrs value"),
    ("postgresql://u:p@h/d?channel_binding=1", "invalid channel_binding value"),
    ("postgresql://u:p@h/d?require_auth=hunter", "invalid require_auth value"),
    ("postgresql://u:p@h/d?load_balance_hosts=1", "invalid load_balance_hosts value"),
    ("postgresql://u:p@h/d?ssl_min_protocol_version=1", "ssl_min_protocol_version"),
    ("postgresql://u:p@h/d?sslmode=require&sslrootcert=system", "weak sslmode"),
    ("postgresql://u:p@h/d?keepalives_idle=abc", '"keepalives_idle"'),
    ("postgresql://u:p@h/d?connect_timeout=abc", '"connect_timeout"'),
    (
        "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=/nonexistent/ca.pem",
        'root certificate file "/nonexistent/ca.pem" does not exist',
    ),
    ("redis://u:p@h/0?nosuch=hunter2", "unexpected keyword argument 'nosuch'"),
    ("redis://u:p@h/0?ssl_cert_reqs=none", "unexpected keyword argument 'ssl_cert_reqs'"),
    ("redis://u:p@h/0?socket_timeout=abc", "Invalid value for 'socket_timeout'"),
    ("rediss://u:p@h/0?ssl_ca_certs=/nonexistent/ca.pem", "ssl_ca_certs: there is no such file"),
    ("rediss://u:p@h/0?ssl_certfile=/nonexistent/ca.pem", "ssl_certfile: there is no such file"),
]


@pytest.mark.parametrize(("url", "sentence"), REFUSED)
def test_option_that_a_driver_never_accepts_is_named(url: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        validate_url(url)
    assert "URL cannot have this option: " in str(caught.value)
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_option_of_the_environment_that_libpq_never_accepts_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSSLMODE", "no-verify")
    with pytest.raises(ValueError, match="invalid sslmode value"):
        validate_url("postgresql://u:p@h/d")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter?2=x@h/d?y",
        "postgresql://u:hunter/2@h/d",
        "postgresql://u:pw@h:hunter/d",
        "postgresql://u:pw@h/d?hunter=a@b",
        "redis://u:pa?hunter=2@h/0",
    ],
)
def test_piece_of_a_password_is_not_taken_for_an_option(url: str) -> None:
    said = ""
    try:
        validate_url(url)
    except ValueError as wrong:
        said = str(wrong)
    assert "hunter" not in said


def test_options_that_drivers_accept_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    for url in (
        "postgresql://u:p@h/d?sslmode=require",
        "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=system",
        f"postgresql://u:p@h/d?sslmode=verify-ca&sslrootcert={tmp_path}/ca.pem",
        "postgresql://u:p@a,b/d?target_session_attrs=read-write&load_balance_hosts=random",
        "postgresql://u:p@h/d?ssl=true",
        "postgresql:///d?host=/var/run/postgresql&keepalives=1",
        "postgresql://u:p@h/d?gssencmode=prefer&connect_timeout=5",
        "postgresql://u:p@h/d?hostaddr=10.0.0.1",
        "rediss://u:p@h/0?ssl_cert_reqs=none",
        "redis://h/0?health_check_interval=5",
    ):
        assert validate_url(url) == url


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

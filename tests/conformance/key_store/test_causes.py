"""The cause of a failure: its class in the error, the driver's words in one line of the log."""

from __future__ import annotations

import os
import signal
import sqlite3
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis.exceptions
from msgspec.structs import replace
from psycopg import errors
from redis import Redis as Client

from payment_service.key_store import open_key_store, refuse_unusable
from payment_service.key_store.contract import Cause, StoreUnavailable
from payment_service.key_store.postgres import faults as postgres_faults
from payment_service.key_store.redis import faults as redis_faults
from payment_service.settings import load_settings
from payment_service.wiring import open_payments
from stripe_back_end_api import create_app
from tests.support.key_stores import NOW, TIMEOUT_SECONDS, order, record
from tests.support.redis_cluster import until
from tests.support.servers import Postgres, Redis, free_port


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if "key store failed" in line]


def assert_fails(url: str, cause: Cause, words: str, caplog: pytest.LogCaptureFixture) -> None:
    """The start is not stopped, each operation has the cause, and the log has it once."""
    refuse_unusable(url, TIMEOUT_SECONDS)
    store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
    for use in (store.ping, lambda: store.claim(record()), store.ping):
        with pytest.raises(StoreUnavailable, match=words) as caught:
            use()
        assert caught.value.cause == cause
    store.close()
    (line,) = failures(caplog)
    assert words in line
    assert [each.cause for each in caplog.records if "failed" in each.message] == [cause]  # type: ignore[attr-defined]
    assert "hunter2" not in caplog.text


@pytest.fixture
def role(postgres_server: Postgres) -> Iterator[str]:
    """A role without rights, which needs its password."""
    postgres_server.run("CREATE ROLE limited LOGIN PASSWORD 'right-word'")
    rules = postgres_server.directory / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all limited 127.0.0.1/32 scram-sha-256\n{before}")
    postgres_server.run("SELECT pg_reload_conf()")
    yield "limited:right-word"
    rules.write_text(before)
    postgres_server.run("SELECT pg_reload_conf()")
    postgres_server.run("DROP OWNED BY limited")
    postgres_server.run("DROP ROLE limited")


def url_of(server: Postgres, user: str) -> str:
    """Return the URL of a new schema for a user."""
    return server.new_url().replace("postgres:secret-word", user)


def test_wrong_password_for_postgresql(
    role: str, postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = url_of(postgres_server, "limited:hunter2")
    assert_fails(url, "authentication", "password authentication failed", caplog)


def test_unknown_role(postgres_server: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    url = url_of(postgres_server, "nobody-knows:hunter2")
    assert_fails(url, "authentication", 'role "nobody-knows" does not exist', caplog)


def test_unknown_database(postgres_server: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    url = postgres_server.url("hunter2").rpartition("/")[0] + "/gone"
    assert_fails(url, "no_database", 'database "gone" does not exist', caplog)


def test_postgresql_without_tls(
    postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{postgres_server.url('hunter2')}?sslmode=require"
    assert_fails(url, "tls", "server does not support SSL", caplog)


def test_too_many_connections(
    role: str, postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    postgres_server.run("ALTER ROLE limited CONNECTION LIMIT 0")
    assert_fails(url_of(postgres_server, role), "busy", "too many connections", caplog)


def test_no_right_to_create_the_table(
    role: str, postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = url_of(postgres_server, role)
    postgres_server.run(f"GRANT USAGE ON SCHEMA {url.rpartition('%3D')[2]} TO limited")
    assert_fails(url, "permission", "permission denied for schema", caplog)


def test_no_right_to_insert(
    role: str, postgres_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """A ping tells before the first order does."""
    url = url_of(postgres_server, "postgres:secret-word")
    open_key_store(url).close()
    schema = url.rpartition("%3D")[2]
    postgres_server.run(f"GRANT USAGE ON SCHEMA {schema} TO limited")
    postgres_server.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO limited")
    url = url.replace("postgres:secret-word", role)
    store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
    with pytest.raises(StoreUnavailable, match="lacks INSERT, UPDATE on key_records") as caught:
        store.ping()
    assert caught.value.cause == "permission"
    with pytest.raises(StoreUnavailable, match="permission denied for table"):
        store.claim(record())
    assert store.read(order()) is None
    assert len(failures(caplog)) == 1
    store.close()


def test_missing_table(postgres_server: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    url = postgres_server.new_url()
    store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
    store.claim(record())
    postgres_server.run(f"DROP TABLE {url.rpartition('%3D')[2]}.key_records")
    for use in (store.ping, lambda: store.claim(record())):
        with pytest.raises(StoreUnavailable, match='"key_records" does not exist') as caught:
            use()
        assert caught.value.cause == "no_table"
    assert len(failures(caplog)) == 1
    store.close()


@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
def test_nothing_listens(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    url = f"{scheme}://me:hunter2@127.0.0.1:{free_port()}/0"
    assert_fails(url, "unreachable", "refused", caplog)


def test_wrong_password_for_redis(redis_server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    url = redis_server.new_url().replace("//", "//me:hunter2@")
    assert_fails(url, "authentication", "invalid username-password pair", caplog)


def test_redis_that_needs_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with Redis("--requirepass", "right-word") as server:
        assert_fails(server.url(), "authentication", "Authentication required", caplog)


@contextmanager
def user_of(server: Redis, *rights: str) -> Iterator[str]:
    url = server.new_url()
    server.run("ACL", "SETUSER", "limited", "reset", "on", ">hunter2", *rights)
    yield url.replace("//", "//limited:hunter2@")
    server.run("ACL", "DELUSER", "limited")


@pytest.mark.parametrize(
    "rights",
    [
        ("~*", "+@read", "+@connection", "+info"),
        ("~*", "+@all", "-evalsha"),
        ("~*", "+@all", "-zadd"),
        ("~payment:due", "+@all"),
    ],
)
def test_acl_that_forbids_writing(
    rights: tuple[str, ...], redis_server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with user_of(redis_server, *rights) as url:
        store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
        with pytest.raises(StoreUnavailable) as caught:
            store.ping()
        assert caught.value.cause == "permission"
        assert len(failures(caplog)) == 1
        assert "hunter2" not in caplog.text
        store.close()


def test_user_with_the_documented_rights_can_do_everything(
    redis_server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    rights = ("+@read", "+@write", "+@scripting", "+@connection", "~payment:*")
    with user_of(redis_server, *rights) as url:
        store = open_key_store(url, timeout_seconds=TIMEOUT_SECONDS)
        store.ping()
        held = store.claim(record(due_at=NOW))
        assert store.replace(held, newer := replace(held, version=2))
        assert store.due(NOW, 1) == list(store.scan()) == [newer]
        assert store.forget(newer)
        store.close()
    assert caplog.messages == []


def test_demoted_redis_is_logged_once(
    redis_server: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_key_store(redis_server.new_url(), timeout_seconds=TIMEOUT_SECONDS)
    redis_server.run("REPLICAOF", "127.0.0.1", f"{free_port()}")
    for use in (store.ping, lambda: store.claim(record()), store.ping):
        with pytest.raises(StoreUnavailable, match="replica") as caught:
            use()
        assert caught.value.cause == "read_only"
    assert len(caplog.messages) == 1
    redis_server.run("REPLICAOF", "NO", "ONE")
    store.ping()
    assert store.claim(record()) == record()
    store.close()


def test_full_redis(caplog: pytest.LogCaptureFixture) -> None:
    with Redis("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        assert_fails(server.url(), "full", "maxmemory", caplog)


def test_redis_that_cannot_write_to_its_disk(caplog: pytest.LogCaptureFixture) -> None:
    with Redis("--appendonly", "no") as server:
        server.run("CONFIG", "SET", "save", '"3600 1000"')
        server.run("CONFIG", "SET", "dir", "/proc")
        server.run("BGSAVE")
        until(lambda: "rdb_last_bgsave_status:err" in server.run("INFO", "persistence"))
        assert_fails(server.url(), "full", "RDB snapshots", caplog)


def test_redis_that_loads_its_data() -> None:
    """It answers between every thousand commands of its file."""
    with Redis("--key-load-delay", "200") as server:
        store = open_key_store(server.url(), timeout_seconds=TIMEOUT_SECONDS)
        with Client(port=server.port) as client, client.pipeline(transaction=False) as pipe:
            for number in range(8000):
                pipe.set(f"{number}", "x")
            pipe.execute()
        server.kill()
        with ThreadPoolExecutor(1) as pool:
            started = pool.submit(server.start)
            causes = set()
            while not started.done():
                try:
                    store.ping()
                except StoreUnavailable as failed:
                    causes.add(failed.cause)
        assert "starting" in causes
        store.ping()
        store.close()


def test_postgresql_that_shuts_down() -> None:
    with Postgres() as server:
        with psycopg.connect(server.url()):
            process = int((server.directory / "postmaster.pid").read_text().split()[0])
            # A smart shutdown waits for this session, and refuses new ones.
            os.kill(process, signal.SIGTERM)
            store = open_key_store(server.url(), timeout_seconds=TIMEOUT_SECONDS)
            with pytest.raises(StoreUnavailable, match="shutting down") as caught:
                store.ping()
            assert caught.value.cause == "starting"
        store.close()


def test_redis_without_the_database(redis_server: Redis, caplog: pytest.LogCaptureFixture) -> None:
    redis_server.new_url()
    assert_fails(redis_server.url(99), "no_database", "DB index is out of range", caplog)


def test_sqlite_file_that_another_program_locks(
    quick_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = quick_path / "keys.db"
    store = open_key_store(f"sqlite:///{path}", timeout_seconds=0.2)
    store.claim(record())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="locked") as caught:
                store.claim(record("A-2"))
            assert caught.value.cause == "busy"
    assert len(failures(caplog)) == 1
    assert store.claim(record("A-2")) == record("A-2")
    store.close()


def test_sqlite_file_that_is_none(quick_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (quick_path / "keys.db").write_text("text that is long enough for a header\n" * 30)
    assert_fails(f"sqlite:///{quick_path}/keys.db", "file", "not a database", caplog)


def test_sqlite_file_whose_directory_is_gone(
    quick_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert_fails(f"sqlite:///{quick_path}/gone/keys.db", "file", "No such file", caplog)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_sqlite_on_a_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    assert_fails("sqlite:////dev/full", "full", "disk is full", caplog)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.DiskFull("x"), "full"),
        (errors.AdminShutdown("x"), "starting"),
        (errors.QueryCanceled("x"), "timeout"),
        (errors.DeadlockDetected("x"), "busy"),
        (errors.NumericValueOutOfRange("x"), "rejected"),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), "starting"),
        (psycopg.OperationalError("SSL error: certificate verify failed"), "tls"),
        (psycopg.OperationalError('no pg_hba.conf entry for host "1.2.3.4"'), "authentication"),
        (psycopg.OperationalError("could not translate host name"), "unreachable"),
    ],
)
def test_error_of_postgresql_has_a_cause(error: psycopg.Error, cause: str) -> None:
    assert postgres_faults.cause_of(error) == cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "starting"),
        (redis.exceptions.ResponseError("MISCONF Errors writing to the AOF file"), "full"),
        (
            redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
            "read_only",
        ),
        (redis.exceptions.ClusterDownError("Hash slot not served"), "cluster_down"),
        (redis.exceptions.ResponseError("max number of clients reached"), "busy"),
        (redis.exceptions.ConnectionError(ssl.SSLCertVerificationError("SSL: no")), "tls"),
        (redis.exceptions.TimeoutError("Timeout reading from socket"), "timeout"),
        (redis.exceptions.ResponseError("WRONGTYPE Operation against a key"), "rejected"),
    ],
)
def test_error_of_redis_has_a_cause(error: redis.exceptions.RedisError, cause: str) -> None:
    assert redis_faults.cause_of(error) == cause


def ready(url: str) -> tuple[int, object]:
    settings = load_settings({"STRIPE_SECRET_KEY": "sk_test_abc", "KEY_STORE_URL": url})
    with closing(open_payments(settings)) as payments:
        response = create_app(settings, payments).test_client().get("/readyz")
    return response.status_code, response.get_json().get("cause")


def test_readiness_names_a_demoted_redis(redis_server: Redis) -> None:
    url = redis_server.new_url()
    assert ready(url) == (200, None)
    redis_server.run("REPLICAOF", "127.0.0.1", f"{free_port()}")
    assert ready(url) == (503, "read_only")
    redis_server.run("REPLICAOF", "NO", "ONE")
    assert ready(url) == (200, None)


def test_readiness_names_a_read_only_postgresql(role: str, postgres_server: Postgres) -> None:
    url = url_of(postgres_server, role)
    schema = url.rpartition("%3D")[2]
    postgres_server.run(f"GRANT CREATE, USAGE ON SCHEMA {schema} TO limited")
    assert ready(url) == (200, None)
    postgres_server.run("ALTER ROLE limited SET default_transaction_read_only = on")
    assert ready(url) == (503, "read_only")
    postgres_server.run("ALTER ROLE limited RESET default_transaction_read_only")
    postgres_server.run(f"REVOKE INSERT ON {schema}.key_records FROM limited")
    assert ready(url) == (503, "permission")

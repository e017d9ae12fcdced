"""Key stores: one implementation per technology, chosen by the scheme of KEY_STORE_URL."""

from __future__ import annotations

from pathlib import Path

from payment_service.key_store.contract import KeyStore
from payment_service.key_store.memory import DEFAULT_MAX_ORDERS, MemoryStore

__all__ = [
    "SCHEMES",
    "KeyStore",
    "open_key_store",
    "refuse_unusable",
    "shared_memory_store",
    "validate_url",
]

REDIS_SCHEMES = tuple(
    f"{tls}{kind}" for kind in ("", "+cluster", "+sentinel") for tls in ("redis", "rediss")
)
SCHEMES = ("memory", "sqlite", "postgresql", *REDIS_SCHEMES)

UNKNOWN_SCHEME = f"unknown scheme: use one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"

DEFAULT_TIMEOUT_SECONDS = 2.0


def validate_url(url: str) -> str:
    """Validate a KEY_STORE_URL; return it with its scheme as SCHEMES has it.

    The directory of a SQLite file must exist. Opens nothing, and imports only the named store's
    driver. Raises ValueError with the rule, which never shows a password.
    """
    url = _with_known_scheme(url)
    match url.partition(":")[0]:
        case "memory":
            _shared_path(url)
        case "sqlite":
            from payment_service.key_store.sqlite.store import check_directory, sqlite_path

            check_directory(sqlite_path(url))
        case "postgresql":
            from payment_service.key_store.postgres.options import refuse_options
            from payment_service.key_store.postgres.pool import conninfo

            refuse_options(url)
            conninfo(url, DEFAULT_TIMEOUT_SECONDS)
        case scheme if scheme in REDIS_SCHEMES:
            from payment_service.key_store.redis.opening import open_servers
            from payment_service.key_store.redis.options import refuse_options

            refuse_options(url)
            open_servers(url, DEFAULT_TIMEOUT_SECONDS)
        case _:
            raise ValueError(UNKNOWN_SCHEME)
    return url


def _with_known_scheme(url: str) -> str:
    """Return the URL with its scheme in lower case; Heroku and libpq write postgres:// as well."""
    scheme, _, rest = url.partition(":")
    return f"{'postgresql' if scheme.lower() == 'postgres' else scheme.lower()}:{rest}"


def refuse_unusable(url: str, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
    """Raise a one-line ValueError if the server answers and can never store every order.

    A server that is down, or that an administrator can correct, does not stop the start.
    """
    scheme = url.partition(":")[0]
    if scheme == "postgresql":
        from payment_service.key_store.postgres import pool

        pool.refuse_unusable(url, timeout_seconds)
    elif scheme in REDIS_SCHEMES:
        from payment_service.key_store.redis import store

        store.refuse_unusable(url, timeout_seconds)


def open_key_store(url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> KeyStore:
    """Open the store that `url` names, in the process that uses it.

    `memory:///path` is what `memory://` means to several processes: a file in the directory that
    gunicorn's hooks make. `timeout_seconds` bounds each operation. A server that is down does not
    stop the start: operations raise StoreUnavailable until it is back. Raises ValueError, which
    never shows the URL, for an unknown scheme or a malformed URL.
    """
    url = _with_known_scheme(url)
    match url.partition(":")[0]:
        case "memory":
            path = _shared_path(url)
            if path:
                return shared_memory_store(path, timeout_seconds=timeout_seconds)
            return MemoryStore(DEFAULT_MAX_ORDERS)
        case "sqlite":
            from payment_service.key_store.sqlite.store import SqliteStore, sqlite_path

            return SqliteStore(sqlite_path(url), timeout_seconds=timeout_seconds)
        case "postgresql":
            from payment_service.key_store.postgres.store import PostgresStore

            return PostgresStore(url, timeout_seconds=timeout_seconds)
        case scheme if scheme in REDIS_SCHEMES:
            from payment_service.key_store.redis.store import RedisStore

            return RedisStore(url, timeout_seconds=timeout_seconds)
        case _:
            raise ValueError(UNKNOWN_SCHEME)


def shared_memory_store(path: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> KeyStore:
    """Open `memory://` for several processes of one machine: a SQLite file that is never flushed.

    It is nearly as fast as memory. The parent process makes the file's directory and removes it.
    """
    from payment_service.key_store.sqlite.store import SqliteStore

    return SqliteStore(path, timeout_seconds=timeout_seconds, durable=False)


def _shared_path(url: str) -> str:
    """Return the file of a shared memory store, or "" for a store in this process."""
    path = url.removeprefix("memory://")
    if path == url or (path and not _is_shared(Path(path).parent)):
        raise ValueError("a memory URL is memory:// with nothing behind it")
    return path


def _is_shared(directory: Path) -> bool:
    """Whether `shared_directory` made it, maybe in the process that started this one."""
    from tempfile import gettempdir

    from payment_service.key_store.shared_directory import MEMORY, PREFIX

    ours = directory.parent in (MEMORY, Path(gettempdir())) and directory.name.startswith(PREFIX)
    return ours and directory.is_dir()

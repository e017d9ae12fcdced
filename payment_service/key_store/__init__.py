"""Where the records live: one store per technology, chosen by URL."""

from __future__ import annotations

from pathlib import Path

from payment_service.key_store.contract import KeyStore
from payment_service.key_store.memory import DEFAULT_MAX_ORDERS, MemoryStore

__all__ = [
    "SCHEMES",
    "KeyStore",
    "checked_url",
    "open_key_store",
    "refuse_unusable",
    "shared_memory_store",
]

SCHEMES = ("memory", "sqlite", "postgresql", "redis", "rediss")

UNKNOWN = f"unknown scheme: use one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"

DEFAULT_TIMEOUT_SECONDS = 2.0


def checked_url(url: str) -> str:
    """Return what `open_key_store` takes: the URL, its scheme in lower case.

    A file's directory must be there. Nothing is opened, and only the driver of the store that is
    named is loaded. Raises ValueError with the rule, which never shows the URL.
    """
    scheme, _, rest = url.partition(":")
    url = f"{scheme.lower()}:{rest}"
    match scheme.lower():
        case "memory":
            _shared_path(url)
        case "sqlite":
            from payment_service.key_store.sqlite.store import look_at_place, sqlite_path

            look_at_place(sqlite_path(url))
        case "postgresql":
            from payment_service.key_store.postgres.pool import conninfo

            conninfo(url, DEFAULT_TIMEOUT_SECONDS)
        case "redis" | "rediss":
            from payment_service.key_store.redis.store import open_redis

            open_redis(url, DEFAULT_TIMEOUT_SECONDS)
        case _:
            raise ValueError(UNKNOWN)
    return url


def refuse_unusable(url: str, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
    """Raise ValueError, one line, where the server is there and cannot hold every order.

    A server that is down does not stop the start.
    """
    if url.startswith("postgresql:"):
        from payment_service.key_store.postgres import pool

        pool.refuse_unusable(url, timeout_seconds)


def open_key_store(url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> KeyStore:
    """Open the store that `url` names, in the process that uses it.

    `memory:///path` is what `memory://` means to several processes: a file in the directory that
    gunicorn's hooks make. `timeout_seconds` bounds each operation. A server that is down does not
    stop the start: operations raise StoreUnavailable until it is back. Raises ValueError, which
    never shows the URL, for a scheme that is not one of SCHEMES and for a URL that is no such
    store's.
    """
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
        case "redis" | "rediss":
            from payment_service.key_store.redis.store import RedisStore

            return RedisStore(url, timeout_seconds=timeout_seconds)
        case _:
            raise ValueError(UNKNOWN)


def shared_memory_store(path: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> KeyStore:
    """Open what memory:// means to several processes of one machine: a file never flushed.

    As fast as memory, nearly; whoever starts the processes makes the file and removes it.
    """
    from payment_service.key_store.sqlite.store import SqliteStore

    return SqliteStore(path, timeout_seconds=timeout_seconds, durable=False)


def _shared_path(url: str) -> str:
    """Return the file of a shared memory, the empty text where one process has its own."""
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

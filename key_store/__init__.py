"""Where the records live: one store per technology, chosen by URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from key_store.contract import KeyStore
from key_store.memory import DEFAULT_MAX_ORDERS, MemoryStore

__all__ = ["SCHEMES", "KeyStore", "open_key_store", "shared_memory_store"]

SCHEMES = ("memory", "sqlite", "postgresql", "redis", "rediss")

DEFAULT_TIMEOUT_SECONDS = 2.0


def open_key_store(url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> KeyStore:
    """Open the store that `url` names, in the process that uses it.

    `memory:///path` is what `memory://` means to several processes (gunicorn.conf.py makes the
    path). `timeout_seconds` bounds each operation. A server that is down does not stop the start:
    operations raise StoreUnavailable until it is back. Raises ValueError, which never shows the
    URL, for a scheme that is not one of SCHEMES and for a URL that is no such store's.
    """
    match urlsplit(url).scheme:
        case "memory":
            path = url.removeprefix("memory://")
            if path:
                return shared_memory_store(path, timeout_seconds=timeout_seconds)
            return MemoryStore(DEFAULT_MAX_ORDERS)
        case "sqlite":
            from key_store.sqlite import SqliteStore, sqlite_path

            return SqliteStore(sqlite_path(url), timeout_seconds=timeout_seconds)
        case "postgresql":
            from key_store.postgres import PostgresStore

            return PostgresStore(url, timeout_seconds=timeout_seconds)
        case "redis" | "rediss":
            from key_store.redis import RedisStore

            return RedisStore(url, timeout_seconds=timeout_seconds)
        case _:
            allowed = ", ".join(f"{scheme}://" for scheme in SCHEMES)
            raise ValueError(f"unknown key store: use one of {allowed}")


def shared_memory_store(path: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> KeyStore:
    """Open what memory:// means to several processes of one machine: a file never flushed.

    As fast as memory, nearly; whoever starts the processes makes the file and removes it.
    """
    from key_store.sqlite import SqliteStore

    return SqliteStore(path, timeout_seconds=timeout_seconds, durable=False)

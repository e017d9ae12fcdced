"""Where the records live: one store per technology, chosen by URL."""

from __future__ import annotations

from urllib.parse import urlsplit

from key_store.contract import KeyStore
from key_store.memory import DEFAULT_MAX_ORDERS, MemoryStore

__all__ = ["SCHEMES", "KeyStore", "open_key_store"]

SCHEMES = ("memory", "sqlite", "postgresql", "redis", "rediss")


def open_key_store(url: str, *, timeout_seconds: float = 2.0) -> KeyStore:
    """Open the store that `url` names.

    `timeout_seconds` bounds each operation. Raises ValueError for a scheme that is not one of
    SCHEMES, StoreUnavailable where the store must be reached at once and cannot be.
    """
    match urlsplit(url).scheme:
        case "memory":
            return MemoryStore(DEFAULT_MAX_ORDERS)
        case scheme:
            raise ValueError(f"unknown key store {scheme!r}: use one of {', '.join(SCHEMES)}")

"""The store's errors as those that callers of the service see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payment_service.errors import StoreDown
from payment_service.key_store.contract import StoreUnavailable


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise StoreDown for a StoreUnavailable."""
    try:
        yield
    except StoreUnavailable as failed:
        raise StoreDown("The key store failed.") from failed

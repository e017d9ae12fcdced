"""Stripe's HTTP client for the whole process (interim: the SDK's own, without hard limits)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import stripe


class SharedTransport(stripe.RequestsClient):
    """To be replaced by one that shares its connections among threads and keeps its deadlines."""

    def __init__(
        self, *, connect_timeout_seconds: float, read_timeout_seconds: float, pool_size: int
    ) -> None:
        del pool_size
        super().__init__(timeout=(connect_timeout_seconds, read_timeout_seconds))

    @contextmanager
    def limit(self, deadline: float) -> Iterator[None]:
        """Not yet."""
        del deadline
        yield

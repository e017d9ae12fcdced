"""The spans of store operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import SpanKind, Tracer

from payment_service.key_store.contract import (
    KeyRecord,
    KeyStore,
    Order,
    Position,
    Selection,
    State,
    StoreUnavailable,
)
from payment_service.telemetry.tracing.current import current, fail, in_a_trace


class TracedStore:
    """A KeyStore that gives the operations of another one spans.

    Only within a request or a job: `due` polls, and `scan` lasts as long as its caller likes.
    """

    def __init__(self, store: KeyStore, system: str, tracer: Tracer) -> None:
        """`system`: the kind of store, for example postgresql."""
        self._store, self._system, self._tracer = store, system, tracer

    def claim(self, record: KeyRecord) -> KeyRecord:
        """See KeyStore."""
        with self._span("claim"):
            return self._store.claim(record)

    def read(self, order: Order) -> KeyRecord | None:
        """See KeyStore."""
        with self._span("read"):
            return self._store.read(order)

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        """See KeyStore."""
        with self._span("replace"):
            return self._store.replace(current, new)

    def forget(self, current: KeyRecord) -> bool:
        """See KeyStore."""
        with self._span("forget"):
            return self._store.forget(current)

    def due(self, now: float, limit: int) -> list[KeyRecord]:
        """See KeyStore."""
        return self._store.due(now, limit)

    def scan(self, state: State | None = None) -> Iterator[KeyRecord]:
        """See KeyStore."""
        return self._store.scan(state)

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[KeyRecord]:
        """See KeyStore."""
        with self._span("page"):
            return self._store.page(selection, limit, before)

    def unlisted(self, *, again: bool = False) -> Iterator[KeyRecord]:
        """See KeyStore."""
        return self._store.unlisted(again=again)

    def ping(self) -> None:
        """See KeyStore."""
        self._store.ping()

    def close(self) -> None:
        """See KeyStore."""
        self._store.close()

    @contextmanager
    def _span(self, operation: str) -> Iterator[None]:
        if not in_a_trace():
            yield
            return
        attributes = {"db.system.name": self._system, "db.operation.name": operation}
        span = self._tracer.start_span(f"store {operation}", None, SpanKind.CLIENT, attributes)
        with current(span):
            try:
                yield
            except StoreUnavailable as down:
                fail(span, down.cause)
                raise

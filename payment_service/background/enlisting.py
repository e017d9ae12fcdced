"""The job that adds to the lists of the key store what an earlier release wrote.

After an upgrade these are all records, and during a rolling deployment those that processes of the
earlier release still write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice

from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import Records, of_stored

log = logging.getLogger(__name__)


class Enlisting:
    """A job of JobLoop. `again`: see KeyStore.unlisted."""

    def __init__(
        self, records: Records, clock: Callable[[], float], *, again: bool = False
    ) -> None:
        self._records, self._clock, self._again = records, clock, again
        self._rest: Iterator[OrderRecord] | None = None

    def due(self, limit: int) -> list[OrderRecord]:
        """Return the next records that the lists lack; after the last ones, none once.

        Raises StoreUnavailable, and then begins again.
        """
        rest, self._rest = self._rest or self._unlisted(), None
        some = list(islice(rest, limit))
        self._rest = rest if some else None
        return some

    def run(self, record: OrderRecord) -> bool:
        """Write the record, so that pages list it; return whether it was still the same."""
        return self._records.enlist(record)

    def _unlisted(self) -> Iterator[OrderRecord]:
        """Leave out the records that a request works on, because it writes them itself."""
        for stored in self._records.store.unlisted(again=self._again):
            if stored.state == "pending" and transitions.is_held(stored, self._clock()):
                continue
            try:
                yield of_stored(stored)
            except ValueError:
                log.exception("a record cannot be read, so no list has it")

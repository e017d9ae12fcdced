"""Records whose new history entries name the person who caused them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from payment_service.key_store.contract import KeyStore
from payment_service.payments.record.history import Entry
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.records import Records


class SignedRecords(Records):
    """Adds `by` to every history entry that one action of a person writes. For a single action.

    The rules continue with the records that they made themselves, without `by`. So this object
    remembers its entries, and signs them again in each later write. Entries of other writers, such
    as a webhook in between, come from the store and stay as they are.
    """

    def __init__(self, store: KeyStore, by: str) -> None:
        super().__init__(store)
        self._by = by
        self._entries: list[Entry] = []
        self.has_written = False
        """Whether the store has an entry of this action."""

    def claim(self, record: OrderRecord) -> OrderRecord:
        """Store the signed record if its order has none; return what the store holds now."""
        signed = self._signed(record, ())
        held = super().claim(signed)
        self.has_written |= held is signed
        return held

    def replace(self, current: OrderRecord, new: OrderRecord) -> bool:
        """Store `new`, signed, if the record still has the owner and version of `current`."""
        known = len(self._entries)
        written = super().replace(current, self._signed(new, current.follow_up.history))
        self.has_written |= written and len(self._entries) > known
        return written

    def _signed(self, record: OrderRecord, known: Sequence[Entry]) -> OrderRecord:
        history = record.follow_up.history
        self._entries += [each for each in history if not _is_in(each, (*known, *self._entries))]
        signed = tuple({**e, "by": self._by} if _is_in(e, self._entries) else e for e in history)
        return replace(record, follow_up=record.follow_up.with_history(signed))


def _is_in(entry: Entry, entries: Sequence[Entry]) -> bool:
    """Compare by identity: two entries may be equal, and an entry is passed on as one object."""
    return any(entry is each for each in entries)

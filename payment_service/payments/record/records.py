"""The records of a key store: the one place where their texts are parsed and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import (
    KeyRecord,
    KeyStore,
    Order,
    Position,
    Selection,
    State,
)
from payment_service.payments.record.alarms import alarm_at
from payment_service.payments.record.follow_up import FollowUp
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged

# How many races one write may lose. Each costs a read and a write of the store.
MAX_WRITES = 10

# How many due records a search reads to find its own: about 20 MB of them.
MOST_DUE = 12_800


class Records:
    """The operations of a KeyStore on OrderRecords. Stateless; raises what the store raises.

    A record whose follow-up cannot be parsed raises ValueError when it is read.
    """

    def __init__(self, store: KeyStore) -> None:
        self.store = store

    def claim(self, record: OrderRecord) -> OrderRecord:
        """Store the record if its order has none; return what the store holds now."""
        held = self.store.claim(to_stored(record))
        is_mine = held.owner == record.owner and held == record.stored
        return record if is_mine else of_stored(held)

    def read(self, order: Order) -> OrderRecord | None:
        """Return the order's record, or None."""
        held = self.store.read(order)
        return None if held is None else of_stored(held)

    def replace(self, current: OrderRecord, new: OrderRecord) -> bool:
        """Store `new` if the record still has the owner and version of `current` (rule 6)."""
        return self.store.replace(to_stored(current), to_stored(new))

    def write(self, current: OrderRecord, new: OrderRecord) -> None:
        """Replace, or raise RecordChanged if the record is no longer `current`."""
        if not self.replace(current, new):
            raise RecordChanged

    def change(
        self, held: OrderRecord, change: Callable[[OrderRecord], OrderRecord | None]
    ) -> OrderRecord | None:
        """Write what `change` makes of the record, which was last read as `held`.

        `change` has no side effects: after a lost race it is called with the newer record. It
        returns None to leave the record alone; then, and if the order has no record any more,
        nothing is written and None is returned. Raises RecordChanged after MAX_WRITES lost races.
        """
        for _ in range(MAX_WRITES):
            new = change(held)
            if new is None or self.replace(held, new):
                return new
            found = self.read(held.order)
            if found is None:
                return None
            held = found
        raise RecordChanged

    def forget(self, current: OrderRecord) -> bool:
        """Delete the record if it still has the owner and version of `current`."""
        return self.store.forget(to_stored(current))

    def due(
        self,
        now: float,
        limit: int,
        of: Callable[[Order], bool],
        mine: Callable[[OrderRecord], bool],
    ) -> list[OrderRecord]:
        """Return at most `limit` due records of the orders `of` for which `mine` is true.

        Other due records may come first, such as those with events for a shop that is down, or
        those of the other mode.
        """
        asked = limit
        while True:
            due = self.store.due(now, asked)
            ours = (of_stored(each) for each in due if of(each.order))
            found = [each for each in ours if mine(each)]
            if len(found) >= limit or len(due) < asked or asked >= MOST_DUE:
                return found[:limit]
            asked = min(asked * 8, MOST_DUE)

    def page(
        self, selection: Selection, limit: int, before: Position | None = None
    ) -> list[OrderRecord]:
        """Return at most `limit` records of the selection below `before`; see KeyStore.page."""
        return [of_stored(each) for each in self.store.page(selection, limit, before)]

    def enlist(self, record: OrderRecord) -> bool:
        """Write a record that an earlier release wrote, so that pages list it; return whether."""
        held = to_stored(record)
        listed = replace(held, version=held.version + 1, alarm_at=alarm_at(record))
        return self.store.replace(held, listed)

    def scan(
        self, state: State | None = None, of: Callable[[KeyRecord], bool] = lambda _: True
    ) -> Iterator[OrderRecord]:
        """Yield every record of that state for which `of` is true; parse no other."""
        return (of_stored(each) for each in self.store.scan(state) if of(each))


def of_stored(stored: KeyRecord) -> OrderRecord:
    """Parse the texts of a stored record."""
    record = OrderRecord(
        order=stored.order,
        attempt=stored.attempt,
        fingerprint=stored.fingerprint,
        sent=SentParams.parse(stored.params),
        state=stored.state,
        owner=stored.owner,
        locked_until=stored.locked_until,
        first_sent_at=stored.first_sent_at,
        updated_at=stored.updated_at,
        version=stored.version,
        saved_5xx=stored.saved_5xx,
        payment_intent_id=stored.payment_intent_id,
        payment_status=stored.payment_status,
        follow_up=FollowUp.parse(stored.follow_up),
    )
    vars(record)["stored"] = stored
    return record


def to_stored(record: OrderRecord) -> KeyRecord:
    """Return the record with its texts written; one that was read is returned as it was."""
    if record.stored is None:
        vars(record)["stored"] = _written(record)
    assert record.stored
    return record.stored


def _written(record: OrderRecord) -> KeyRecord:
    return KeyRecord(
        order=record.order,
        attempt=record.attempt,
        fingerprint=record.fingerprint,
        params=record.sent.text(),
        state=record.state,
        owner=record.owner,
        locked_until=record.locked_until,
        first_sent_at=record.first_sent_at,
        updated_at=record.updated_at,
        version=record.version,
        saved_5xx=record.saved_5xx,
        payment_intent_id=record.payment_intent_id,
        payment_status=record.payment_status,
        follow_up=record.follow_up.text(),
        due_at=record.follow_up.due_at,
        alarm_at=alarm_at(record),
    )

"""A change of a record is repeated after a lost race, and never overwrites another process's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from payment_service.errors import InFlight
from payment_service.key_store.contract import KeyRecord
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import MAX_TRIES, RecordChanged, retry_on_race
from payment_service.payments.record.records import MAX_WRITES, Records
from tests.support.flow_bench import NOW, order_record
from tests.support.key_stores import order


class RacedStore(MemoryStore):
    """Before each of the next `races` writes, another process changes the record by `other`."""

    races = 0
    other: Callable[[OrderRecord], OrderRecord | None] = staticmethod(
        lambda record: transitions.touched(record, NOW, "other")
    )

    def replace(self, current: KeyRecord, new: KeyRecord) -> bool:
        if self.races:
            left, self.races = self.races - 1, 0
            records = Records(self)
            held = records.read(current.order)
            assert held
            theirs = self.other(held)
            assert records.forget(held) if theirs is None else records.replace(held, theirs)
            self.races = left
        return super().replace(current, new)


@pytest.fixture
def store() -> RacedStore:
    return RacedStore()


@pytest.fixture
def held(store: RacedStore) -> OrderRecord:
    return Records(store).claim(order_record(order()))


def mine(record: OrderRecord) -> OrderRecord:
    return transitions.touched(record, NOW, "mine")


def whats(store: RacedStore) -> list[str]:
    found = Records(store).read(order())
    assert found
    return [each["what"] for each in found.follow_up.history]


def test_change_keeps_what_others_wrote_meanwhile(store: RacedStore, held: OrderRecord) -> None:
    store.races = 2
    written = Records(store).change(held, mine)
    assert written
    assert written == Records(store).read(order())
    assert whats(store) == ["claimed", "other", "other", "mine"]


def test_change_sees_the_newer_record(store: RacedStore, held: OrderRecord) -> None:
    store.races = 1
    only_first = Records(store).change(held, lambda each: mine(each) if each == held else None)
    assert only_first is None
    assert whats(store) == ["claimed", "other"]


def test_change_of_a_lost_record_writes_nothing(store: RacedStore, held: OrderRecord) -> None:
    store.races, store.other = 1, lambda _: None
    assert Records(store).change(held, mine) is None
    assert store.read(order()) is None


def test_change_gives_up_as_in_flight(store: RacedStore, held: OrderRecord) -> None:
    store.races = MAX_WRITES
    with pytest.raises(InFlight):
        Records(store).change(held, mine)
    assert "mine" not in whats(store)


def test_write_of_a_changed_record_is_refused(store: RacedStore, held: OrderRecord) -> None:
    store.races = 1
    with pytest.raises(RecordChanged):
        Records(store).write(held, mine(held))


@pytest.mark.parametrize("races", range(MAX_TRIES + 1))
def test_operation_is_repeated_while_the_record_changes(races: int) -> None:
    calls: list[int] = []

    def once() -> str:
        calls.append(1)
        if len(calls) <= races:
            raise RecordChanged
        return "done"

    if races < MAX_TRIES:
        assert retry_on_race(once) == "done"
    else:
        with pytest.raises(InFlight):
            retry_on_race(once)
    assert len(calls) == min(races + 1, MAX_TRIES)

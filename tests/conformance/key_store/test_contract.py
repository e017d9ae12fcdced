"""The contract of the key stores: one suite against all real stores."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from msgspec.structs import replace

from payment_service.key_store import KeyStore
from payment_service.key_store.contract import KeyRecord, Order
from tests.support.key_stores import EVERYWHERE, NOW, Place, order, record

pytestmark = pytest.mark.parametrize("place", EVERYWHERE, indirect=True)

# Orders that a careless key would take for one another, or for something else.
TRICKY = (
    order("b:c", "a"),
    order("c", "a:b"),
    order("a:b:c"),
    order("-:c", "a"),
    order("c", "-"),
    order("c"),
    order("c", "1"),
    order("1:-:c"),
    order("c", livemode=True),
    order("C"),
    order("c "),
    order("é"),
    order("e\u0301"),
    order("{a}", "{b}"),
    order("%s %(key)s :key ? $1 * \\ ' \" \r\n"),
    order("名" * 200, "🛒" * 200),
)

PARAMS = '{"a" :1,\t"b":"\\u00e9 é \\ud83d\\uded2 🛒 \\\\ %s \'","c":1.10,"a":2}\n '


def after(current: KeyRecord, **changes: Any) -> KeyRecord:
    return replace(current, version=current.version + 1, **changes)


def claimed(store: KeyStore, *orders: Order | str, **more: Any) -> list[KeyRecord]:
    return [store.claim(record(of, **more)) for of in orders]


def test_the_first_claim_is_stored(store: KeyStore) -> None:
    assert store.claim(record()) == record()
    assert store.read(order()) == record()


def test_a_later_claim_returns_the_stored_record(store: KeyStore) -> None:
    (held,) = claimed(store, "A-1")
    assert store.claim(record(owner="second", params="{}")) == held
    newer = after(held, state="created", payment_intent_id="pi_1")
    assert store.replace(held, newer)
    assert store.claim(record(owner="third")) == newer


def test_an_unknown_order_has_no_record(store: KeyStore) -> None:
    assert store.read(order()) is None
    assert not store.replace(record(), after(record()))
    assert not store.forget(record())
    assert store.read(order()) is None


def test_every_field_comes_back_as_it_was(store: KeyStore) -> None:
    full = record(
        attempt=3,
        fingerprint="0123456789abcdef" * 4,
        params=PARAMS,
        state="rejected",
        owner="ö" * 40,
        locked_until=NOW + 1 / 3,
        first_sent_at=0.1 + 0.2,
        updated_at=1e-9,
        version=7,
        saved_5xx=True,
        payment_intent_id="pi_1",
        payment_status="requires_payment_method",
        follow_up=PARAMS * 50,
        due_at=NOW + 2 / 3,
        alarm_at=NOW + 1 / 7,
    )
    store.claim(full)
    held = store.read(order())
    assert held == full
    assert [type(value) for value in astuple(held)] == [type(value) for value in astuple(full)]


def astuple(held: KeyRecord | None) -> list[object]:
    assert held is not None
    return [getattr(held, name) for name in held.__struct_fields__]


def test_none_is_read_back_as_none(store: KeyStore) -> None:
    (held,) = claimed(
        store, "A-1", due_at=NOW, alarm_at=NOW, payment_intent_id="pi_1", payment_status="x"
    )
    bare = after(held, due_at=None, alarm_at=None, payment_intent_id=None, payment_status=None)
    assert store.replace(held, bare)
    assert store.read(order()) == bare


def test_orders_are_not_taken_for_one_another(store: KeyStore) -> None:
    assert all(a != b for a, b in combinations(TRICKY, 2))
    for number, of in enumerate(TRICKY):
        assert store.claim(record(of, owner=f"{number}")).owner == f"{number}"
    for number, of in enumerate(TRICKY):
        held = store.read(of)
        assert held is not None
        assert (held.order, held.owner) == (of, f"{number}")
    assert {held.order for held in store.scan()} == set(TRICKY)


def test_replacing_needs_the_version_that_is_held(store: KeyStore) -> None:
    (first,) = claimed(store, "A-1")
    second = after(first, owner="second")
    assert store.replace(first, second)
    assert not store.replace(first, after(first, state="created"))
    assert store.read(order()) == second


def test_replacing_needs_the_owner_that_is_held(store: KeyStore) -> None:
    (held,) = claimed(store, "A-1")
    stranger = replace(held, owner="stranger")
    assert not store.replace(stranger, after(stranger, state="created"))
    assert store.read(order()) == held


def test_forgetting_needs_owner_and_version(store: KeyStore) -> None:
    (held,) = claimed(store, "A-1")
    assert not store.forget(replace(held, owner="stranger"))
    assert not store.forget(after(held))
    assert store.read(order()) == held


def test_a_forgotten_order_can_be_claimed_anew(store: KeyStore) -> None:
    held, other = claimed(store, "A-1", "A-2", due_at=NOW)
    assert store.forget(held)
    assert store.read(order()) is None
    assert store.due(NOW, 10) == [other]
    assert store.claim(record(owner="second")).owner == "second"


def test_due_records_come_oldest_first(store: KeyStore) -> None:
    claimed(store, "never", due_at=None)
    for order_id, due_at in [("late", NOW + 2), ("now", NOW), ("soon", NOW + 1), ("old", 5.5)]:
        claimed(store, order_id, due_at=due_at)
    assert [held.order.order_id for held in store.due(NOW + 1, 10)] == ["old", "now", "soon"]
    assert [held.order.order_id for held in store.due(NOW + 1, 2)] == ["old", "now"]
    assert store.due(5.0, 10) == []


def test_the_due_index_follows_the_record(store: KeyStore) -> None:
    (held,) = claimed(store, "A-1", due_at=NOW)
    later = after(held, due_at=NOW + 100)
    assert store.replace(held, later)
    assert store.due(NOW + 99, 10) == []
    assert store.due(NOW + 100, 10) == [later]
    sooner = after(later, due_at=NOW + 50)
    assert store.replace(later, sooner)
    assert store.due(NOW + 50, 10) == [sooner]
    done = after(sooner, due_at=None)
    assert store.replace(sooner, done)
    assert store.due(NOW + 1000, 10) == []
    again = after(done, due_at=NOW)
    assert store.replace(done, again)
    assert store.due(NOW, 10) == [again]


def test_a_postponed_record_is_not_the_oldest(store: KeyStore) -> None:
    put_off, other = claimed(store, "A-1", "A-2", due_at=NOW)
    later = after(put_off, due_at=NOW + 1)
    assert store.replace(put_off, later)
    assert store.due(NOW + 1, 1) == [other]
    assert store.due(NOW + 1, 10) == [other, later]


def test_a_stale_owner_makes_nothing_due(store: KeyStore) -> None:
    claimed(store, "A-2", due_at=NOW + 2)
    (held,) = claimed(store, "A-1")
    second = after(held, due_at=NOW + 1)
    assert store.replace(held, second)
    assert not store.replace(held, after(held, due_at=NOW - 1))
    store.claim(record(owner="late", due_at=NOW - 2))
    assert not store.replace(held, after(held, due_at=NOW + 1_000))
    assert store.due(NOW, 1) == []
    assert store.due(NOW + 1, 10) == [second]


def test_a_scan_sees_every_record_once(store: KeyStore) -> None:
    more_than_a_page = 520
    names = [f"A-{number}" for number in range(more_than_a_page)]
    claimed(store, *names)
    assert sorted(held.order.order_id for held in store.scan()) == sorted(names)


def test_a_scan_can_be_of_one_state(store: KeyStore) -> None:
    first, _ = claimed(store, "A-1", "A-2")
    done = after(first, state="created")
    assert store.replace(first, done)
    assert list(store.scan("created")) == [done]
    assert list(store.scan("rejected")) == []
    assert [held.order.order_id for held in store.scan("pending")] == ["A-2"]


def test_a_scan_does_not_block_writers(store: KeyStore) -> None:
    first, second = claimed(store, "A-1", "A-2")
    scan = store.scan()
    next(scan)
    assert store.replace(first, after(first))
    assert store.forget(second)
    claimed(store, "A-3")
    assert len(list(scan)) <= 2


def test_a_store_that_is_there_answers_a_ping_and_closes(place: Place) -> None:
    store = place.open()
    store.ping()
    claimed(store, "A-1")
    store.close()

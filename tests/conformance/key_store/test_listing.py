"""The pages of the key stores: one suite against all real stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from payment_service.key_store import KeyStore
from payment_service.key_store.contract import (
    LISTED_STATUSES,
    KeyRecord,
    Order,
    Position,
    Selection,
)
from payment_service.key_store.listing import all_of, position_of
from tests.support.key_stores import EVERYWHERE, NOW, order, record

pytestmark = pytest.mark.parametrize("place", EVERYWHERE, indirect=True)

TEST = Selection(livemode=False)
PAID = Selection(livemode=False, statuses=("succeeded",))

# Client ids of which one begins as another one's key does, and one that no client has.
CLIENTS = (None, "a", "a:b", "-", "1:a", "{a}", "名🛒", "nobody")
STATUSES = (None, "succeeded", "canceled", "requires_capture", "a status of next year")


def after(current: KeyRecord, **changes: Any) -> KeyRecord:
    return replace(current, version=current.version + 1, **changes)


def claim(store: KeyStore, of: Order | str, at: float = NOW, **more: Any) -> KeyRecord:
    return store.claim(record(of, updated_at=at, **more))


def pages(store: KeyStore, selection: Selection, limit: int) -> Iterator[list[KeyRecord]]:
    before: Position | None = None
    while True:
        page = store.page(selection, limit, before)
        yield page
        if len(page) < limit:
            return
        before = position_of(page[-1])


def walk(store: KeyStore, selection: Selection, limit: int = 3) -> list[KeyRecord]:
    return [each for page in pages(store, selection, limit) for each in page]


def names(records: list[KeyRecord]) -> list[str]:
    return [each.order.order_id for each in records]


def test_pages_list_the_records_that_changed_last_first(store: KeyStore) -> None:
    for number in range(7):
        claim(store, f"A-{number}", NOW + number)
    assert [names(page) for page in pages(store, TEST, 3)] == [
        ["A-6", "A-5", "A-4"],
        ["A-3", "A-2", "A-1"],
        ["A-0"],
    ]


def test_an_empty_store_has_one_empty_page(store: KeyStore) -> None:
    assert store.page(TEST, 10) == []


def test_a_record_moves_with_its_status_and_its_change(store: KeyStore) -> None:
    first, _ = claim(store, "A-1"), claim(store, "A-2", NOW + 1)
    paid = after(first, state="created", payment_status="succeeded", updated_at=NOW + 2)
    assert store.replace(first, paid)
    assert names(walk(store, TEST)) == ["A-1", "A-2"]
    assert walk(store, PAID) == [paid]
    assert names(walk(store, replace(TEST, statuses=("pending",)))) == ["A-2"]
    canceled = after(paid, payment_status="canceled")
    assert store.replace(paid, canceled)
    assert walk(store, PAID) == []
    assert walk(store, replace(TEST, statuses=("canceled", "rejected"))) == [canceled]


def test_a_lost_race_changes_no_list(store: KeyStore) -> None:
    first = claim(store, "A-1")
    paid = after(first, state="created", payment_status="succeeded", updated_at=NOW + 2)
    assert store.replace(first, paid)
    late = after(first, state="rejected", updated_at=NOW + 9, alarm_at=NOW)
    assert not store.replace(first, late)
    claim(store, "A-1", NOW + 20, owner="second")
    assert not store.forget(first)
    assert walk(store, TEST) == walk(store, PAID) == [paid]
    assert walk(store, replace(TEST, alarm_by=NOW + 99)) == []
    assert walk(store, replace(TEST, statuses=("pending", "rejected"))) == []


def test_a_forgotten_record_leaves_its_lists(store: KeyStore) -> None:
    held = claim(store, order("A-1", "a"), alarm_at=NOW)
    assert store.forget(held)
    assert walk(store, TEST) == walk(store, replace(TEST, alarm_by=NOW)) == []
    assert walk(store, replace(TEST, client_id="a")) == []


def test_each_client_has_its_own_lists(store: KeyStore) -> None:
    for number, client_id in enumerate(CLIENTS[:-1]):
        for livemode in (False, True):
            claim(store, order("A-1", client_id, livemode), NOW + number)
    for client_id in CLIENTS[1:-1]:
        (held,) = walk(store, replace(TEST, client_id=client_id))
        assert held.order == order("A-1", client_id)
    assert walk(store, replace(TEST, client_id="nobody")) == []
    live = [each.order for each in walk(store, Selection(livemode=True))]
    assert live == [order("A-1", client_id, livemode=True) for client_id in CLIENTS[-2::-1]]


def test_times_select_from_inclusive_until_exclusive(store: KeyStore) -> None:
    for number in range(5):
        claim(store, f"A-{number}", NOW + number)
    middle = replace(TEST, updated_from=NOW + 1, updated_until=NOW + 3)
    assert names(walk(store, middle, 1)) == ["A-2", "A-1"]
    assert walk(store, replace(middle, updated_until=NOW + 1)) == []


def test_an_alarm_is_listed_from_its_time_on(store: KeyStore) -> None:
    claim(store, "quiet")
    for number, client_id in enumerate((None, "a", "b")):
        of = order(f"A-{number}", client_id)
        claim(store, of, NOW + number, alarm_at=NOW + 10 * number)
    assert names(walk(store, replace(TEST, alarm_by=NOW - 1))) == []
    assert names(walk(store, replace(TEST, alarm_by=NOW + 10))) == ["A-1", "A-0"]
    assert names(walk(store, replace(TEST, alarm_by=NOW + 99, client_id="b"))) == ["A-2"]
    assert walk(store, replace(PAID, alarm_by=NOW + 99)) == []
    held = store.read(order("A-0"))
    assert held
    assert store.replace(held, after(held, alarm_at=None))
    assert names(walk(store, replace(TEST, alarm_by=NOW + 10))) == ["A-1"]


def test_records_of_one_instant_are_each_listed_once(store: KeyStore) -> None:
    wanted = {f"A-{number:02}" for number in range(30)}
    for order_id in wanted:
        claim(store, order_id)
    for limit in (1, 4, 30, 31):
        assert sorted(names(walk(store, TEST, limit))) == sorted(wanted)


def test_a_position_survives_the_change_of_its_record(store: KeyStore) -> None:
    held = [claim(store, f"A-{number}", NOW + number) for number in range(4)]
    page = store.page(TEST, 2)
    assert names(page) == ["A-3", "A-2"]
    assert store.replace(held[2], after(held[2], updated_at=NOW + 50))
    assert store.forget(held[3])
    assert names(store.page(TEST, 2, position_of(page[-1]))) == ["A-1", "A-0"]


def test_new_records_are_listed_already(store: KeyStore) -> None:
    held = claim(store, "A-1")
    store.replace(held, after(held, state="created"))
    assert list(store.unlisted()) == list(store.unlisted(again=True)) == []


orders = st.builds(
    order, st.sampled_from(["1", "2", "3", "{4}"]), st.sampled_from(CLIENTS[:-1]), st.booleans()
)
instants = st.sampled_from([NOW + number / 3 for number in range(8)])
changes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["pending", "created", "created", "rejected"]),
        "payment_status": st.sampled_from(STATUSES),
        "updated_at": instants,
        "alarm_at": st.none() | instants,
    }
)
selections = st.builds(
    Selection,
    st.booleans(),
    st.sampled_from(CLIENTS),
    st.just(LISTED_STATUSES) | st.lists(st.sampled_from(LISTED_STATUSES), unique=True).map(tuple),
    st.none() | instants,
    st.none() | instants,
    st.none() | instants,
)


def expected(records: list[KeyRecord], wanted: Selection) -> list[KeyRecord]:
    """The filter once more, written for one record at a time and from the fields alone."""

    def is_wanted(each: KeyRecord) -> bool:
        status = each.payment_status if each.state == "created" else each.state
        alarm_at = float("inf") if each.alarm_at is None else each.alarm_at
        return (
            each.order.livemode == wanted.livemode
            and (wanted.client_id is None or each.order.client_id == wanted.client_id)
            and (status if status in LISTED_STATUSES else "other") in wanted.statuses
            and (wanted.alarm_by is None or alarm_at <= wanted.alarm_by)
            and (wanted.updated_from is None or each.updated_at >= wanted.updated_from)
            and (wanted.updated_until is None or each.updated_at < wanted.updated_until)
        )

    return sorted(filter(is_wanted, records), key=position_of, reverse=True)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_pages_are_exactly_the_selection(store: KeyStore, data: st.DataObject) -> None:
    """Also while records change between the pages: each unchanged one is listed exactly once."""
    for left in store.scan():
        store.forget(left)
    held: dict[Order, KeyRecord] = {}
    for of, fields in data.draw(st.lists(st.tuples(orders, changes), max_size=25)):
        current = held.get(of)
        if current is None:
            held[of] = store.claim(record(of, **fields))
        else:
            held[of] = after(current, **fields)
            assert store.replace(current, held[of])
    selection, limit = data.draw(selections), data.draw(st.integers(1, 5))
    assert walk(store, selection, limit) == expected(list(held.values()), selection)
    assert list(all_of(store, selection)) == expected(list(held.values()), selection)
    changed, seen = set[Order](), list[KeyRecord]()
    for page in pages(store, selection, limit):
        seen += page
        for of, fields in data.draw(st.lists(st.tuples(orders, changes), max_size=2)):
            if of in held:
                new = after(held[of], **fields)
                assert store.replace(held[of], new)
                held[of] = new
                changed.add(of)
    unchanged = [each for each in seen if each.order not in changed]
    rest = [each for each in held.values() if each.order not in changed]
    assert unchanged == expected(rest, selection)

"""Records parse and write the texts of a store, and pass on what they do not change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from payment_service.errors import InFlight, OrderReused
from payment_service.gateways.sent_params import SentParams
from payment_service.key_store.contract import KeyRecord, Order
from payment_service.key_store.memory import MemoryStore
from payment_service.payments.record import transitions
from payment_service.payments.record.records import Records, of_stored, to_stored
from payment_service.payments.record.transitions import LEASE_SECONDS, Lease
from tests.support.flow_bench import BUDGET_SECONDS, NOW, FlowBench
from tests.support.key_stores import record

# A text of the release before parsed records: the order was created, updated twice, the second
# time without an answer, and paid. An order event and late look-ups are still to come.
OLD_FOLLOW_UP = (
    '{"webhooks":["evt_1"],"told":["paid:pi_1"],"queue":[{"id":"evt_order_1","type":"order.paid",'
    '"at":1800000000.0,"facts":{"order_id":"A-1","amount":1500},"tries":2,"next_at":1800000002.0,'
    '"until":1800259200.0,"parked":false}],"amount":1500,"currency":"usd","revision":1,'
    '"last_revision":2,"sent":["f1","f2"],"pending":{"revision":2,"attempt":1,"fingerprint":"f2",'
    '"sent":"{\\"api_version\\": \\"v\\", \\"params\\": {\\"amount\\": 2000}}","key":"order-k",'
    '"at":1800000001.0,"until":1800000036.0},"history":[{"at":1800000000.0,"what":"claimed",'
    '"attempt":1},{"at":1800000001.0,"what":"update sent","revision":2}],"refused":1,'
    '"looks":[1800000015.0,1800000120.0],"look_since":1799999990.0,"ending":["pi_0"],'
    '"look_until":1800000000.0}'
)
OLD_PARAMS = '{"api_version": "v", "params": {"amount": 1099, "currency": "usd"}}'


def old(**more: Any) -> KeyRecord:
    return record(params=OLD_PARAMS, follow_up=OLD_FOLLOW_UP, due_at=NOW + 2, **more)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def stored_texts(draw: st.DrawFn) -> str:
    """Texts with any fields, spaces and escapes, as other versions may have written them."""
    params = draw(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
    known = {"api_version": "v", "params": {**params, "amount": 1099, "currency": "usd"}}
    more = draw(st.dictionaries(st.text(), JSON_VALUES, max_size=2))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:")]))
    ascii_only = draw(st.booleans())
    return json.dumps({**more, **known}, ensure_ascii=ascii_only, separators=separators)


@given(stored_texts())
def test_params_survive_every_write_byte_for_byte(text: str) -> None:
    records = Records(MemoryStore())
    assert records.store.claim(record(params=text, locked_until=NOW)).params == text
    held = records.read(record().order)
    assert held
    assert held.sent.params["amount"] == 1099
    taken = transitions.taken_over(held, Lease("second", NOW, 35.0))
    for new in (taken, transitions.released(taken, "stripe_error", NOW, saved_5xx=True)):
        assert records.replace(held, new)
        stored = records.store.read(held.order)
        assert stored
        assert stored.params == text
        held = new


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), st.sampled_from(["stripe", "other"]))
def test_sent_params_are_read_back_equal(params: dict[str, Any], gateway: str) -> None:
    sent = SentParams("v", params, gateway)
    again = SentParams.parse(sent.text())
    assert (again, again.params, again.gateway) == (sent, params, gateway)
    assert again.text() == sent.text()


def test_old_texts_are_read() -> None:
    held = of_stored(old())
    kept = held.follow_up
    assert kept.pending
    assert (kept.pending.revision, kept.pending.sent.params) == (2, {"amount": 2000})
    assert kept.next_event
    assert (kept.next_event.tries, kept.next_event.facts["amount"]) == (2, 1500)
    assert [each["what"] for each in kept.history] == ["claimed", "update sent"]
    assert held.due_at == NOW + 2
    assert json.loads(kept.text()) == json.loads(OLD_FOLLOW_UP)


def test_changed_old_text_keeps_all_other_fields() -> None:
    changed = to_stored(of_stored(old()).with_follow_up(amount=7))
    assert json.loads(changed.follow_up) == json.loads(OLD_FOLLOW_UP) | {
        "amount": 7,
        "queue": [json.loads(OLD_FOLLOW_UP)["queue"][0]],
    }
    assert changed.due_at == NOW + 2


def test_record_that_was_only_read_is_written_as_it_was() -> None:
    stored = old()
    assert to_stored(of_stored(stored)) is stored


def test_unreadable_params_fail_only_a_request_that_needs_them() -> None:
    bench = FlowBench()
    mine = bench.wanted()
    taken = replace(record(mine.order), params="no JSON", fingerprint=mine.fingerprint)
    bench.store.claim(taken)
    with pytest.raises(InFlight):
        bench.ask_within(LEASE_SECONDS)
    bench.now += BUDGET_SECONDS * 2
    with pytest.raises(ValueError, match="Expecting value"):
        bench.ask()
    done = replace(taken, state="created", payment_intent_id="pi_1", version=2)
    assert bench.store.replace(taken, done)
    with pytest.raises(OrderReused):
        bench.ask(amount=2000)
    assert bench.sends() == 0


def test_unreadable_follow_up_fails_before_anything_is_sent() -> None:
    bench = FlowBench()
    bench.store.claim(replace(record(bench.wanted().order, locked_until=NOW), follow_up="no JSON"))
    with pytest.raises(ValueError, match="Expecting value"):
        bench.ask()
    assert bench.sends() == 0


def test_records_of_others_are_not_parsed() -> None:
    records = Records(MemoryStore())
    theirs = Order(livemode=True, client_id=None, order_id="A-1")
    records.store.claim(record(theirs, follow_up="no JSON", due_at=1.0))
    records.store.claim(old())
    mine = record().order
    assert [each.order for each in records.scan(of=lambda each: each.order == mine)] == [mine]
    due = records.due(NOW + 60, 10, lambda order: order == mine, lambda _: True)
    assert [each.order for each in due] == [mine]

"""Conversion of Stripe's Refund, Dispute and Charge objects, and of the Events about them."""

from __future__ import annotations

from typing import Any

import pytest

from payment_service.gateways.event import DisputeEvent, RefundEvent
from payment_service.gateways.stripe.money import (
    UnreadableMoney,
    read_charge,
    read_dispute,
    read_refund,
    same_refund,
)
from payment_service.gateways.stripe.money_events import (
    OF_CHARGES,
    OF_DISPUTES,
    OF_REFUNDS,
    money_event,
)
from payment_service.key_store.contract import Order
from tests.support.stripe_fixtures import stripe_fixture

ORDER = {"order_id": "A-1", "client_id": "shop"}


def refund(**more: Any) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "created": 1_800_000_000,
        "currency": "usd",
        "metadata": {"refund_id": "R-1"},
        "payment_intent": "pi_1",
        "status": "succeeded",
        **more,
    }


def dispute(**more: Any) -> dict[str, Any]:
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 500,
        "created": 1_800_000_000,
        "currency": "usd",
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
        **more,
    }


def charge(**more: Any) -> dict[str, Any]:
    return {
        "id": "ch_1",
        "object": "charge",
        "captured": True,
        "payment_intent": "pi_1",
        **more,
    }


READERS = [(read_refund, refund), (read_dispute, dispute), (read_charge, charge)]


@pytest.mark.parametrize(("read", "made"), READERS)
@pytest.mark.parametrize("answer", [None, [], {}, "text", {"object": "list"}])
def test_anything_else_is_unreadable(read: Any, made: Any, answer: Any) -> None:
    read(made())
    with pytest.raises(UnreadableMoney):
        read(answer)


@pytest.mark.parametrize(
    ("read", "wrong"),
    [
        (read_refund, refund(id="../x")),
        (read_refund, refund(id=None)),
        (read_refund, refund(object="charge")),
        (read_refund, refund(amount="500")),
        (read_refund, refund(amount=-1)),
        (read_refund, refund(amount=True)),
        (read_refund, refund(payment_intent=None)),
        (read_refund, refund(payment_intent="pi_1/x")),
        (read_refund, refund(currency="u\nsd")),
        (read_dispute, dispute(id="du_1\n")),
        (read_dispute, dispute(status="")),
        (read_dispute, dispute(payment_intent=None)),
        (read_charge, charge(id="../x")),
    ],
)
def test_a_malformed_field_is_unreadable(read: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMoney):
        read(wrong)


@pytest.mark.parametrize(
    ("read", "kind"), [(read_refund, "refund"), (read_dispute, "dispute"), (read_charge, "charge")]
)
def test_stripes_published_example_is_readable(read: Any, kind: str) -> None:
    example = {**stripe_fixture(kind), "payment_intent": "pi_1"}
    assert read(example).id == example["id"]


@pytest.mark.parametrize("refund_id", ["re_1", "pyr_1"])
def test_a_refund_of_a_bank_debit_has_a_form_of_its_own(refund_id: str) -> None:
    assert read_refund(refund(id=refund_id)).id == refund_id


@pytest.mark.parametrize("status", [None, ""])
def test_a_refund_without_a_status_counts(status: Any) -> None:
    found = read_refund(refund(status=status))
    assert (found.status, found.counts) == ("pending", True)


def test_metadata_that_is_no_text_is_left_out() -> None:
    assert read_refund(refund(metadata={"a": "1", "b": 2})).metadata == {"a": "1"}
    assert read_refund(refund(metadata=None)).metadata == {}


@pytest.mark.parametrize(
    ("stripes", "ours", "inquiry", "is_open"),
    [
        ("needs_response", "needs_response", False, True),
        ("under_review", "under_review", False, True),
        ("appeal_needs_response", "needs_response", False, True),
        ("appeal_under_review", "under_review", False, True),
        ("won", "won", False, False),
        ("lost", "lost", False, False),
        ("prevented", "closed", False, False),
        ("warning_needs_response", "needs_response", True, True),
        ("warning_under_review", "under_review", True, True),
        ("warning_closed", "closed", True, False),
        ("unheard_of", "unheard_of", False, True),
    ],
)
def test_stripes_dispute_statuses_are_translated(
    stripes: str, ours: str, inquiry: bool, is_open: bool
) -> None:
    found = read_dispute(dispute(status=stripes))
    assert (found.status, found.is_inquiry, found.is_open) == (ours, inquiry, is_open)


@pytest.mark.parametrize("kind", ["card", "card_present", "link"])
def test_an_authorization_ends_for_every_kind_of_payment(kind: str) -> None:
    details = {"type": kind, kind: {"capture_before": 1_800_600_000}}
    held = charge(captured=False, payment_method_details=details)
    assert read_charge(held).capture_before == 1_800_600_000
    assert read_charge({**held, "captured": True}).capture_before is None


@pytest.mark.parametrize(
    "details", [None, {}, {"type": "card"}, {"type": "card", "card": {"capture_before": "soon"}}]
)
def test_an_authorization_may_show_no_end(details: Any) -> None:
    held = charge(captured=False, payment_method_details=details)
    assert read_charge(held).capture_before is None


@pytest.mark.parametrize(
    ("intent_id", "sent"),
    [
        ("pi_2", {}),
        ("pi_1", {"amount": 499}),
        ("pi_1", {"metadata": {"refund_id": "R-2"}}),
    ],
)
def test_another_refund_than_was_asked_for_is_unreadable(
    intent_id: str, sent: dict[str, Any]
) -> None:
    found = read_refund(refund())
    assert same_refund(found, "pi_1", {"amount": 500, "metadata": {"refund_id": "R-1"}}) == found
    with pytest.raises(UnreadableMoney):
        same_refund(found, intent_id, sent)


def event(kind: str, subject: Any, **more: Any) -> dict[str, Any]:
    return {"id": "evt_1", "type": kind, "livemode": False, "data": {"object": subject}, **more}


@pytest.mark.parametrize("kind", sorted(OF_REFUNDS))
def test_an_event_of_a_refund_carries_it(kind: str) -> None:
    subject = refund(metadata={**ORDER, "refund_id": "R-1"})
    read = money_event(event(kind, subject, livemode=True))
    order = Order(livemode=True, client_id="shop", order_id="A-1")
    assert read == RefundEvent("evt_1", kind, True, "pi_1", order, read_refund(subject))


@pytest.mark.parametrize("kind", sorted(OF_CHARGES))
def test_an_event_of_a_charge_carries_the_payment(kind: str) -> None:
    read = money_event(event(kind, charge(metadata=ORDER)))
    order = Order(livemode=False, client_id="shop", order_id="A-1")
    assert read == RefundEvent("evt_1", kind, False, "pi_1", order, None)


@pytest.mark.parametrize("kind", sorted(OF_DISPUTES))
def test_an_event_of_a_dispute_carries_it(kind: str) -> None:
    read = money_event(event(kind, dispute(), livemode=True))
    assert read == DisputeEvent("evt_1", kind, True, "pi_1", read_dispute(dispute()))


@pytest.mark.parametrize(
    "unread",
    [
        {},
        event("payment_intent.succeeded", refund()),
        event("charge.succeeded", charge()),
        event("refund.created", {}),
        event("refund.created", charge()),
        event("refund.created", refund(payment_intent=None)),
        event("charge.dispute.created", dispute(payment_intent=None)),
        event("refund.created", refund(), id="x"),
        event("refund.created", None),
        {**event("refund.created", refund()), "data": []},
    ],
)
def test_any_other_event_is_none(unread: dict[str, Any]) -> None:
    assert money_event(unread) is None


@pytest.mark.parametrize("name", ["", "\ud800", 7, None])
def test_an_event_that_names_no_order_still_names_its_payment(name: Any) -> None:
    read = money_event(event("refund.created", refund(metadata={"order_id": name})))
    assert isinstance(read, RefundEvent)
    assert (read.order, read.intent_id) == (None, "pi_1")

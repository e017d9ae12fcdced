"""Stripe's Event object, converted to a PaymentEvent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from payment_service.gateways.event import PaymentEvent
from payment_service.gateways.event_json import object_in
from payment_service.gateways.order_metadata import order_named_in
from payment_service.gateways.stripe.intents import is_intent_id

CREATED = "payment_intent.created"

# Any Stripe event about a PaymentIntent matches these.
_KIND = re.compile("payment_intent\\.[a-z0-9_.]{1,60}")
_EVENT_ID = re.compile("evt_[A-Za-z0-9_]{1,250}")


def payment_event(event: Mapping[str, Any]) -> PaymentEvent | None:
    """Read an Event object; None unless it is about a PaymentIntent of an order."""
    subject, kind, event_id = subject_of(event), event.get("type"), event_id_of(event)
    intent_id, livemode = subject.get("id"), event.get("livemode") is True
    if not (isinstance(kind, str) and _KIND.fullmatch(kind) and is_intent_id(intent_id)):
        return None
    order = order_named_in(object_in(subject, "metadata"), livemode=livemode)
    if event_id is None or order is None:
        return None
    return PaymentEvent(event_id, kind, livemode, intent_id, order, is_creation=kind == CREATED)


def subject_of(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object that the event is about; empty if it has none."""
    return object_in(object_in(event, "data"), "object")


def event_id_of(event: Mapping[str, Any]) -> str | None:
    """Return the event's id if it is well-formed."""
    event_id = event.get("id")
    return event_id if isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id) else None

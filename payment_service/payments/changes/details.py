"""The details of an order for operators: its open items, and the actions that its state allows.

The operator's page turns these facts into sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict

from payment_service.gateways.facts import GatewayFacts
from payment_service.gateways.intent import CANCELED, REQUIRES_CAPTURE, SUCCEEDED, TAKEN
from payment_service.gateways.refund import WITHOUT_EFFECT
from payment_service.payments.record import transitions
from payment_service.payments.record.money import LAPSES_WITHIN_SECONDS
from payment_service.payments.record.order_record import OrderRecord

# A shop's receiver that is up accepts an event sooner.
EVENT_IS_LATE_SECONDS = 900.0

OpenItem = Literal[
    "update_unknown",
    "capture_unknown",
    "refund_unknown",
    "refund_failed",
    "authorization_lapses",
    "event_waits",
    "look_up_waits",
]


class OrderDetails(Struct, frozen=True):
    """Instants are in Unix seconds.

    `gateway`: where the order's attempt was or will be sent. `leftovers`: attempts at another
    gateway that may have made a payment. `held_until`: when the lease of the
    request at work ends. `key_is_safe_until`: until then the attempt is sent again, afterwards it
    is looked for first; None if the gateway is not configured here, or its answer is saved.
    `look_ups`: when the service looks for PaymentIntents that an abandoned attempt may have
    created. `strays`: PaymentIntents that are not the order's, and were or are to be canceled.
    `left`: what can be refunded, as far as the record tells. `actions`: those that the state
    allows.
    """

    gateway: str
    open: tuple[OpenItem, ...]
    leftovers: tuple[Mapping[str, Any], ...]
    actions: tuple[str, ...]
    left: int
    held_until: float | None
    first_sent_at: float
    key_is_safe_until: float | None
    look_ups: tuple[float, ...]
    strays: tuple[str, ...]
    events: tuple[Mapping[str, Any], ...]
    capture: Mapping[str, Any] | None
    update_until: float | None


def details_of(record: OrderRecord, now: float, gateway: GatewayFacts | None) -> OrderDetails:
    """Build the details from the record. `gateway`: the facts of the record's own gateway."""
    kept = record.follow_up
    held = record.state == "pending" and transitions.is_held(record, now)
    resends = gateway is not None and not record.saved_5xx
    return OrderDetails(
        gateway=record.sent.gateway,
        open=tuple(open_items(record, now)),
        leftovers=tuple(asdict(each) for each in kept.leftovers),
        actions=tuple(_actions(record, gateway, held=held)),
        left=left_to_refund(record),
        held_until=record.locked_until if held else None,
        first_sent_at=record.first_sent_at,
        key_is_safe_until=record.first_sent_at + gateway.key_is_safe_seconds
        if gateway and resends
        else None,
        look_ups=kept.look_ups,
        strays=kept.ending,
        events=tuple(
            {
                "type": each.type,
                "at": each.at,
                "tries": each.tries,
                "next_at": each.next_at,
                "until": each.until,
                "parked": each.parked,
            }
            for each in kept.queue
        ),
        capture=_capture(record, now),
        update_until=kept.pending.until if kept.pending else None,
    )


def open_items(record: OrderRecord, now: float) -> Iterator[OpenItem]:
    """Yield what is unfinished: unknown outcomes, and work that waits."""
    kept = record.follow_up
    if kept.pending is not None and not transitions.holds(kept.pending.until, now):
        yield "update_unknown"
    capture = kept.capture
    gated = kept.gated_capture
    if (capture and capture.state == "pending" and not transitions.entry_is_held(capture, now)) or (
        gated and gated.claimed_at is not None and not transitions.holds(gated.until, now)
    ):
        yield "capture_unknown"
    if any(r.state == "pending" and not transitions.entry_is_held(r, now) for r in kept.refunds):
        yield "refund_unknown"
    if any(each.status in WITHOUT_EFFECT for each in kept.refunds):
        yield "refund_failed"
    if record.payment_status == REQUIRES_CAPTURE and _lapses(kept.capture_before, now):
        yield "authorization_lapses"
    if any(not each.parked and now - each.at > EVENT_IS_LATE_SECONDS for each in kept.queue):
        yield "event_waits"
    if kept.look_ups:
        yield "look_up_waits"


def left_to_refund(record: OrderRecord) -> int:
    """Return the amount that the record shows as received, and neither refunded nor on its way."""
    kept = record.follow_up
    if record.payment_status != SUCCEEDED:
        return 0
    received = (record.amount or 0) if kept.received is None else kept.received
    on_the_way = sum(each.amount for each in kept.refunds if each.state == "pending")
    return max(0, received - kept.refunded - on_the_way)


def _lapses(capture_before: int | None, now: float) -> bool:
    return capture_before is not None and capture_before - now <= LAPSES_WITHIN_SECONDS


def _actions(record: OrderRecord, gateway: GatewayFacts | None, *, held: bool) -> Iterator[str]:
    """Yield the actions; without the gateway there are none, since each one calls it."""
    status = record.payment_status
    if gateway is None or held or record.state == "rejected":
        return
    yield "resolve"
    if record.state != "created":
        return
    if status == REQUIRES_CAPTURE or (status not in TAKEN and status != CANCELED):
        yield "cancel"
    # At a gated gateway the service captures without a request.
    if status == REQUIRES_CAPTURE and not gateway.gated:
        yield "capture"
    if left_to_refund(record):
        yield "refund"


def _capture(record: OrderRecord, now: float) -> Mapping[str, Any] | None:
    entry = record.follow_up.capture
    if entry is None:
        return None
    state: str = entry.state
    if state == "pending":
        state = "in_flight" if transitions.entry_is_held(entry, now) else "unknown"
    return {"amount": entry.amount, "status": state, "created_at": entry.at}

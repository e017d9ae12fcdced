"""Cancel an order's PaymentIntent, so that it cannot be paid and the order may be created again."""

from __future__ import annotations

from payment_service.errors import GatewayFailed, NoLongerOpen
from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.key_store.contract import Order
from payment_service.payments.changes.existing_order import known_record
from payment_service.payments.context import Context
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.creation.recorded_intent import fetch_recorded, with_fetched
from payment_service.payments.gated.cancel import cancel_gated
from payment_service.payments.record.order_record import OrderRecord


def cancel_order(context: Context, order: Order, reason: str, deadline: Deadline) -> Intent:
    """Return the canceled PaymentIntent; a second call changes nothing.

    Canceling releases money that is only held (requires_capture), as the caller requests.
    A payment at a gated gateway is canceled in the record only: see payments.gated.cancel. Raises
    NoLongerOpen once it is paid or being paid, NotFound, InFlight.
    """
    gateway_deadline = deadline.earlier(context.timing.store)
    record = known_record(context, order, deadline)
    if context.gated_of(record):
        return cancel_gated(context, order, gateway_deadline)
    intent = fetch_recorded(context, record, gateway_deadline)
    if intent.status != CANCELED:
        intent = _cancel(context.gateway_of(record), intent, reason, gateway_deadline)

    def canceled(held: OrderRecord) -> OrderRecord | None:
        # If the order was created again meanwhile, the caller did not cancel that one.
        if held.payment_intent_id != intent.id or held.payment_status == CANCELED:
            return None
        return with_fetched(context, held, intent, "canceled")

    written = context.records.change(record, canceled)
    if written:
        context.report("canceled", written)
    return intent


def _cancel(gateway: Gateway, known: Intent, reason: str, deadline: Deadline) -> Intent:
    intent = cancel_and_check(gateway, known, reason, deadline).intent
    if intent.status in TAKEN:
        raise NoLongerOpen(intent.status)
    if intent.status != CANCELED:
        raise GatewayFailed("Stripe did not cancel this order's PaymentIntent.")
    return intent

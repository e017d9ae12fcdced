"""PaymentIntents that name an order but are not its recorded one: rule 4 after the fact.

A stray is at an open gateway, and the order's recorded payment may be at another one. The service
asks each one's own gateway (rule 13).
"""

from __future__ import annotations

from payment_service.errors import GatewayFailed, InFlight
from payment_service.gateways.contract import Gateway
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, TAKEN, Intent
from payment_service.gateways.sent_params import SentParams
from payment_service.payments.context import Context
from payment_service.payments.creation.cancellation import cancel_and_check
from payment_service.payments.creation.recorded_intent import find_recorded
from payment_service.payments.record import gated_transitions, transitions
from payment_service.payments.record.alarms import STRAY_PAID
from payment_service.payments.record.history import STRAY_ADOPTED, TWO_PAID
from payment_service.payments.record.order_record import OrderRecord

# The outcomes for a stray, with STRAY_PAID and TWO_PAID.
GONE, STRAY_CANCELED = "gone", "stray_canceled"


def settle_stray(
    context: Context,
    record: OrderRecord,
    stray: Intent,
    deadline: Deadline,
    gateway: Gateway | None = None,
) -> str:
    """Cancel a stray, or raise the alarm if its payment is taken; return the outcome.

    `gateway`: the stray's; None: the record's own, or the account's if the record is at a gated
    gateway.

    Either no client was given the stray's client_secret, or the stray could no longer be paid when
    another PaymentIntent was recorded. No request adopts it once the record names it as ending.
    If it is paid anyway, record it and cancel the one recorded before, so that the shopper does
    not pay twice; if that one is paid too, a person must look. Raises RecordChanged if the record
    changed in the meantime, InFlight while a capture at the record's gateway is unresolved, and
    PaymentError.
    """
    is_gated = context.gated_of(record) is not None
    gateway = gateway or (context.gateway if is_gated else context.gateway_of(record))
    return _Settlement(context, gateway, deadline).settle(record, stray)


def end_stray(
    context: Context, record: OrderRecord, stray: Intent, deadline: Deadline, gateway: Gateway
) -> str:
    """Cancel a stray of this gateway that the record names as ending; see settle_stray."""
    return _Settlement(context, gateway, deadline).end(record, stray)


class _Settlement:
    """One settlement. `gateway`: the stray's."""

    def __init__(self, context: Context, gateway: Gateway, deadline: Deadline) -> None:
        self._context, self._gateway, self._deadline = context, gateway, deadline

    def settle(self, record: OrderRecord, stray: Intent) -> str:
        if stray.status == CANCELED:
            return GONE
        if stray.status in TAKEN:
            return self._settle_paid(record, stray)
        ending = transitions.ending(record, stray.id, self._context.clock())
        self._context.records.write(record, ending)
        return self.end(ending, stray)

    def end(self, record: OrderRecord, stray: Intent) -> str:
        """Cancel a PaymentIntent that the record names as ending."""
        after = cancel_and_check(self._gateway, stray, "duplicate", self._deadline)
        if after.ours:
            self._context.report("stray_canceled", record, payment_intent_id=stray.id)
            return STRAY_CANCELED
        if after.intent.status == CANCELED:
            return GONE
        if after.intent.status not in TAKEN:
            raise GatewayFailed("Stripe did not cancel a PaymentIntent that is not the order's.")
        return self._settle_paid(record, after.intent)

    def _settle_paid(self, record: OrderRecord, paid: Intent) -> str:
        """Record the paid PaymentIntent, and only then cancel the one recorded before.

        Otherwise a request could see the old one canceled before the record shows the payment, and
        would create another. A payment at a gated gateway needs no cancellation: the service
        captures the recorded one only.
        """
        context, now = self._context, self._context.clock()
        is_gated = context.gated_of(record) is not None
        if is_gated and gated_transitions.is_in_doubt(record, now):
            raise InFlight("A capture of this order is under way: look again when it is resolved.")
        own = find_recorded(context, record, self._deadline)
        # An approval at a gated gateway is not taken yet.
        taken = gated_transitions.PAID if is_gated else TAKEN
        if record.follow_up.paid_before or (own.status if own else record.payment_status) in taken:
            return two_paid(context, record, paid)
        adopted = self._adopted(record, paid, now)
        former = own if own is not None and own.payable and not is_gated else None
        if former is not None:
            adopted = transitions.replaced(adopted, former.id, now)
        context.records.write(record, context.with_shop_event(adopted, paid))
        context.report("stray_paid", record, payment_intent_id=paid.id, status=paid.status)
        if former is not None:
            _Settlement(context, context.gateway_of(record), self._deadline).end(adopted, former)
        return STRAY_PAID

    def _adopted(self, record: OrderRecord, paid: Intent, now: float) -> OrderRecord:
        name = self._gateway.facts.name
        if name == record.sent.gateway:
            return transitions.adopted(record, paid, now, STRAY_ADOPTED)
        params = {"amount": paid.amount, "currency": paid.currency}
        sent = SentParams(self._gateway.api_version, params, name)
        return gated_transitions.adopted_elsewhere(record, paid, sent, now)


def two_paid(context: Context, record: OrderRecord, paid: Intent) -> str:
    """Report a second payment every time, but write it to the history once.

    Returns the outcome TWO_PAID. Raises RecordChanged.
    """
    other = record.payment_intent_id
    facts = {"payment_intent_id": paid.id, "status": paid.status, "other_payment": other}
    context.report("two_taken", record, **facts)
    history = record.follow_up.history
    if (TWO_PAID, paid.id) not in ((e["what"], e.get("payment_intent_id")) for e in history):
        noted = transitions.touched(record, context.clock(), TWO_PAID, payment_intent_id=paid.id)
        context.records.write(record, noted)
    return TWO_PAID

"""Changes of an order that a person makes. The order's history names the person.

Each one calls what a shop's request or the reconciler calls, so it is as safe: it may be repeated,
and it may meet any other change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from payment_service.errors import InFlight, NotFound
from payment_service.gateways.contract import NoSuchIntent
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import CANCELED, OVER, SUCCEEDED, Intent
from payment_service.key_store.contract import Order
from payment_service.payments.changes.orders import Orders
from payment_service.payments.context import Context
from payment_service.payments.creation.resolve import is_unknown, resolve
from payment_service.payments.gated.complete import complete
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import retry_on_race
from payment_service.payments.record.signed import SignedRecords
from payment_service.payments.recovery.money import MoneyCheck
from payment_service.payments.recovery.strays import settle_stray
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    OrderRequest,
    RefundRequest,
    StatusRequest,
)

Action = Literal["cancel", "capture", "refund", "resolve"]

# The history entry of an action whose result was recorded by another writer, or before.
BY_HAND = "by hand"


class ByHand(Struct, frozen=True):
    """The actions of one person, `by`, on the orders of one account."""

    orders: Orders
    by: str

    def cancel(self, request: CancelRequest) -> None:
        """Cancel the order's PaymentIntent; see Orders.cancel."""
        self._sign("cancel", request, lambda orders: orders.cancel(request))

    def capture(self, request: CaptureRequest) -> None:
        """Capture the order's authorization; see Orders.capture."""
        self._sign("capture", request, lambda orders: orders.capture(request))

    def refund(self, request: RefundRequest) -> None:
        """Refund the order once for each refund_id; see Orders.refund."""
        self._sign("refund", request, lambda orders: orders.refund(request))

    def resolve(self, request: OrderRequest) -> None:
        """Settle now what is open of the order, as far as the gateway tells.

        An unknown order is resolved as its next request would resolve it. For any other, the record
        takes over what the gateway shows, and strays are settled. Raises NotFound, InFlight, and
        the errors of the calls to the gateway.
        """
        order = self._order(request)
        self._sign(
            "resolve",
            request,
            lambda orders: orders.change(order, lambda end: _settle(orders.context, order, end)),
        )

    def refresh(self, request: StatusRequest) -> None:
        """Record what the gateway shows, and capture what is approved; see Orders.status."""
        records = SignedRecords(self.orders.context.records.store, self.by)
        self.orders.with_records(records).status(request, refresh=True)

    def _sign(self, action: Action, request: OrderRequest, act: Callable[[Orders], object]) -> None:
        records = SignedRecords(self.orders.context.records.store, self.by)
        signed = self.orders.with_records(records)
        act(signed)
        if not records.has_written:
            order = self._order(request)
            signed.change(order, lambda _: _note(records, order, action, signed.context.clock()))

    def _order(self, request: OrderRequest) -> Order:
        return Order(self.orders.livemode, request.client_id, request.order_id)


def _note(records: SignedRecords, order: Order, action: Action, now: float) -> None:
    record = records.read(order)
    if record is not None:
        records.change(record, lambda held: transitions.touched(held, now, BY_HAND, action=action))


def _settle(context: Context, order: Order, deadline: Deadline) -> None:
    record = context.records.read(order)
    if record is not None and is_unknown(record, context.clock()):
        resolve(context, record, deadline)
        return
    if record is None or record.state == "rejected":
        raise NotFound("There is no PaymentIntent of this order.")
    if record.state == "pending":
        raise InFlight("This order is being created by another request right now.")
    check = MoneyCheck(context, dry_run=False, budget_seconds=deadline.left())
    if context.gated_of(record) is not None:
        retry_on_race(lambda: _complete(context, order, deadline))
        after = context.records.read(order)
        if after is not None and after.payment_status == SUCCEEDED:
            check.settle(order)
        return
    check.settle(order)
    retry_on_race(lambda: _settle_strays(context, order, deadline))


def _complete(context: Context, order: Order, deadline: Deadline) -> None:
    """Complete the payment at a gated gateway, as the reconciler does. Raises RecordChanged."""
    record = context.records.read(order)
    if record is None or record.state != "created" or record.payment_status in OVER:
        return
    # The order may have gone on at the open gateway meanwhile.
    if context.is_gated(record):
        complete(context, record, deadline.earlier(context.timing.store), unattended=True)


def _settle_strays(context: Context, order: Order, deadline: Deadline) -> None:
    """Settle the other PaymentIntents that the record knows of, or expects. Raises RecordChanged.

    The reconciler finds those that the record does not expect.
    """
    record = context.records.read(order)
    if record is None or record.state != "created":
        return
    for stray in _strays(context, record, deadline):
        if stray.id != record.payment_intent_id and stray.status != CANCELED:
            settle_stray(context, record, stray, deadline)


def _strays(context: Context, record: OrderRecord, deadline: Deadline) -> Iterator[Intent]:
    kept = record.follow_up
    # The leftovers of an order at a gated gateway are at the account's open one (rule 17).
    gateway = context.gateway if context.gated_of(record) else context.gateway_of(record)
    for intent_id in kept.ending:
        with suppress(NoSuchIntent):
            yield gateway.retrieve(intent_id, deadline)
    if kept.look_ups:
        until = kept.look_until or None
        yield from gateway.find(record.order, kept.look_since, deadline, until)

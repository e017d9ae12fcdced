"""The operations on an existing order: status, changes, capture, refunds and Stripe's events."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from msgspec.structs import replace

from payment_service.errors import AlreadyPaid, Misconfigured, NotFound
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import MoneyEvent, PaymentEvent
from payment_service.gateways.intent import SUCCEEDED, Intent
from payment_service.gateways.order_metadata import order_named_in
from payment_service.key_store.contract import Order
from payment_service.payments.after_payment.capture import CaptureAnswer, capture_order
from payment_service.payments.after_payment.money_events import (
    apply_money_event,
    find_intent,
)
from payment_service.payments.after_payment.record_money import (
    Money,
    fetch_money,
    shows_more,
    write_money,
)
from payment_service.payments.after_payment.refund import RefundAnswer, refund_order
from payment_service.payments.changes.cancel import cancel_order
from payment_service.payments.changes.listing import OrderPage, page_of_orders, wanted_by
from payment_service.payments.changes.status import OrderStatus, status_of
from payment_service.payments.changes.update import update_order
from payment_service.payments.changes.update_checks import Updated
from payment_service.payments.changes.webhook import apply_event
from payment_service.payments.context import Context
from payment_service.payments.creation.recorded_intent import fetch_recorded, with_fetched
from payment_service.payments.gated.complete import complete
from payment_service.payments.record import transitions
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.record.races import RecordChanged, retry_on_race
from payment_service.payments.record.records import Records
from payment_service.payments.request.existing_order import (
    CancelRequest,
    CaptureRequest,
    OrderRequest,
    RefundRequest,
    UpdateRequest,
)
from payment_service.payments.request.order_list import OrdersRequest
from payment_service.payments.store_errors import store_errors

T = TypeVar("T")


class Orders:
    """The orders of one mode; calls `changed` after it changes an order."""

    def __init__(
        self,
        context: Context,
        *,
        livemode: bool,
        budget_seconds: float,
        changed: Callable[[Order], None] = lambda _: None,
    ) -> None:
        self.context, self.livemode = context, livemode
        self._budget_seconds, self._changed = budget_seconds, changed

    def with_records(self, records: Records) -> Orders:
        """Return the same orders, read and written through `records`."""
        return Orders(
            replace(self.context, records=records),
            livemode=self.livemode,
            budget_seconds=self._budget_seconds,
            changed=self._changed,
        )

    def change(self, order: Order, work: Callable[[Deadline], T]) -> T:
        """Run another change of an order, which must end by the deadline. Raises PaymentError."""
        try:
            with store_errors():
                return work(self._deadline())
        finally:
            self._changed(order)

    def status(self, request: OrderRequest, *, refresh: bool = False) -> OrderStatus:
        """Return the recorded status; with `refresh`, fetch the PaymentIntent from Stripe first.

        Raises NotFound, and with `refresh` also the errors of the call to Stripe.
        """
        if refresh:
            order, deadline = self._order(request), self._deadline()
            with store_errors():
                retry_on_race(lambda: self._refresh(order, deadline))
        return self.status_of(self.record(request))

    def record(self, request: OrderRequest) -> OrderRecord:
        """Return the order's record. Raises NotFound, StoreDown."""
        with store_errors():
            record = self.context.records.read(self._order(request))
        if record is None:
            raise NotFound("This order is not known.")
        return record

    def status_of(self, record: OrderRecord) -> OrderStatus:
        """Return the status that a record shows."""
        several = self.context.several_gateways
        return status_of(record, self.context.clock(), several_gateways=several)

    def page(self, request: OrdersRequest) -> OrderPage:
        """Return a page of the orders of the request; see payments.changes.listing."""
        wanted = wanted_by(request, livemode=self.livemode)
        with store_errors():
            return page_of_orders(self.context, wanted, request.limit, request.before)

    def update(self, request: UpdateRequest) -> Updated:
        """Change the order's PaymentIntent; see payments.changes.update."""
        order = Order(self.livemode, request.client_id, request.order_id)
        try:
            with store_errors():
                return update_order(self.context, order, request, self._deadline())
        finally:
            self._changed(order)

    def cancel(self, request: CancelRequest) -> Intent:
        """Cancel the order's PaymentIntent; see payments.changes.cancel."""
        order = self._order(request)
        try:
            with store_errors():
                return cancel_order(self.context, order, request.reason, self._deadline())
        finally:
            self._changed(order)

    def capture(self, request: CaptureRequest) -> CaptureAnswer:
        """Capture the order's authorization; see payments.after_payment.capture."""
        order = self._order(request)
        try:
            with store_errors():
                return capture_order(self.context, order, request, self._deadline())
        finally:
            self._changed(order)

    def refund(self, request: RefundRequest) -> RefundAnswer:
        """Refund the order once for each refund_id; see payments.after_payment.refund."""
        with store_errors():
            return refund_order(self.context, self._order(request), request, self._deadline())

    def apply(self, event: PaymentEvent | None) -> str:
        """Apply a verified event; see payments.changes.webhook. Ignore events of the other mode."""
        if event is None or event.livemode != self.livemode:
            return "ignored"
        try:
            with store_errors():
                return apply_event(self.context, event, self._deadline())
        finally:
            self._changed(event.order)

    def apply_money(self, event: MoneyEvent, covers: Callable[[str | None], bool]) -> str | None:
        """Apply a verified event about a refund or a dispute.

        `covers`: whether its secret may change a client's orders. Returns None if this account
        does not have the PaymentIntent; see payments.after_payment.money_events.
        """
        if event.livemode != self.livemode:
            return "ignored"
        with store_errors():
            deadline = self._deadline()
            intent = find_intent(self.context, event, deadline)
            if intent is None:
                return None
            try:
                return apply_money_event(self.context, event, intent, covers, deadline)
            finally:
                order = order_named_in(intent.metadata, livemode=intent.livemode)
                if order:
                    self._changed(order)

    def _refresh(self, order: Order, deadline: Deadline) -> None:
        """Record what the gateway shows. Raises RecordChanged."""
        record = self.context.records.read(order)
        if record is None or record.payment_intent_id is None:
            return
        deadline = deadline.earlier(self.context.timing.store)
        if self.context.gated_of(record):
            with suppress(RecordChanged, AlreadyPaid):
                record, _ = complete(self.context, record, deadline)
            if record.payment_status != SUCCEEDED:
                return
        intent = fetch_recorded(self.context, record, deadline)
        changed = transitions.shows_change(record, intent)
        if intent.missing:
            if changed and not self.context.gated_of(record):
                self.context.records.write(record, with_fetched(self.context, record, intent))
            return
        try:
            money = fetch_money(self.context, record, intent, deadline)
        except Misconfigured:
            # The key may lack the permission to read refunds or disputes, but not payments.
            money = Money(capture_before=record.follow_up.capture_before)
        if changed or shows_more(self.context, record, intent, money):
            write_money(self.context, record, intent, money, "seen")

    def _order(self, request: OrderRequest) -> Order:
        return Order(self.livemode, request.client_id, request.order_id)

    def _deadline(self) -> Deadline:
        return Deadline.after(self._budget_seconds)

"""The actors that move an order's money after the payment."""

from __future__ import annotations

from dataclasses import dataclass

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import RefundEvent
from payment_service.payments.after_payment.capture import capture_order
from payment_service.payments.after_payment.money_events import apply_money_event, find_intent
from payment_service.payments.after_payment.refund import refund_order
from payment_service.payments.request.existing_order import CaptureRequest, RefundRequest
from tests.proof.explorer.actors import Worker
from tests.proof.explorer.world import ORDER


@dataclass(eq=False)
class Refunder(Worker):
    """A request that refunds a part of the order."""

    refund_id: str = "R-1"
    amount: int = 700

    def work(self, deadline: Deadline) -> object:
        request = RefundRequest(
            order_id=ORDER.order_id, refund_id=self.refund_id, amount=self.amount
        )
        answer = refund_order(self.context, ORDER, request, deadline)
        self.world.judge.money.refunded(answer)
        return answer


@dataclass(eq=False)
class Capturer(Worker):
    """A request that captures a part of the order's authorization."""

    amount: int = 700

    def work(self, deadline: Deadline) -> object:
        request = CaptureRequest(order_id=ORDER.order_id, amount_to_capture=self.amount)
        answer = capture_order(self.context, ORDER, request, deadline)
        self.world.judge.money.captured(answer, self.amount)
        return answer


class MoneyHook(Worker):
    """Stripe's event about a refund of the order's PaymentIntent, in any state of the record."""

    def work(self, deadline: Deadline) -> object:
        about = self.world.intents()[0]["id"], None, None
        event = RefundEvent(f"evt_{self.name}", "refund.updated", ORDER.livemode, *about)
        intent = find_intent(self.context, event, deadline)
        assert intent
        return apply_money_event(self.context, event, intent, lambda _: True, deadline)

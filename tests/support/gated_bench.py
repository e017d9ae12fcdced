"""A bench for an order at PayPal after its creation: approvals, captures, crashes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from payment_service.errors import AlreadyPaid, PaymentError
from payment_service.gateways.deadline import Deadline
from payment_service.gateways.intent import Intent
from payment_service.gateways.paypal.events import payment_event
from payment_service.payments.changes.orders import Orders
from payment_service.payments.context import Context
from payment_service.payments.gated.approvals import Approvals
from payment_service.payments.gated.complete import complete_with_link
from sandbox.faults import FaultOrder, Match
from sandbox.paypal import acts
from tests.support.after_bench import AfterBench
from tests.support.flow_bench import BUDGET_SECONDS
from tests.support.switch_bench import PAYPAL_ONLY, STRIPE_ONLY, TwoGateways

HOUR = 3600.0
CAPTURE = Match(method="POST", path="/v2/checkout/orders/")
READ = Match(method="GET", path="/v2/checkout/orders/")
CREATE = Match(method="POST", path="/v2/checkout/orders$")

MOVED = ("COMPLETED", "PENDING")


class GatedBench(AfterBench, TwoGateways):
    """Its steps are the store's and both gateways'. `capture_waits` is rule 19's setting."""

    def __init__(self, *, capture_waits: bool = False) -> None:
        super().__init__()
        assert self.context.failover
        failover = replace(self.context.failover, capture_waits=capture_waits)
        self.context = replace(self.context, failover=failover)
        self.orders = Orders(self.context, livemode=False, budget_seconds=BUDGET_SECONDS)

    def _paypal_step(self, what: str) -> None:
        super()._paypal_step(what)
        self._step(f"paypal {what}")

    def soon(self, seconds: float = BUDGET_SECONDS) -> Deadline:
        return Deadline.after(seconds, lambda: self.now)

    # An order, and what its shopper does.

    def given_out(self, **more: Any) -> str:
        """Create the order at PayPal; return the payment's id."""
        created = self.ask_in(self.context, accepts=PAYPAL_ONLY, **more)
        assert created.gateway == "paypal"
        return created.intent.id

    def approved(self, plan: str = "COMPLETED") -> str:
        payment_id = self.given_out()
        self.approve_as(payment_id, plan)
        return payment_id

    def approve_as(self, payment_id: str, plan: str = "COMPLETED") -> None:
        acts.approve(self.paypal, payment_id, plan)

    # The service's steps.

    def complete(self, context: Context | None = None, **how: Any) -> Intent:
        """Complete the order as a request does that is sent again."""
        context = context or self.context
        record = context.records.read(self.record().order)
        assert record
        return complete_with_link(context, record, self.soon(), **how)[1]

    def paid_before(self) -> str:
        """Pay the order, lose its record, and let PayPal refuse its next payment; return the first.

        PayPal has forgotten the request id of the creation by then.
        """
        first = self.approved()
        self.complete()
        self.lose()
        self.now += 7 * HOUR
        self.approved()
        assert isinstance(self.tried(), AlreadyPaid)
        return first

    def tried(self, context: Context | None = None, **how: Any) -> Intent | PaymentError:
        """Complete the order; return the error if it raises one of ours."""
        try:
            return self.complete(context, **how)
        except PaymentError as error:
            return error

    def approvals(self) -> Approvals:
        return Approvals(self.context, lambda _: self.context, BUDGET_SECONDS)

    def look_for_approvals(self) -> list[bool]:
        """Take every look that is due."""
        looks = self.approvals()
        return [looks.run(each) for each in looks.due(10)]

    def paypal_events(self) -> list[dict[str, Any]]:
        return list(self.paypal.events)

    def apply_paypal(self, event: dict[str, Any]) -> str:
        return self.orders.apply(payment_event(event, livemode=False))

    def update_record_to_stripe(self) -> None:
        """Cancel the payment at PayPal in the record only, and create the order at Stripe."""
        self.cancel()
        assert self.ask(accepts=STRIPE_ONLY).gateway == "stripe"

    def capture_named(self, payment_id: str) -> None:
        """Capture a payment without the service, as a page with PayPal's browser SDK may."""
        named = self.context.gated["paypal"].find_named(
            payment_id, self.record().order, self.soon()
        )
        assert named
        self.context.gated["paypal"].capture(payment_id, named.sent, "outside", self.soon())

    # PayPal's state and faults.

    def break_captures(self, kind: str, count: int | None = 1, **more: Any) -> None:
        self.paypal.faults.order(FaultOrder(kind, CAPTURE, count=count, **more))

    def break_reads(self, kind: str, count: int | None = None) -> None:
        self.paypal.faults.order(FaultOrder(kind, READ, count=count))

    def money_taken(self) -> list[str]:
        """Return the ids of the payments that were taken, at both gateways."""
        here = [
            each.id
            for each in self.paypal.orders.values()
            if any(capture["status"] in MOVED for capture in each.captures)
        ]
        there = [
            each["id"] for each in self.made() if each["status"] in ("succeeded", "processing")
        ]
        return here + there

    def captures_sent(self) -> int:
        """Return how many captures reached PayPal."""
        return sum(str(entry["path"]).endswith("/capture") for entry in self.paypal.log.entries)

    def claim(self) -> Any:
        return self.record().follow_up.gated_capture

    def status(self) -> str | None:
        found: str | None = self.record().payment_status
        return found

    def whats(self) -> list[str]:
        return [each.what for each in self.seen]

"""The actors of an order that may be paid at either of two gateways."""

from __future__ import annotations

from dataclasses import dataclass

from greenlet import getcurrent

from payment_service.gateways.deadline import Deadline
from payment_service.gateways.event import PaymentEvent
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.changes.webhook import apply_event
from payment_service.payments.creation import create
from payment_service.payments.creation.states import Created
from payment_service.payments.gated.approvals import Approvals
from payment_service.payments.recovery.witnesses import Pace, Witnesses
from tests.proof.explorer.actors import Worker
from tests.proof.explorer.choices import Option
from tests.proof.explorer.gated_world import BOTH, MOST_SHOPPERS, PAYPAL, STRIPE
from tests.proof.explorer.world import ASKING, BUDGET_SECONDS, ORDER

APPROVED = "CHECKOUT.ORDER.APPROVED"

ACTS = (Option("acts"), Option("leaves"))


@dataclass(eq=False)
class Asker2(Worker):
    """A request that creates the order's payment at a gateway that it accepts."""

    amount: int = 1099
    accepts: frozenset[str] = BOTH

    def work(self, deadline: Deadline) -> object:
        second = self.world.second
        assert second
        wanted = self.world.wanted(self.amount, self.context.gateway.api_version, self.accepts)
        answer = create.create_once(self.context, wanted, deadline)
        second.judge.released(answer, self.accepts)
        if answer.gateway == STRIPE:
            self.world.judge.released(answer.intent, self.amount)
        self._send_shopper(answer)
        return answer

    def _send_shopper(self, answer: Created) -> None:
        """The shop shows the payment to the shopper, who may act from now on."""
        second = self.world.second
        assert second
        open_to = answer.intent.status in ASKING
        there = any(
            isinstance(each, Shopper) and each.alive and each.payment_id == answer.intent.id
            for each in self.world.workers
        )
        if open_to and not there and second.shoppers < MOST_SHOPPERS:
            second.shoppers += 1
            shopper = Shopper(self.world, f"shopper{second.shoppers}", payment_id=answer.intent.id)
            # Not this worker's greenlet, which ends.
            shopper.thread.parent = getcurrent().parent
            self.world.workers.append(shopper)


@dataclass(eq=False)
class Shopper(Worker):
    """The shopper, who pays a PaymentIntent or approves a PayPal order.

    Its one step can come at any time, and it may never come.
    """

    payment_id: str = ""

    def work(self, deadline: Deadline) -> object:
        if self.choose("at the payment page", ACTS) == "leaves":
            return None
        second = self.world.second
        assert second
        if not self.payment_id.startswith("pi_"):
            return second.approve(self.payment_id)
        intents = {each["id"]: each for each in self.world.intents()}
        if intents[self.payment_id]["status"] in ASKING:
            self.world.act(self.payment_id, "confirm")
        return None


class Approver(Worker):
    """A run of the background job that looks for approvals."""

    def work(self, deadline: Deadline) -> object:
        looks = Approvals(self.context, lambda _: self.context, BUDGET_SECONDS)
        return [looks.run(record) for record in looks.due(10)]


class Witnesser(Worker):
    """A run of the background job that marks at Stripe what PayPal has taken."""

    def work(self, deadline: Deadline) -> object:
        pace = Pace(self.world.clock)
        job = Witnesses(self.context, lambda _: self.context, BUDGET_SECONDS, pace)
        return [job.run(record) for record in job.due(10)]


@dataclass(eq=False)
class GatedHook(Worker):
    """PayPal's event about the order's first payment there, in any state of the record."""

    kind: str = APPROVED

    def work(self, deadline: Deadline) -> object:
        second = self.world.second
        assert second
        made = list(second.sandbox.orders)
        if not made:
            return None
        event = PaymentEvent(
            f"WH-{self.name}", self.kind, ORDER.livemode, made[0], ORDER, gateway=PAYPAL
        )
        try:
            return apply_event(self.context, event, deadline)
        except StoreUnavailable:
            self.world.judge.saw(self, "unrecorded")
            raise

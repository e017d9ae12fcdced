"""Random lives of an order over two gateways: at most one payment of it is ever taken."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from payment_service.errors import OrderReused, PaymentError
from payment_service.key_store.contract import StoreUnavailable
from payment_service.payments.creation.states import Created
from payment_service.payments.gated.complete import complete_with_link
from payment_service.payments.record import gated_transitions
from sandbox.faults import FaultOrder, Match
from tests.support.gated_bench import CAPTURE, CREATE, READ, GatedBench
from tests.support.switch_bench import BOTH, PAYPAL_ONLY, STRIPE_ONLY

FAULTS = ["lost_before", "lost_after", "error_500_with_object", "error_503", "rate_limited", "html"]
PLANS = ["COMPLETED", "COMPLETED", "COMPLETED", "PENDING", "INSTRUMENT_DECLINED", "DECLINED"]
ACTIONS_PER_LIFE = 40


class Life:
    """One order, its shoppers, and everything that may happen to it, chosen by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bench = GatedBench(capture_waits=self.random.random() < 0.3)
        self.secrets: set[str] = set()
        self.pages: set[str] = set()
        self.done: list[str] = []

    def live(self) -> None:
        actions: list[Callable[[], object]] = [
            self.ask,
            self.ask,
            self.ask,
            self.pay,
            self.approve,
            self.approve,
            self.refresh,
            self.cancel,
            self.update,
            self.event,
            self.look,
            self.late_look,
            self.reconcile,
            self.fail,
            self.heal_one,
            self.wait,
            self.wait,
        ]
        if self.random.random() < 0.7:
            self.bench.silence_stripe(self.random.choice(["lost_before", "lost_after"]))
        for _ in range(ACTIONS_PER_LIFE):
            self.act(self.random.choice(actions))
            assert len(self.bench.money_taken()) <= 1, self.done

    def act(self, action: Callable[[], object]) -> None:
        name = action.__name__
        chance = self.random.random()
        step = self.random.randrange(12)
        try:
            if chance < 0.15:
                crashed = self.bench.crashing(step, action)
                name += f" crash at {step}" if crashed else ""
            elif chance < 0.3:
                with self.bench.meanwhile(step, self.another, required=False):
                    action()
            elif chance < 0.4:
                with self.bench.meanwhile(step, self.break_store, required=False):
                    action()
            else:
                action()
        except (PaymentError, StoreUnavailable) as error:
            name += f": {type(error).__name__}"
        finally:
            self.done.append(name)

    def another(self) -> None:
        action = self.random.choice([self.ask, self.cancel, self.refresh, self.look, self.approve])
        try:
            action()
        except (PaymentError, StoreUnavailable):
            return
        finally:
            self.done.append(f"(meanwhile {action.__name__})")

    def break_store(self) -> None:
        raise StoreUnavailable("down")

    # The shop's requests.

    def ask(self) -> None:
        accepts = self.random.choice([BOTH, BOTH, BOTH, STRIPE_ONLY, PAYPAL_ONLY])
        amount = self.random.choice([1099, 1099, 1099, 2000])
        self.give_out(self.bench.ask(accepts=accepts, amount=amount))

    def give_out(self, created: Created) -> None:
        if created.gateway == "paypal":
            self.pages.add(created.intent.id)
        else:
            self.secrets.add(created.intent.id)

    def refresh(self) -> None:
        record = self.bench.record()
        if record is not None and record.state == "created" and record.sent.gateway == "paypal":
            complete_with_link(self.bench.context, record, self.bench.soon())

    def cancel(self) -> None:
        self.bench.cancel()

    def update(self) -> None:
        self.bench.update(self.random.choice([1099, 2000]))

    # The shopper.

    def pay(self) -> None:
        for intent_id in sorted(self.secrets):
            statuses = {each["id"]: each["status"] for each in self.bench.made()}
            if statuses.get(intent_id) == "requires_payment_method":
                self.bench.pay(intent_id)

    def approve(self, plans: Sequence[str] = PLANS) -> None:
        for payment_id in sorted(self.pages):
            order = self.bench.paypal.orders.get(payment_id)
            if order is not None and order.is_open and order.status != "APPROVED":
                self.bench.approve_as(payment_id, self.random.choice(plans))

    # The service in the background.

    def event(self) -> None:
        events = self.bench.paypal_events()
        if events and self.random.random() < 0.6:
            self.bench.apply_paypal(self.random.choice(events))
        elif self.bench.events():
            self.bench.apply(self.random.choice(self.bench.events()))

    def look(self) -> None:
        self.bench.look_for_approvals()

    def late_look(self) -> None:
        self.bench.look()

    def reconcile(self) -> None:
        self.bench.reconcile()

    # The world.

    def fail(self) -> None:
        count = self.random.choice([1, 2, 5, None])
        kind = self.random.choice(FAULTS)
        if self.random.random() < 0.5:
            self.bench.sandbox.faults.order(FaultOrder(kind, Match(), count=count))
        else:
            match = self.random.choice([CREATE, CAPTURE, CAPTURE, READ, Match()])
            self.bench.paypal.faults.order(FaultOrder(kind, match, count=count))

    def heal_one(self) -> None:
        if self.random.random() < 0.7:
            self.bench.heal_paypal()
        else:
            self.bench.heal_stripe()

    def wait(self) -> None:
        self.bench.now += self.random.choice([1, 5, 20, 60, 60, 300, 3700, 7 * 3600, 25 * 3600])

    # The end.

    def finish(self) -> None:
        """Once everything answers, one more request finishes the order."""
        self.bench.heal_stripe()
        self.bench.heal_paypal()
        self.bench.now += 3 * 3600
        self.bench.look_for_approvals()
        self.bench.look()
        self.bench.now += 3 * 3600
        self.bench.look()
        for amount in (1099, 2000):
            for _ in range(12):
                if self.bench.money_taken() or self.is_over(amount):
                    break

    def is_over(self, amount: int) -> bool:
        """Ask once more, and let the shopper pay; return whether the price is the wrong one."""
        self.bench.now += 60
        try:
            self.give_out(self.bench.ask(accepts=BOTH, amount=amount))
        except OrderReused:
            return True
        except PaymentError as error:
            self.done.append(f"{amount}: {type(error).__name__}")
            return False
        self.pay()
        self.approve(["COMPLETED"])
        return False


@pytest.mark.parametrize("seed", range(120))
def test_random_life_takes_one_payment(seed: int) -> None:
    life = Life(seed)
    life.live()
    life.finish()
    record, taken = life.bench.record(), life.bench.money_taken()
    waits = record.follow_up.paid_before or gated_transitions.is_claimed(record)
    assert len(taken) == 1 or waits, life.done

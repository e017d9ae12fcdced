"""Chaos over two gateways: Stripe and PayPal fail in turns, and shoppers pay at both."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from itertools import count
from typing import Any, Self

from requests import RequestException, Session

from payment_service.payments.context import Context
from payment_service.payments.gated.approvals import Approvals
from payment_service.payments.payments import Payments
from payment_service.payments.record.order_record import OrderRecord
from payment_service.payments.recovery.late_intents import LateLookUps
from payment_service.payments.recovery.witnesses import Pace, Witnesses
from payment_service.settings import load_settings
from payment_service.wiring import open_payments
from tests.proof.chaos import ANY, CREATION, FAULTS, SETTINGS, Chaos, Fault, Order, orders_of
from tests.proof.tally import Tally
from tests.support.aging import order_of
from tests.support.paypal_process import PayPalProcess
from tests.support.sandbox_process import SECRET_KEY
from tests.support.two_gateways import BOTH, settings_of

# Stripe's share, and then the time for a creation or a capture at PayPal.
GATEWAY_SETTINGS = {"REQUEST_BUDGET_SECONDS": "6", "FAILOVER_AFTER_SECONDS": "2"}

AT_PAYPAL = {"method": "POST", "path": "/v2/checkout/orders$"}
CAPTURES = {"method": "POST", "path": "/v2/checkout/orders/"}

# The states of a gateway, which take turns; most of Stripe's are outages.
Weather = dict[str, tuple[Fault, ...]]

OUTAGES: Weather = {
    "works": (),
    "is silent": (("hang", ANY, 1000, {"seconds": 2}),),
    "is away": (("lost_before", ANY, 1000, {}),),
    "loses its answers": (("lost_after", ANY, 1000, {}),),
    "is overloaded": (
        ("error_503", ANY, 500, {}),
        ("rate_limited", ANY, 1000, {"retry_after": 0.2}),
    ),
    "rejects our key": (("unauthorized", ANY, 1000, {}),),
}
STRIPE: Weather = {
    **OUTAGES,
    "fails in many ways": FAULTS,
    "executes half of what fails": (
        ("error_500_with_object", CREATION, 400, {}),
        ("late_object", CREATION, 300, {"seconds": 0.5}),
        ("error_500_without_object", CREATION, 1000, {}),
    ),
}
PAYPAL: Weather = {
    **OUTAGES,
    "fails in many ways": (
        ("lost_before", ANY, 40, {}),
        ("lost_after", AT_PAYPAL, 80, {}),
        ("lost_after", CAPTURES, 150, {}),
        ("cut_body", ANY, 40, {}),
        ("slow", ANY, 80, {"seconds": 0.5}),
        ("hang", CAPTURES, 40, {"seconds": 2}),
        ("error_500_with_object", ANY, 60, {}),
        ("error_500_without_object", ANY, 60, {}),
        ("error_503", ANY, 40, {}),
        ("rate_limited", ANY, 40, {"retry_after": 0.2}),
        ("key_in_use", ANY, 40, {}),
        ("unauthorized", ANY, 10, {}),
        ("html", ANY, 20, {}),
        ("not_found_404", ANY, 10, {}),
        ("empty_object", ANY, 20, {}),
    ),
    "executes half of what fails": (
        ("error_500_with_object", CAPTURES, 500, {}),
        ("error_500_without_object", ANY, 1000, {}),
    ),
}

# Most pages send the shopper to either gateway.
ACCEPTED = [BOTH] * 8 + [{"accept_gateways": ["paypal"]}, {}]

# The steps of the clock at the end, in seconds: within them, every look-up of an abandoned attempt
# becomes due, those an hour after its last send ended included, and one that failed becomes due
# again.
STEPS_SECONDS = (30.0, 150.0, 3500.0, 60.0, 60.0)

# Of a job for one record, in seconds.
BUDGET_SECONDS = 10.0

# Rounds of a job at one moment; one that needs more would never end.
MOST_ROUNDS = 500

HOUR = 3600.0


class GatewayChaos(Chaos):
    """Chaos with PayPal as the second gateway.

    Shoppers pay at Stripe and approve at PayPal whatever left the service, old pages included, and
    shops cancel and update. A shop sends the same request again after an approval,
    or leaves the capture to PayPal's event and to the service's own look. At the end, the shoppers
    pay and approve everything that was ever given out. The store keeps what it acknowledged.
    """

    def __enter__(self) -> Self:
        self.paypal = self._stack.enter_context(PayPalProcess())
        self._finishing = False
        self._ahead = 0.0
        super().__enter__()
        self.paypal.webhooks(url=f"{self.services[0].url}/webhook/paypal")
        return self

    def _more_settings(self) -> Mapping[str, str | None]:
        return settings_of(self.paypal, **GATEWAY_SETTINGS)

    # The clients.

    def _more_fields(self) -> Mapping[str, Any]:
        # At the end, each order accepts both gateways, so that it can be answered.
        fields: Mapping[str, Any] = BOTH if self._finishing else random.choice(ACCEPTED)
        return fields

    def _go_on(self, session: Session, order: Order) -> None:
        self._shopper(random.choice(order.given))
        if random.random() < 0.6:
            self._ask(session, order)
        if random.random() < 0.15:
            self._change(session, order, "cancel")
        if random.random() < 0.1:
            # To the same amount: a payment at PayPal is replaced even then.
            self._change(session, order, "update", amount=1099)

    def _shopper(self, payment_id: str) -> None:
        """Pay or approve a payment, or be declined, or leave."""
        choice = random.random()
        # Another client may have paid or canceled it.
        with suppress(AssertionError, RequestException):
            if payment_id.startswith("pi_"):
                if choice < 0.5:
                    self.sandbox.pay(payment_id)
                    self._count_trouble("a shopper pays at Stripe")
            elif choice < 0.8:
                self.paypal.act(payment_id, "approve" if choice < 0.7 else "decline")
                self._count_trouble("a shopper approves at PayPal")

    def _change(self, session: Session, order: Order, verb: str, **fields: int) -> None:
        url = f"{random.choice(self.services).url}/{verb}-payment-intent"
        with suppress(RequestException):
            answer = session.post(url, json={"order_id": order.order_id, **fields}, timeout=30)
            self._count_trouble(f"a shop asks to {verb}: {answer.status_code}")

    def _finish_all(self, threads: int) -> None:
        self._finishing = True
        super()._finish_all(threads)
        self._find_two_payments()
        self._pay_everything()
        super()._finish_all(threads)

    def _pay_everything(self) -> None:
        for order in self._orders:
            for payment_id in dict.fromkeys(order.given):
                # The stand-ins refuse to take a second payment, or one that was canceled.
                with suppress(AssertionError):
                    if payment_id.startswith("pi_"):
                        self.sandbox.pay(payment_id)
                    else:
                        self.paypal.act(payment_id, "approve")

    # The failures.

    def _order_faults(self) -> None:
        """Begin with an outage of Stripe, so that even a short run has orders at PayPal."""
        self.sandbox.faults(orders_of(STRIPE["is away"], self._dice))

    def _new_weather(self, gateway: Any, weather: Weather, name: str) -> None:
        # Orders go to PayPal only while it works at least partly.
        often = ("works", "fails in many ways") if weather is PAYPAL else ()
        weights = [4 if state in often else 1 for state in weather]
        [state] = self._dice.choices(list(weather), weights)
        gateway.clear_faults()
        gateway.faults(orders_of(weather[state], self._dice))
        self._count_trouble(f"{name} {state}")

    def _end_faults(self) -> None:
        super()._end_faults()
        self.paypal.clear_faults()

    def _troubles(self) -> tuple[Callable[[], None], ...]:
        return (*super()._troubles(), self._change_weather, self._watch)

    def _change_weather(self) -> None:
        while not self._over.wait(random.uniform(1.0, 3.0)):
            self._new_weather(self.sandbox, STRIPE, "Stripe")
            self._new_weather(self.paypal, PAYPAL, "PayPal")

    def _advance(self, seconds: float) -> None:
        super()._advance(seconds)
        self.paypal.advance(seconds)

    # The count.

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self._find_two_payments()

    def _find_two_payments(self) -> None:
        """Note the orders that can be paid, or were, more than once.

        The order of the three reads matters. A capture is never undone, so what was captured
        before Stripe was read is captured at that moment, too.
        """
        with self._lock:
            given = {order.order_id: set(order.given) for order in self._orders}
        captured = {order_id: len(made) for order_id, made in self._captures().items()}
        payable = self._payable()
        for order_id, ids in given.items():
            payments = len(ids & payable[order_id]) + captured.get(order_id, 0)
            if payments > 1 and order_id not in self.tally.two_payments:
                self.tally.two_payments.append(order_id)

    def _captures(self) -> dict[str, list[str]]:
        """Return the PayPal orders of each order that were captured, one for each capture."""
        return {
            order_id: [
                order["id"]
                for order in made
                for status in order["captures"]
                if status in ("COMPLETED", "PENDING")
            ]
            for order_id, made in self._at_paypal().items()
        }

    def _at_paypal(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = self.paypal.control("GET", "state")["orders"]
        return found

    def _count(self) -> Tally:
        tally = self.tally
        tally.orders = len(self._orders)
        self._find_two_payments()
        tally.unanswered = [each.order_id for each in self._orders if not each.answered]
        for name, gateway in (("Stripe", self.sandbox), ("PayPal", self.paypal)):
            for kind, fired in gateway.fired().items():
                tally.counts[f"fault at {name}: {kind}"] = fired
        captured = self._captures()
        tally.counts["orders captured at PayPal"] = sum(map(bool, captured.values()))
        for service in self.services:
            # The clock of the next step is not theirs.
            service.kill()
        self._count_an_hour_later()
        self._find_two_payments()
        return tally

    def _count_an_hour_later(self) -> None:
        """Run the jobs with a clock that moves by an hour, and count what is left."""
        environ = {
            **SETTINGS,
            **self._more_settings(),
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_API_BASE": self.sandbox.url,
            "KEY_STORE_URL": self._url,
        }
        settings = load_settings({name: value for name, value in environ.items() if value})
        with closing(open_payments(settings, clock=lambda: time.time() + self._ahead)) as payments:
            before = self._records(payments)
            self.tally.counts["orders with a leftover at the end"] = sum(
                bool(each.follow_up.leftovers) for each in before
            )
            for step in STEPS_SECONDS:
                self._ahead += step
                self._advance(step)
                self._run_jobs(payments)
            self._note_what_is_left(self._records(payments))

    def _records(self, payments: Payments) -> list[OrderRecord]:
        read = payments.orders.context.records.read
        found = (read(order_of(each.order_id)) for each in self._orders)
        return [record for record in found if record is not None]

    def _run_jobs(self, payments: Payments) -> None:
        def context_of(client_id: str | None) -> Context:
            return payments.orders_of(client_id).context

        context = payments.orders.context
        # A clock that lets all witnesses begin at once.
        pace = Pace(count(0.0, HOUR).__next__)
        for job in (
            LateLookUps(context, context_of, BUDGET_SECONDS),
            Approvals(context, context_of, BUDGET_SECONDS),
            Witnesses(context, context_of, BUDGET_SECONDS, pace),
        ):
            for _ in range(MOST_ROUNDS):
                due = job.due(100)
                if not due:
                    break
                for record in due:
                    job.run(record)

    def _note_what_is_left(self, records: list[OrderRecord]) -> None:
        payable, at_paypal = self._payable(), self._at_paypal()
        for record in records:
            order_id, own = record.order.order_id, record.payment_intent_id
            if payable[order_id] - {own} or record.follow_up.leftovers:
                self.tally.leftovers.append(order_id)
            approved = {e["id"] for e in at_paypal.get(order_id, []) if e["status"] == "APPROVED"}
            if own in approved and record.payment_status != "canceled":
                self.tally.uncaptured.append(order_id)

    def story_of(self, order_id: str) -> list[str]:
        """Return also what PayPal has of an order."""
        return [*super().story_of(order_id), *map(str, self._at_paypal().get(order_id, []))]
